"""The named questions: `db/queries/NAME.sql`, each with its purpose and its parameters in comments at its top."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite
from pathlib import Path
from typing import TypeAlias

from harness.core.errors import RequestError
from harness.core.sweep import Precision
from harness.store.files.workspace import db_folder

ParameterValue: TypeAlias = str | int | float
_PARAMETER = re.compile(r"-- :(?P<name>\w+) (?P<kind>\w+) = (?P<default>'.*?'|\S+) (?P<meaning>.+)")


def _number(value: ParameterValue) -> float:
    if not isfinite(number := float(value)):
        raise ValueError
    return number


def _share(value: ParameterValue) -> float:
    if not 0 <= (share := float(value)) <= 1:
        raise ValueError
    return share


KINDS: dict[str, tuple[Callable[[ParameterValue], ParameterValue], str]] = {
    "text": (str, "text"),
    "number": (_number, "a number"),
    "share": (_share, "a number from 0 to 1"),
    "date": (lambda value: date.fromisoformat(str(value)).isoformat(), "a date, as 2024-12-31"),
    "precision": (lambda value: Precision(value).value, "binary, float32 or int8"),
}
"""What values there are: how one is read, and the words for people where it is none."""


@dataclass(frozen=True)
class Parameter:
    """`:name` in the SQL; `kind` is one of KINDS."""

    kind: str
    default: ParameterValue
    meaning: str

    def parse(self, name: str, value: ParameterValue) -> ParameterValue:
        """Raises RequestError where it is not of this kind."""
        read, words = KINDS[self.kind]
        try:
            return value if value == self.default else read(value)
        except ValueError as error:
            raise RequestError(
                f"--param {name}={value}: has to be {words}: {self.meaning}."
            ) from error


@dataclass(frozen=True)
class NamedQuery:
    """Its file's first line is a comment that says what it is for; the next ones `-- :NAME KIND = DEFAULT meaning`."""

    name: str
    purpose: str
    parameters: Mapping[str, Parameter]
    sql: str

    def parse_values(self, given: Mapping[str, ParameterValue]) -> dict[str, ParameterValue]:
        """Of every parameter. Raises RequestError where there is none of that name, or a value is not of its kind."""
        for name in given:
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise RequestError(
                    f"--param {name}: the query {self.name} has no such parameter; it has: {known}."
                )
        return {
            name: one.parse(name, given.get(name, one.default))
            for name, one in self.parameters.items()
        }


def load_named_queries() -> dict[str, NamedQuery]:
    return {file.stem: _named(file) for file in sorted((db_folder() / "queries").glob("*.sql"))}


def _named(file: Path) -> NamedQuery:
    lines = file.read_text().splitlines()
    found = (_PARAMETER.fullmatch(line) for line in lines)
    parameters = {
        one["name"]: Parameter(one["kind"], _literal(one["default"]), meaning=one["meaning"])
        for one in found
        if one
    }
    sql = "\n".join(line for line in lines if not line.startswith("--"))
    return NamedQuery(
        file.stem, lines[0].removeprefix("--").strip(), parameters=parameters, sql=sql
    )


def _literal(text: str) -> ParameterValue:
    """As SQL has it: a text in quotes, or a number."""
    if text.startswith("'"):
        return text[1:-1]
    return float(text) if "." in text else int(text)
