"""Warnings about a measurement, and the text that stands for them in the column `quality`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

OK = "ok"
_BETWEEN_WARNINGS = "; "
_BETWEEN_FIELDS = ": "


@dataclass(frozen=True)
class Warning:
    """A reason to distrust a number: `value` is what was seen, `remedy` what to do about it."""

    name: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return _BETWEEN_FIELDS.join(filter(None, (self.name, self.value, self.remedy)))


def name_warnings(warnings: Iterable[Warning]) -> str:
    """Return the warnings' names alone, for a cell of a table; `ok` without any."""
    return ", ".join(warning.name for warning in warnings) or OK


def format_quality(warnings: Iterable[Warning]) -> str:
    """Return `name: value: remedy` for each warning, joined by `; `; `ok` without any.

    A separator inside a field gets a backslash between the mark and the space.
    """
    return _BETWEEN_WARNINGS.join(_format_warning(warning) for warning in warnings) or OK


def parse_quality(text: str) -> tuple[Warning, ...]:
    """Return the warnings of a stored text. Fields that an old row lacks are empty."""
    if text in ("", OK):
        return ()
    parts: list[str] = []
    for part in text.split(_BETWEEN_WARNINGS):
        if parts and _BETWEEN_FIELDS not in part:
            # Old rows have no escapes, so this is the rest of a device's id in the remedy.
            parts[-1] += _BETWEEN_WARNINGS + part
        else:
            parts.append(part)
    return tuple(map(_parse_warning, parts))


def _format_warning(warning: Warning) -> str:
    fields = (
        _escape(warning.name, ";:"),
        _escape(warning.value, ";:"),
        # The last field: a colon in it separates nothing.
        _escape(warning.remedy, ";"),
    )
    return _BETWEEN_FIELDS.join(fields)


def _parse_warning(text: str) -> Warning:
    name, _, others = text.partition(_BETWEEN_FIELDS)
    value, _, remedy = others.partition(_BETWEEN_FIELDS)
    return Warning(_unescape(name, ";:"), _unescape(value, ";:"), remedy=_unescape(remedy, ";"))


def _escape(field: str, marks: str) -> str:
    """Lengthen any run of backslashes between a mark and a space by one, an empty run included."""
    return re.sub(rf"([{marks}]\\*) ", r"\1\\ ", field)


def _unescape(field: str, marks: str) -> str:
    return re.sub(rf"([{marks}]\\*)\\ ", r"\1 ", field)
