"""The named queries, `db/queries/NAME.sql`, whose first comments state purpose and parameters."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import TypeAlias

from harness.core.errors import RequestError
from harness.core.sweep import Precision
from harness.store.files.workspace import db_folder

ParameterValue: TypeAlias = str | int | float
_PARAMETER = re.compile(r"-- :(?P<name>\w+) (?P<kind>\w+) = (?P<default>'.*?'|\S+) (?P<meaning>.+)")


def _parse_number(value: ParameterValue) -> float:
    if not isfinite(number := float(value)):
        raise ValueError
    return number


def _parse_share(value: ParameterValue) -> float:
    if not 0 <= (share := float(value)) <= 1:
        raise ValueError
    return share


KINDS: dict[str, tuple[Callable[[ParameterValue], ParameterValue], str]] = {
    "text": (str, "text"),
    "number": (_parse_number, "a number"),
    "share": (_parse_share, "a number from 0 to 1"),
    "date": (
        lambda value: date.fromisoformat(str(value)).isoformat(),
        "a date such as 2024-12-31",
    ),
    "precision": (lambda value: Precision(value).value, "binary, float32 or int8"),
}
"""The parser of each kind of value, and its description for error messages."""


@dataclass(frozen=True)
class Parameter:
    """A parameter `:name` of the SQL; `kind` is a key of KINDS."""

    kind: str
    default: ParameterValue
    meaning: str

    def parse(self, name: str, value: ParameterValue) -> ParameterValue:
        """Return the value as its kind requires. Raises RequestError if it is of another kind."""
        parse, description = KINDS[self.kind]
        try:
            return value if value == self.default else parse(value)
        except ValueError as error:
            raise RequestError(
                f"--param {name}={value}: expected {description} ({self.meaning})."
            ) from error


@dataclass(frozen=True)
class NamedQuery:
    """A query from a file whose first line is a comment with its purpose.

    Each of the next comments describes a parameter: `-- :NAME KIND = DEFAULT meaning`.
    """

    name: str
    purpose: str
    parameters: Mapping[str, Parameter]
    sql: str

    def parse_values(self, values: Mapping[str, ParameterValue]) -> dict[str, ParameterValue]:
        """Return a value for every parameter, the default where none is given.

        Raises RequestError for an unknown parameter, or a value of the wrong kind.
        """
        for name in values:
            if name not in self.parameters:
                parameters = ", ".join(self.parameters)
                hint = f"Its parameters: {parameters}." if parameters else "It has none."
                raise RequestError(f"--param {name}: unknown parameter of {self.name!r}. {hint}")
        return {
            name: parameter.parse(name, values.get(name, parameter.default))
            for name, parameter in self.parameters.items()
        }


def load_named_queries() -> dict[str, NamedQuery]:
    return {
        file.stem: _parse_query(file) for file in sorted((db_folder() / "queries").glob("*.sql"))
    }


def find_named_query(text: str) -> NamedQuery | None:
    """Return the query of this name, or None if the text is SQL.

    Raises RequestError if the text is a single word, and no query has that name.
    """
    queries = load_named_queries()
    if text in queries or len(text.split()) != 1:
        return queries.get(text)
    matches = get_close_matches(text, queries, n=1)
    hint = f"Did you mean {matches[0]!r}?" if matches else f"Known queries: {', '.join(queries)}."
    raise RequestError(f"Unknown query {text!r}. {hint}")


def _parse_query(file: Path) -> NamedQuery:
    lines = file.read_text().splitlines()
    parameters = {
        match["name"]: Parameter(
            match["kind"], _parse_literal(match["default"]), meaning=match["meaning"]
        )
        for match in map(_PARAMETER.fullmatch, lines)
        if match
    }
    sql = "\n".join(line for line in lines if not line.startswith("--"))
    purpose = lines[0].removeprefix("--").strip()
    return NamedQuery(file.stem, purpose, parameters=parameters, sql=sql)


def _parse_literal(text: str) -> ParameterValue:
    """Parse a value as SQL writes it: text in quotes, or a number."""
    if text.startswith("'"):
        return text[1:-1]
    return float(text) if "." in text else int(text)
