"""Markdown tables that GitHub and MkDocs show alike."""

import re
from collections.abc import Iterable, Sequence
from html import escape

BAR = "&#124;"  # inside a cell: a bar as it is would start the next one


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar or a line break inside a cell does not end it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(_format_row(cells) for cells in lines) + "\n"


def as_code(text: object) -> str:
    return f"`{text}`"


def _format_row(cells: Sequence[str]) -> str:
    texts = [re.sub(r"`([^`]*\|[^`]*)`", _code_with_bars, " ".join(cell.split())) for cell in cells]
    return f"| {' | '.join(text.replace('|', BAR) for text in texts)} |"


def _code_with_bars(span: re.Match[str]) -> str:
    """Write a code span as HTML: MkDocs would show the backslash before a bar."""
    return f"<code>{escape(span[1])}</code>"
