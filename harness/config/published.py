"""The reader of CSV files with published latencies."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from io import StringIO
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.config.document import read_bounded
from harness.config.yaml_text import MAX_CHARACTERS
from harness.core.errors import ConfigError
from harness.core.published import PublishedLatency

COLUMNS = tuple(field.name for field in fields(PublishedLatency))
REQUIRED = tuple(name for name in COLUMNS if name not in ("accuracy", "size_bytes"))
_ADAPTER = TypeAdapter(PublishedLatency)


def read_published(file: Path) -> tuple[PublishedLatency, ...]:
    """Return the latencies of all lines.

    Raises ConfigError, which names the file, line and column of the first wrong cell.
    """
    try:
        lines = StringIO(read_bounded(file, MAX_CHARACTERS), newline="")
        latencies = tuple(_read_rows(file, lines))
    except csv.Error as error:
        raise ConfigError(f"{file}: is not a CSV file: {error}.") from error
    if not latencies:
        raise ConfigError(f"{file}: has only a heading; add a line for each published latency.")
    return latencies


def _read_rows(file: Path, lines: Iterable[str]) -> Iterator[PublishedLatency]:
    reader = csv.reader(lines, strict=True)
    heading = [name.strip() for name in next(reader, [])]
    _check_heading(file, heading)
    for cells in reader:
        location = f"{file}:{reader.line_num}"
        if any(cell.strip() for cell in cells):
            yield _parse_row(location, heading, cells=[cell.strip() for cell in cells])


def _check_heading(file: Path, heading: Sequence[str]) -> None:
    for name in heading:
        if name not in COLUMNS:
            raise ConfigError(
                f"{file}:1: unknown column {name!r}; choose from: {', '.join(COLUMNS)}."
            )
        if heading.count(name) > 1:
            raise ConfigError(f"{file}:1: column {name} appears twice; remove one.")
    for name in REQUIRED:
        if name not in heading:
            raise ConfigError(
                f"{file}:1: column {name} is missing; required: {', '.join(REQUIRED)}."
            )


def _parse_row(location: str, heading: Sequence[str], cells: Sequence[str]) -> PublishedLatency:
    if len(cells) != len(heading):
        raise ConfigError(
            f"{location}: has {len(cells)} cells, but the heading has {len(heading)}; "
            "quote a cell that contains a comma."
        )
    for name, cell in zip(heading, cells, strict=True):
        if not cell.isprintable():
            raise ConfigError(
                f"{location}: {name} is {cell!r}; remove its non-printable characters."
            )
    values = {name: cell for name, cell in zip(heading, cells, strict=True) if cell}
    try:
        return _ADAPTER.validate_strings(values, strict=True)
    except ValidationError as error:
        raise ConfigError(f"{location}: {_describe(error)}.") from error


def _describe(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    column = str(first["loc"][0])
    if first["type"] == "missing":
        return f"{column} is missing; fill in the cell"
    unit = ", as a share of 1" if column == "accuracy" else ""
    expected = first["msg"].removeprefix("Input should be ")
    if first["type"].endswith("_parsing"):  # the rest is about pydantic's parser
        expected = expected.partition(",")[0]
    return f"{column} is {first['input']!r}, but must be {expected}{unit}"
