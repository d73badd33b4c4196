"""A CSV file of published numbers → core values."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.core.errors import ConfigError
from harness.core.published import PublishedLatency

COLUMNS = tuple(field.name for field in fields(PublishedLatency))
REQUIRED = tuple(name for name in COLUMNS if name not in ("accuracy", "size_bytes"))
_NUMBERS = TypeAdapter(PublishedLatency)


def read_published(file: Path) -> tuple[PublishedLatency, ...]:
    """All of the file's lines, or none. Raises ConfigError that names file, line and column of the first wrong one."""
    try:
        with file.open(
            encoding="utf-8-sig", newline=""
        ) as lines:  # spreadsheets put a byte order mark in front
            numbers = tuple(_read(file, lines))
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}; check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{file}: is no CSV file in UTF-8: {error}.") from error
    if not numbers:
        raise ConfigError(f"{file}: has a heading alone; add a line for each published number.")
    return numbers


def _read(file: Path, lines: Iterable[str]) -> Iterator[PublishedLatency]:
    reader = csv.reader(lines, strict=True)
    heading = [name.strip() for name in next(reader, [])]
    _check_heading(file, heading)
    for cells in reader:
        where = f"{file}:{reader.line_num}"
        if any(cell.strip() for cell in cells):
            yield _published(where, heading, cells=[cell.strip() for cell in cells])


def _check_heading(file: Path, heading: Sequence[str]) -> None:
    for name in heading:
        if name not in COLUMNS:
            raise ConfigError(
                f"{file}:1: {name!r} is no column that is known here; known: {', '.join(COLUMNS)}."
            )
        if heading.count(name) > 1:
            raise ConfigError(f"{file}:1: {name} is there twice.")
    for name in REQUIRED:
        if name not in heading:
            raise ConfigError(f"{file}:1: {name} is missing; needed: {', '.join(REQUIRED)}.")


def _published(where: str, heading: Sequence[str], cells: Sequence[str]) -> PublishedLatency:
    if len(cells) != len(heading):
        raise ConfigError(
            f"{where}: has {len(cells)} cells, but the heading {len(heading)}; quote what holds a comma."
        )
    for name, cell in zip(heading, cells, strict=True):
        if not cell.isprintable():
            raise ConfigError(
                f"{where}: {name} is {cell!r}, which can't be shown in a line; leave out what is no text."
            )
    told = {name: cell for name, cell in zip(heading, cells, strict=True) if cell}
    try:
        return _NUMBERS.validate_strings(told, strict=True)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_words(error)}.") from error


def _words(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    column = str(first["loc"][0])
    if first["type"] == "missing":
        return f"{column} is missing"
    hint = ", as a share of 1" if column == "accuracy" else ""
    return f"{column} is {first['input']!r}, but has to be {first['msg'].removeprefix('Input should be ')}{hint}"
