"""Pair the rows of a baseline and a candidate, and compare each pair."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product, starmap
from typing import TYPE_CHECKING, Any

from harness.bench.statistics import (
    adjust_p_values,
    decide_verdict,
    estimate_accuracy_difference,
    estimate_smallest_change,
)
from harness.compare.conditions import describe_link, list_differences
from harness.compare.links import (
    CaseLink,
    estimate_linked_ratio,
    find_link,
    index_cases,
    share_enough_blocks,
)
from harness.conversion.evaluate import unpack_correct
from harness.core.comparison import (
    Comparison,
    Estimate,
    Evidence,
    Pair,
    RepeatedCase,
    ResultRow,
)
from harness.core.errors import RequestError
from harness.core.sweep import Precision
from harness.store.reading import read_correct_images, read_evidence, read_repeated_cases

if TYPE_CHECKING:
    from sqlalchemy import Engine

Key = tuple[Any, ...]
CorrectImages = Mapping[tuple[str, str], bytes]
"""`Artifact.correct` by trial and artifact, where it is known."""

_MATCHED_COLUMNS = ("device", "threads")
_TWIN_COLUMNS = ("twin", "format")
_MIN_PREFIX_LENGTH = 4
_PRECISIONS = frozenset(precision.value for precision in Precision)


def compare_rows(
    reader: "Engine", rows: Sequence[ResultRow], baseline: str, candidate: str
) -> list[Comparison]:
    """Compare each pair that `baseline` and `candidate` select from rows of `results`.

    The database holds the runs and the correct images behind the rows. Raises RequestError if
    either selects nothing, or if no rows match.
    """
    selection = [*select_rows(rows, baseline), *select_rows(rows, candidate)]
    evidence = read_evidence(reader, {row["measurement_id"] for row in selection})
    pairs = pair_rows(rows, baseline, candidate=candidate, evidence=evidence)
    devices_apart = {
        pair.candidate["device"]
        for pair in pairs
        if not share_enough_blocks(*_evidence_of(pair, evidence))
    }
    return compare_pairs(
        pairs,
        evidence,
        correct_images=read_correct_images(reader, {row["artifact"] for row in selection}),
        repeated_cases=read_repeated_cases(reader, devices_apart) if devices_apart else (),
    )


def select_rows(rows: Sequence[ResultRow], selector: str) -> list[ResultRow]:
    """Return the rows of a precision, trial, artifact or model file.

    Trials and artifacts may be given by the first four characters or more. Raises RequestError
    if there are none.
    """
    selection = list(filter(_make_filter(selector), rows))
    if not selection:
        raise RequestError(
            f"{selector!r} selects no measured precision, trial, artifact or model file; "
            "see what there is with `harness query leaderboard`."
        )
    return selection


def _make_filter(selector: str) -> Callable[[ResultRow], bool]:
    if selector in _PRECISIONS:
        return lambda row: bool(row["precision"] == selector)
    if len(selector) < _MIN_PREFIX_LENGTH:
        return lambda row: bool(row["file"] == selector)
    return lambda row: (
        str(row["trial"] or "").startswith(selector)
        or row["artifact"].startswith(selector)
        or row["file"] == selector
    )


def pair_rows(
    rows: Sequence[ResultRow], baseline: str, candidate: str, evidence: Mapping[int, Evidence]
) -> tuple[Pair, ...]:
    """Pair every baseline row with its candidate row on the same device and thread count.

    Two precisions pair only twins. Of several measurements of one artifact, the two under the
    most similar conditions make the pair. `evidence`, by `measurement_id`, covers the selected
    rows. Raises RequestError if either selects nothing or several artifacts for one pair, or if
    no rows match.
    """
    twins_only = baseline in _PRECISIONS and candidate in _PRECISIONS
    columns = (*_MATCHED_COLUMNS, *(_TWIN_COLUMNS if twins_only else ()))
    baseline_groups = _group_rows(select_rows(rows, baseline), columns, selector=baseline)
    candidate_groups = _group_rows(select_rows(rows, candidate), columns, selector=candidate)
    pairs = tuple(
        _choose_pair(baseline_rows, candidate_groups[key], evidence=evidence)
        for key, baseline_rows in baseline_groups.items()
        if key in candidate_groups
    )
    if not pairs:
        subject = "No twins of" if twins_only else "No measurements of"
        raise RequestError(
            f"{subject} {baseline} and {candidate} share a device and a thread count; "
            "measure both with `harness bench`."
        )
    return pairs


def _group_rows(
    rows: Sequence[ResultRow], columns: Sequence[str], selector: str
) -> dict[Key, list[ResultRow]]:
    groups: dict[Key, list[ResultRow]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[column] for column in columns)].append(row)
    for first, *others in groups.values():
        if other := next((row for row in others if row["artifact"] != first["artifact"]), None):
            raise RequestError(
                f"{selector!r} selects several artifacts on {first['device']} "
                f"({first['artifact'][:12]} and {other['artifact'][:12]}); name one of them."
            )
    return dict(groups)


def _choose_pair(
    baseline_rows: Sequence[ResultRow],
    candidate_rows: Sequence[ResultRow],
    evidence: Mapping[int, Evidence],
) -> Pair:
    """Return the pair with the fewest differences, to which being measured apart belongs.

    Among equals, one measured in a common batch comes first, then the newest.
    """

    def similarity(pair: Pair) -> tuple[Any, ...]:
        baseline, candidate = _evidence_of(pair, evidence)
        share_block = not baseline.by_block.keys().isdisjoint(candidate.by_block)
        differences = len(list_differences(pair, baseline, candidate=candidate)) + (not share_block)
        share_batch = not _batches_of(baseline).isdisjoint(_batches_of(candidate))
        dates = pair.candidate["measured_at"], pair.baseline["measured_at"]
        return -differences, share_batch, *dates

    return max(starmap(Pair, product(baseline_rows, candidate_rows)), key=similarity)


def _evidence_of(pair: Pair, evidence: Mapping[int, Evidence]) -> tuple[Evidence, Evidence]:
    return evidence[pair.baseline["measurement_id"]], evidence[pair.candidate["measurement_id"]]


def _batches_of(evidence: Evidence) -> set[str]:
    return {batch for batch, _ in evidence.by_block}


def compare_pairs(
    pairs: Sequence[Pair],
    evidence: Mapping[int, Evidence],
    correct_images: CorrectImages,
    repeated_cases: Iterable[RepeatedCase] = (),
) -> list[Comparison]:
    """Compare the two sides of each pair, and list the differences between their conditions.

    All latencies are judged together: the more comparisons, the likelier a chance difference.
    `repeated_cases` may link pairs that share no batch.
    """
    index = index_cases(repeated_cases)
    links = [find_link(pair, *_evidence_of(pair, evidence), index=index) for pair in pairs]
    latencies = [estimate_linked_ratio(link) for link in links]
    total = sum(latency.error is not None for latency in latencies)
    p_values = adjust_p_values([latency.p for latency in latencies])
    return [
        Comparison(
            _describe_pair(pair, link),
            replace(latency, smallest_change=estimate_smallest_change(latency, total)),
            size=_compare_sizes(pair),
            accuracy=_compare_accuracies(pair, correct_images),
            verdict=decide_verdict(latency, p),
            p=p,
            basis=link.basis,
            reference=link.reference,
        )
        for pair, link, latency, p in zip(pairs, links, latencies, p_values, strict=True)
    ]


def _describe_pair(pair: Pair, link: CaseLink) -> Pair:
    """Return the pair with the differences between the measurements that the link compares."""
    differences = (
        *list_differences(pair, link.baseline, candidate=link.candidate),
        describe_link(pair, link),
    )
    return replace(pair, differences=tuple(filter(None, differences)))


def _compare_sizes(pair: Pair) -> Estimate:
    return Estimate(pair.candidate["size_bytes"] / pair.baseline["size_bytes"])


def _compare_accuracies(pair: Pair, correct_images: CorrectImages) -> Estimate | None:
    """Return candidate minus baseline, in shares of 1; None if either has no accuracy.

    The comparison is image by image if the correct ones of both are known for the same images.
    """
    baseline, candidate = pair.baseline, pair.candidate
    if baseline["accuracy"] is None or candidate["accuracy"] is None:
        return None
    flags = [
        unpack_correct(correct_images[key])
        for row in (baseline, candidate)
        if (key := (row["trial"], row["artifact"])) in correct_images
    ]
    if (
        len(flags) == 2
        and baseline["dataset"] == candidate["dataset"]
        and len(flags[0]) == len(flags[1])
    ):
        return estimate_accuracy_difference(*flags)
    return Estimate(candidate["accuracy"] - baseline["accuracy"])
