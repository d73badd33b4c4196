"""A comparison from the database: which rows, what stands behind them, and what they say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.core.comparison import Comparison
from harness.pipeline.compare import Row, compared, pairs, selected
from harness.store.reading import correct_images, evidence

if TYPE_CHECKING:
    from sqlalchemy import Engine


def comparisons(reader: "Engine", rows: Sequence[Row], baseline: str, candidate: str) -> list[Comparison]:
    """One a pair of these rows of `results`. Raises RequestError where a word selects nothing, or nothing matches."""
    chosen = [row for word in (baseline, candidate) for row in selected(rows, word)]
    behind = evidence(reader, {row["measurement_id"] for row in chosen})
    held = pairs(rows, baseline, candidate, behind)
    return compared(held, behind, correct_images(reader, {row["artifact"] for row in chosen}))
