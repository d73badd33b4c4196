from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from harness.compare.links import CaseLink, estimate_linked_ratio, find_link, index_cases
from harness.core.comparison import Basis, Evidence, Pair, RepeatedCase
from tests.rows import result_row

BASELINE = result_row(case_id="baseline")
CANDIDATE = result_row(case_id="candidate", measurement_id=2)
PAIR = Pair(BASELINE, CANDIDATE)
STEADY = (100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8)


def in_batch(batch: str, factor: float = 1.0, averages: Sequence[float] = STEADY) -> Evidence:
    values = tuple(factor * average for average in averages)
    return Evidence(values, {(batch, number): value for number, value in enumerate(values)})


def repeat(id: str, *measurements: Evidence, threads: int = 1, device: str = "pi4") -> RepeatedCase:
    return RepeatedCase(
        id, artifact=id * 8, device=device, threads=threads, measurements=measurements
    )


def link_batches(*cases: RepeatedCase, candidate: Evidence | None = None) -> CaseLink:
    """Link a baseline in batch b1 with a candidate in batch b2."""
    return find_link(
        PAIR,
        in_batch("b1"),
        candidate=candidate or in_batch("b2", factor=3.0),
        index=index_cases(cases),
    )


REFERENCE = repeat("reference", in_batch("b1", 2.0), in_batch("b2", 3.0))


def test_a_case_of_both_batches_is_the_reference() -> None:
    """The device takes half as long again in the second batch; the ratio allows for that."""
    link = link_batches(REFERENCE)
    assert (link.basis, link.reference) == (Basis.REFERENCE, REFERENCE.artifact)
    assert estimate_linked_ratio(link).value == pytest.approx(2.0)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(repeat("c", in_batch("b1"), in_batch("b3")), id="another batch"),
        pytest.param(repeat("c", in_batch("b1"), in_batch("b2"), threads=4), id="other threads"),
        pytest.param(repeat("c", in_batch("b1"), in_batch("b2"), device="pi5"), id="other device"),
        pytest.param(
            repeat("c", in_batch("b1"), in_batch("b2", averages=STEADY[:5])), id="too few blocks"
        ),
        pytest.param(
            repeat("c", in_batch("b1"), in_batch("b2", averages=(0.0, *STEADY[1:]))),
            id="a time under the clock's resolution",
        ),
    ],
)
def test_a_case_that_cannot_link_is_passed_over(case: RepeatedCase) -> None:
    assert link_batches(case).basis is Basis.SEPARATE
    assert link_batches(case, REFERENCE).reference == REFERENCE.artifact


def test_the_reference_with_the_most_blocks_is_taken_whatever_the_order() -> None:
    few = repeat("few", in_batch("b1"), in_batch("b2", averages=STEADY[:6]))
    full = repeat("full", in_batch("b1"), in_batch("b2"))
    last = repeat("last", in_batch("b1"), in_batch("b2"))
    for cases in permutations((few, full, last)):
        assert link_batches(*cases).reference == full.artifact


def test_a_side_that_is_the_reference_is_paired_in_the_batch_of_the_other() -> None:
    itself = repeat("baseline", in_batch("b2", 1.5), in_batch("b1"))
    link = link_batches(itself, REFERENCE)
    assert (link.basis, link.reference, link.is_earlier) == (Basis.BLOCKS, None, True)
    assert link.baseline == itself.measurements[0]
    assert estimate_linked_ratio(link).value == pytest.approx(2.0)


def test_the_newest_measurements_are_preferred_to_earlier_ones() -> None:
    together = in_batch("b1", 2.0)
    earlier = repeat("baseline", in_batch("b0"), in_batch("b1"))
    link = find_link(
        PAIR, in_batch("b1"), candidate=together, index=index_cases([earlier, REFERENCE])
    )
    assert link == CaseLink(Basis.BLOCKS, in_batch("b1"), candidate=together)


def test_the_newest_of_equal_earlier_measurements_is_compared() -> None:
    wide = Evidence(2 * STEADY, {**in_batch("b2").by_block, **in_batch("b3").by_block})
    old, new = in_batch("b2"), in_batch("b3")
    link = link_batches(repeat("baseline", old, new, in_batch("b1")), candidate=wide)
    assert link.baseline == new


def test_a_side_under_the_clocks_resolution_has_no_ratio() -> None:
    unreadable = in_batch("b2", averages=(0.0, *STEADY[1:]))
    estimate = estimate_linked_ratio(link_batches(REFERENCE, candidate=unreadable))
    assert estimate.value != estimate.value
    assert estimate.p is None


def test_a_side_without_blocks_is_apart() -> None:
    link = link_batches(REFERENCE, candidate=replace(in_batch("b2"), by_block={}))
    assert link.basis is Basis.SEPARATE
