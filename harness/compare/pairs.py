"""Pair the rows of a baseline and a candidate, and say what each pair's numbers show."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import nan
from typing import TYPE_CHECKING, Any

from harness.bench.statistics import (
    MIN_PAIRS,
    adjust_p_values,
    decide_verdict,
    estimate_accuracy_difference,
    estimate_paired_ratio,
    estimate_smallest_change,
    estimate_unpaired_ratio,
)
from harness.conversion.evaluate import unpack_correct
from harness.core.comparison import Comparison, Estimate, Evidence, Pair
from harness.core.errors import RequestError
from harness.core.sweep import Precision
from harness.store.reading import read_correct_images, read_evidence

if TYPE_CHECKING:
    from sqlalchemy import Engine
from harness.compare.conditions import describe_differences

Row = dict[str, Any]
Key = tuple[Any, ...]
Correct = Mapping[tuple[str, str], bytes]
_ALIKE = ("device", "threads")
_SHORTEST_PREFIX = 4
_PRECISIONS = frozenset(precision.value for precision in Precision)


def compare_rows(
    reader: "Engine", rows: Sequence[Row], baseline: str, candidate: str
) -> list[Comparison]:
    """Compare each pair of these rows of `results`.

    Raises RequestError where a word selects nothing, or nothing matches.
    """
    chosen = [row for word in (baseline, candidate) for row in select_rows(rows, word)]
    behind = read_evidence(reader, {row["measurement_id"] for row in chosen})
    held = pair_rows(rows, baseline, candidate=candidate, evidence=behind)
    return compare_pairs(
        held, behind, correct=read_correct_images(reader, {row["artifact"] for row in chosen})
    )


def select_rows(rows: Sequence[Row], word: str) -> list[Row]:
    """Those of a precision, trial, artifact or model file. Raises RequestError where there are none."""
    found = list(filter(_selects(word), rows))
    if not found:
        raise RequestError(
            f"{word!r} is no precision, trial, artifact or model file that has been measured; "
            "`harness query leaderboard` lists them."
        )
    return found


def _selects(word: str) -> Callable[[Row], bool]:
    if word in _PRECISIONS:
        return lambda row: row["precision"] == word
    if len(word) < _SHORTEST_PREFIX:
        return lambda row: row["file"] == word
    return lambda row: (
        str(row["trial"] or "").startswith(word)
        or row["artifact"].startswith(word)
        or row["file"] == word
    )


def pair_rows(
    rows: Sequence[Row], baseline: str, candidate: str, evidence: Mapping[int, Evidence]
) -> tuple[Pair, ...]:
    """Every baseline row with its candidate row, on the same device and threads; of two precisions only twins.

    Of several measurements of one artifact, the two that were made most alike. `evidence` is that of the selected rows.
    Raises RequestError where a word selects nothing or more than one artifact a device, or nothing matches.
    """
    twins = ("twin", "format") if baseline in _PRECISIONS and candidate in _PRECISIONS else ()
    old, new = (
        _by_key(select_rows(rows, word), word, keys=(*_ALIKE, *twins))
        for word in (baseline, candidate)
    )
    found = tuple(
        _most_alike(held, new[key], evidence=evidence) for key, held in old.items() if key in new
    )
    if not found:
        raise RequestError(
            f"{baseline} and {candidate} were never measured alike "
            "(same device and threads; of two precisions, twins); bench both."
        )
    return found


def _by_key(chosen: Sequence[Row], word: str, keys: Sequence[str]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in chosen:
        found[tuple(row[key] for key in keys)].append(row)
    for first, *others in found.values():
        if other := next((row for row in others if row["artifact"] != first["artifact"]), None):
            raise RequestError(
                f"{word!r} selects several artifacts on {first['device']} "
                f"({first['artifact'][:12]} and {other['artifact'][:12]}); name one of them."
            )
    return dict(found)


def _most_alike(old: Sequence[Row], new: Sequence[Row], evidence: Mapping[int, Evidence]) -> Pair:
    """The fewest differences; of several such, those of one batch; of several such, the newest."""

    def alike(pair: Pair) -> tuple[Any, ...]:
        old_batches, new_batches = (
            {batch for batch, _ in one.by_block} for one in _behind(pair, evidence)
        )
        newest = pair.candidate["measured_at"], pair.baseline["measured_at"]
        return -len(pair.differences), not old_batches.isdisjoint(new_batches), *newest

    possible = (Pair(*both) for both in product(old, new))
    told = (
        replace(pair, differences=describe_differences(pair, *_behind(pair, evidence)))
        for pair in possible
    )
    return max(told, key=alike)


def _behind(pair: Pair, evidence: Mapping[int, Evidence]) -> tuple[Evidence, Evidence]:
    return evidence[pair.baseline["measurement_id"]], evidence[pair.candidate["measurement_id"]]


def compare_pairs(
    held: Sequence[Pair], evidence: Mapping[int, Evidence], correct: Correct
) -> list[Comparison]:
    """What each pair says. One that is faster by chance is the likelier the more there are: all are judged together.

    `correct` holds `Artifact.correct` by trial and artifact, where it is known.
    """
    found = [_latency_ratio(*_behind(pair, evidence)) for pair in held]
    known = sum(one.error is not None for one in found)
    latencies = [
        replace(one, smallest_change=estimate_smallest_change(one, known)) for one in found
    ]
    chances = adjust_p_values([latency.p for latency in latencies])
    return [
        Comparison(
            pair,
            latency,
            size=_size_ratio(pair),
            accuracy=_accuracy_difference(pair, correct),
            verdict=decide_verdict(latency, p),
            p=p,
        )
        for pair, latency, p in zip(held, latencies, chances, strict=True)
    ]


def _latency_ratio(old: Evidence, new: Evidence) -> Estimate:
    """Block by block where both were measured side by side often enough: what slows both cancels out there."""
    if not all((*old.averages_us, *new.averages_us)):
        return Estimate(nan)  # under the resolution of the tool's clock
    shared = sorted(old.by_block.keys() & new.by_block.keys())
    if len(shared) < MIN_PAIRS:
        return estimate_unpaired_ratio(old.averages_us, new.averages_us)
    return estimate_paired_ratio(
        [old.by_block[block] for block in shared], [new.by_block[block] for block in shared]
    )


def _size_ratio(pair: Pair) -> Estimate:
    return Estimate(pair.candidate["size_bytes"] / pair.baseline["size_bytes"])


def _accuracy_difference(pair: Pair, correct: Correct) -> Estimate | None:
    """Candidate minus baseline, in shares of 1; image by image where both say which of the same images they got right.

    None where either has no accuracy.
    """
    old, new = pair.baseline, pair.candidate
    if old["accuracy"] is None or new["accuracy"] is None:
        return None
    bits = [
        unpack_correct(correct[key])
        for row in (old, new)
        if (key := (row["trial"], row["artifact"])) in correct
    ]
    if len(bits) == 2 and old["dataset"] == new["dataset"] and len(bits[0]) == len(bits[1]):
        return estimate_accuracy_difference(*bits)
    return Estimate(new["accuracy"] - old["accuracy"])
