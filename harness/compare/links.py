"""Links between the runs of a pair: common blocks, or a reference that both batches measured.

A device changes between two batches, which looks like a difference between what they measured. So
latencies are compared in the blocks of one batch, or else through a third case that both batches
measured. Pure functions.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from math import nan
from typing import TypeAlias

from harness.bench.statistics import (
    MIN_PAIRS,
    estimate_bridged_ratio,
    estimate_paired_ratio,
    estimate_unpaired_ratio,
)
from harness.core.comparison import Basis, Estimate, Evidence, Pair, RepeatedCase

Block: TypeAlias = tuple[str, int]
"""A batch and the number of a block in it."""
Averages: TypeAlias = Mapping[Block, float]


@dataclass(frozen=True)
class CaseLink:
    """The runs by which a pair is compared.

    `baseline` and `candidate` are the newest measurements, or of one side an earlier one that
    shares a batch with the other's, if `is_earlier`. `reference` is the artifact whose averages, by
    block, are `reference_us`.
    """

    basis: Basis
    baseline: Evidence
    candidate: Evidence
    is_earlier: bool = False
    reference: str | None = None
    reference_us: Averages = field(default_factory=dict)


@dataclass(frozen=True)
class LinkIndex:
    """Cases with several measurements, by id and by the batches that measured them.

    `averages_us` holds the averages of a case in all its blocks, by its id.
    """

    by_id: Mapping[str, RepeatedCase]
    averages_us: Mapping[str, Averages]
    ids_by_batch: Mapping[str, frozenset[str]]


def index_cases(cases: Iterable[RepeatedCase]) -> LinkIndex:
    """Return an index of the cases that may link batches."""
    by_id = {case.id: case for case in cases}
    averages_us = {id: merge_blocks(case.measurements) for id, case in by_id.items()}
    ids_by_batch: dict[str, set[str]] = defaultdict(set)
    for id, averages in averages_us.items():
        for batch, _ in averages:
            ids_by_batch[batch].add(id)
    return LinkIndex(
        by_id,
        averages_us,
        ids_by_batch={batch: frozenset(ids) for batch, ids in ids_by_batch.items()},
    )


def merge_blocks(measurements: Iterable[Evidence]) -> Averages:
    """Return the averages of all measurements by block, each of which belongs to one of them."""
    averages: dict[Block, float] = {}
    for evidence in measurements:
        averages.update(evidence.by_block)
    return averages


def share_enough_blocks(baseline: Evidence, candidate: Evidence) -> bool:
    """Return whether both were measured side by side in enough blocks for a verdict."""
    return _count_shared_blocks((baseline, candidate)) >= MIN_PAIRS


def _count_shared_blocks(sides: tuple[Evidence, Evidence]) -> int:
    first, second = sides
    return _count_shared(first.by_block, second.by_block)


def _count_shared(first: Averages, second: Averages) -> int:
    return len(first.keys() & second.keys())


def find_link(pair: Pair, baseline: Evidence, candidate: Evidence, index: LinkIndex) -> CaseLink:
    """Return the best link between two sides, whose newest measurements are given.

    These are preferred, in this order:

    1. The blocks that the newest measurements share.
    2. The blocks that an earlier measurement of one side shares with the other's newest.
    3. A reference: a third case on the same device, with as many threads, in both batches.

    Each needs six blocks. Of several references, the one with the most common blocks is taken. The
    side with fewer of them counts, then both; among equals, the smallest id decides. A reference is
    unsuitable if the tool's clock could not time it.
    """
    if share_enough_blocks(baseline, candidate):
        return CaseLink(Basis.BLOCKS, baseline, candidate=candidate)
    return (
        _find_earlier_blocks(pair, baseline, candidate=candidate, index=index)
        or _find_reference(pair, baseline, candidate=candidate, index=index)
        or CaseLink(Basis.SEPARATE, baseline, candidate=candidate)
    )


def _find_earlier_blocks(
    pair: Pair, baseline: Evidence, candidate: Evidence, index: LinkIndex
) -> CaseLink | None:
    sides = [(earlier, candidate) for earlier in _list_newest(index, pair.baseline["case_id"])]
    sides += [(baseline, earlier) for earlier in _list_newest(index, pair.candidate["case_id"])]
    usable = [
        (first, second)
        for first, second in sides
        if share_enough_blocks(first, second) and all((*first.averages_us, *second.averages_us))
    ]
    if not usable:
        return None
    # `max` takes the first of equals, which is the newest.
    first, second = max(usable, key=_count_shared_blocks)
    return CaseLink(Basis.BLOCKS, first, candidate=second, is_earlier=True)


def _list_newest(index: LinkIndex, case_id: str) -> tuple[Evidence, ...]:
    """Return all measurements of a case, the newest first."""
    return index.by_id[case_id].measurements[::-1] if case_id in index.by_id else ()


def _find_reference(
    pair: Pair, baseline: Evidence, candidate: Evidence, index: LinkIndex
) -> CaseLink | None:
    sides = {pair.baseline["case_id"], pair.candidate["case_id"]}
    place = pair.candidate["device"], pair.candidate["threads"]
    ids = _find_cases(baseline, index) & _find_cases(candidate, index) - sides
    links = []
    for case in (index.by_id[id] for id in sorted(ids)):
        link = CaseLink(
            Basis.REFERENCE,
            baseline,
            candidate=candidate,
            reference=case.artifact,
            reference_us=index.averages_us[case.id],
        )
        if (case.device, case.threads) == place and _is_sound(link):
            links.append(link)
    return max(links, key=_count_blocks, default=None)


def _find_cases(evidence: Evidence, index: LinkIndex) -> frozenset[str]:
    batches = {batch for batch, _ in evidence.by_block}
    return frozenset(chain.from_iterable(index.ids_by_batch.get(batch, ()) for batch in batches))


def _is_sound(link: CaseLink) -> bool:
    shared = (link.baseline.by_block.keys() | link.candidate.by_block.keys()) & (
        link.reference_us.keys()
    )
    return _count_blocks(link)[0] >= MIN_PAIRS and all(link.reference_us[key] for key in shared)


def _count_blocks(link: CaseLink) -> tuple[int, int]:
    """Return on the side that shares fewer blocks with the reference how many, and on both."""
    counts = [
        _count_shared(side.by_block, link.reference_us) for side in (link.baseline, link.candidate)
    ]
    return min(counts), sum(counts)


def estimate_linked_ratio(link: CaseLink) -> Estimate:
    """Estimate how many times as long the candidate takes, as the link allows.

    The value is NaN if a time of either side was below the resolution of the tool's clock.
    """
    baseline, candidate = link.baseline, link.candidate
    if not all((*baseline.averages_us, *candidate.averages_us)):
        return Estimate(nan)
    if link.basis is Basis.BLOCKS:
        return estimate_paired_ratio(*pair_blocks(baseline.by_block, candidate.by_block))
    if link.basis is Basis.REFERENCE:
        return estimate_bridged_ratio(
            _divide(baseline.by_block, link.reference_us),
            _divide(candidate.by_block, link.reference_us),
        )
    return estimate_unpaired_ratio(baseline.averages_us, candidate.averages_us)


def pair_blocks(first: Averages, second: Averages) -> tuple[list[float], list[float]]:
    """Return the averages of both in the blocks that they share."""
    shared = sorted(first.keys() & second.keys())
    return [first[block] for block in shared], [second[block] for block in shared]


def _divide(averages: Averages, reference_us: Averages) -> list[float]:
    pairs = zip(*pair_blocks(averages, reference_us), strict=True)
    return [average / reference for average, reference in pairs]
