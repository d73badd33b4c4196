"""A comparison as GitHub-flavoured Markdown, for a job's summary or a pull request.

The format's specification is github.github.com/gfm.
"""

import re

from rich.table import Table

from harness.core.comparison import Comparison
from harness.report.terminal.tables import make_comparison_table, read_rows
from harness.report.verdicts import (
    LEGEND,
    ComparisonRequest,
    describe_comparison,
    describe_regressions,
    describe_undetectable,
)

_MARKUP = re.compile(r"[\\|`*_~<>\[\]&#]")


def as_markdown(comparisons: list[Comparison], request: ComparisonRequest) -> bytes:
    """Return a table of the pairs, then the sentences, of which regressions come first."""
    regressions: list[str] = []
    for comparison in comparisons:
        regressions += describe_regressions(comparison, request)
    sentences = (
        *(f"Regression: {line}" for line in regressions),
        *(f"Not detectable: {line}" for line in describe_undetectable(comparisons, request)),
        *describe_comparison(comparisons, request),
    )
    parts = (
        f"### {_escape(request.title)}",
        LEGEND,
        _format_table(make_comparison_table(comparisons, request.metrics)),
        "\n".join(f"- {_escape(line)}" for line in sentences),
    )
    return ("\n\n".join(parts) + "\n").encode()


def _format_table(table: Table) -> str:
    headings = [str(column.header) for column in table.columns]
    ruler = ["---:" if column.justify == "right" else "---" for column in table.columns]
    rows = [list(map(_escape, row.values())) for row in read_rows(table)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, ruler, *rows))


def _escape(text: str) -> str:
    """Return the text on one line, so escaped that a pipe or a star in a name has no effect."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
