"""What a comparison is asked for, and the sentences that answer: the same in a terminal, in XML and in Markdown."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table

from harness.compare.regression import is_unseen, regression
from harness.core.comparison import Comparison
from harness.core.units import counted
from harness.report.terminal.tables import conclusions, told_differences


@dataclass(frozen=True)
class Asked:
    """What is held against what, by the words that people typed.

    `limit` is the share of 1 by which the candidate may be worse; None where it may be so by any.
    """

    baseline: str
    candidate: str
    metrics: tuple[str, ...]
    limit: float | None = None

    @property
    def title(self) -> str:
        return f"{self.candidate} against {self.baseline}"


LEGEND = "ratios are candidate / baseline, under 1 is faster or smaller."


def told(found: list[Comparison], asked: Asked) -> list[str]:
    """Who is faster where, and what else differed."""
    concluded = conclusions(found, asked.candidate) if "latency" in asked.metrics else []
    return [*concluded, *told_differences(found)]


def regressions(one: Comparison, asked: Asked) -> Iterator[str]:
    """A sentence for each metric that is worse by more than the limit."""
    if asked.limit is None:
        return
    for metric in asked.metrics:
        change = regression(one, metric, limit=asked.limit)
        if change is not None:
            artifact = one.pair.candidate["artifact"][:12]
            yield f"{metric} on {where(one)}: {artifact} is {change:.1%} worse, over {asked.limit:.1%}."


def unseen(found: list[Comparison], asked: Asked) -> Iterator[str]:
    """One sentence on all those that pass only because their data could not have shown a change over the limit."""
    if asked.limit is None or "latency" not in asked.metrics:
        return
    blind = [one for one in found if is_unseen(one, asked.limit)]
    if blind:
        yield (
            f"latency on {'; '.join(dict.fromkeys(map(where, blind)))}: a change of {asked.limit:.1%} would not have "
            f"shown in {len(blind)} of {counted(len(found), 'comparison')}; bench both again with --protocol thorough."
        )


def where(one: Comparison) -> str:
    row = one.pair.candidate
    return f"{row['device']}, {counted(row['threads'], 'thread')}"


def plain_cells(made: Table) -> list[dict[str, str]]:
    """Each row's cells, by heading."""
    headings = [str(column.header) for column in made.columns]
    rows = zip(*(column.cells for column in made.columns), strict=True)
    return [dict(zip(headings, map(str, row), strict=True)) for row in rows]
