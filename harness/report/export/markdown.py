"""A comparison as GitHub-flavoured Markdown (github.github.com/gfm), for a job's summary or a pull request."""

import re

from rich.table import Table

from harness.core.comparison import Comparison
from harness.report.judgement import LEGEND, Asked, plain_cells, regressions, told, unseen
from harness.report.terminal.tables import comparison

_MARKS = re.compile(r"[\\|`*_~<>\[\]&#]")


def as_markdown(found: list[Comparison], asked: Asked) -> bytes:
    """A table of the pairs, then the sentences; first of these what is worse than it may be."""
    sentences = (
        *(f"Regression: {line}" for one in found for line in regressions(one, asked)),
        *(f"Not seen: {line}" for line in unseen(found, asked)),
        *told(found, asked),
    )
    parts = (
        f"### {_plain(asked.title)}",
        LEGEND.capitalize(),
        _table(comparison(found, asked.metrics)),
        "\n".join(f"- {_plain(line)}" for line in sentences),
    )
    return ("\n\n".join(parts) + "\n").encode()


def _table(made: Table) -> str:
    headings = [str(column.header) for column in made.columns]
    ruler = ["---:" if column.justify == "right" else "---" for column in made.columns]
    rows = ([_plain(cell) for cell in row.values()] for row in plain_cells(made))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, ruler, *rows))


def _plain(text: str) -> str:
    """As it is, on one line: a pipe in a name ends no cell, and a star begins no emphasis."""
    return _MARKS.sub(r"\\\g<0>", " ".join(text.split()))
