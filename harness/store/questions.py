"""The named questions: `db/queries/NAME.sql`, each with its purpose and its parameters in comments at its top."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harness.core.errors import RequestError
from harness.store.workspace import db_folder

Value: TypeAlias = str | int | float
_PARAMETER = re.compile(r"-- :(?P<name>\w+) = (?P<default>'.*?'|\S+) (?P<meaning>.+)")


@dataclass(frozen=True)
class Parameter:
    """`:name` in the SQL. A value is of its default's type."""

    default: Value
    meaning: str


@dataclass(frozen=True)
class NamedQuery:
    """Its file's first line is a comment that says what it is for; the next ones `-- :NAME = DEFAULT meaning`."""

    name: str
    purpose: str
    parameters: Mapping[str, Parameter]
    sql: str

    def values(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Of every parameter. Raises RequestError where there is none of that name, or a number is none."""
        for name in given:
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise RequestError(f"--param {name}: the query {self.name} has no such parameter; it has: {known}.")
        return {name: _of_type(name, one, given.get(name, one.default)) for name, one in self.parameters.items()}


def _of_type(name: str, parameter: Parameter, value: Value) -> Value:
    kind = type(parameter.default)
    try:
        return kind(value)
    except ValueError as error:
        raise RequestError(f"--param {name}={value}: has to be a number: {parameter.meaning}.") from error


def named_queries() -> dict[str, NamedQuery]:
    return {file.stem: _named(file) for file in sorted((db_folder() / "queries").glob("*.sql"))}


def _named(file: Path) -> NamedQuery:
    lines = file.read_text().splitlines()
    found = (_PARAMETER.fullmatch(line) for line in lines)
    parameters = {one["name"]: Parameter(_literal(one["default"]), one["meaning"]) for one in found if one}
    sql = "\n".join(line for line in lines if not line.startswith("--"))
    return NamedQuery(file.stem, lines[0].removeprefix("--").strip(), parameters, sql)


def _literal(text: str) -> Value:
    """As SQL has it: a text in quotes, or a number."""
    if text.startswith("'"):
        return text[1:-1]
    return float(text) if "." in text else int(text)
