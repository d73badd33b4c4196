from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.schedule import (
    MAX_TRIES,
    is_precise,
    is_wide,
    needs_another_process,
    order_block,
)
from harness.core.bench import PROTOCOLS, Protocol

STANDARD = PROTOCOLS["standard"]
FIXED = Protocol("fixed", processes=10)
CASES = [f"case{number}" for number in range(6)]
STEADY = [100.0] * 100
NOISY = [100.0, 150.0] * 100
WIDE = [100.0, 300.0] * 100


@given(st.text(), st.integers(0), st.sets(st.text(), min_size=1))
def test_each_case_runs_once_a_block_whatever_the_order_of_the_input(
    batch: str, block: int, cases: set[str]
) -> None:
    order = order_block(batch, block, cases=sorted(cases), ordering="interleaved")
    assert sorted(order) == sorted(cases)
    assert order == order_block(
        batch, block, cases=sorted(cases, reverse=True), ordering="interleaved"
    )


@given(st.text(), st.integers(0), st.sampled_from(CASES))
def test_a_case_that_has_enough_leaves_the_order_of_the_others_unchanged(
    batch: str, block: int, finished: str
) -> None:
    rest = [
        case
        for case in order_block(batch, block, cases=CASES, ordering="interleaved")
        if case != finished
    ]
    assert rest == order_block(
        batch, block, cases=[case for case in CASES if case != finished], ordering="interleaved"
    )


def test_all_orders_are_equally_likely() -> None:
    orders = [
        tuple(order_block("batch", block, cases=CASES[:3], ordering="interleaved"))
        for block in range(6000)
    ]
    assert [round(orders.count(order), -3) for order in permutations(CASES[:3])] == [1000] * 6


@pytest.mark.parametrize(("cases", "order"), [(["b", "a"], ["b"]), (["a"], ["a"]), ([], [])])
def test_only_the_first_case_runs_in_sequential_order(cases: list[str], order: list[str]) -> None:
    assert order_block("batch", 0, cases=cases, ordering="sequential") == order


@pytest.mark.parametrize(
    ("protocol", "counted", "disturbed", "is_needed"),
    [
        (FIXED, NOISY[:9], 0, True),
        (FIXED, NOISY[:10], 0, False),
        (FIXED, NOISY[:9], 5, True),
        (FIXED, NOISY[:9], 6, False),
        (FIXED, [], 15, False),
        (STANDARD, STEADY[:9], 0, True),
        (STANDARD, STEADY[:10], 0, False),
        (STANDARD, NOISY[:10], 0, True),
        (STANDARD, NOISY[:39], 0, True),
        (STANDARD, NOISY[:40], 0, False),
        (STANDARD, NOISY[:39], 20, True),
        (STANDARD, NOISY[:39], 21, False),
        (STANDARD, [], 60, False),
    ],
)
def test_a_case_needs_another_process_until_it_has_enough(
    protocol: Protocol, counted: Sequence[float], disturbed: int, *, is_needed: bool
) -> None:
    assert needs_another_process(protocol, counted, disturbed=disturbed) is is_needed


@pytest.mark.parametrize(
    ("counted", "limit", "is_needed"),
    [
        pytest.param(STEADY[:10], None, False, id="no limit"),
        pytest.param(STEADY[:10], 50.0, False, id="above its limit"),
        pytest.param(STEADY[:10], 200.0, False, id="below its limit"),
        pytest.param([90.0] * 5 + [110.0] * 5, 100.0, True, id="around its limit"),
        pytest.param([90.0] * 20 + [110.0] * 20, 100.0, False, id="the most processes"),
        pytest.param([100.0] * 10, 100.0, True, id="exactly at its limit"),
        pytest.param(STEADY[:9], 200.0, True, id="too few processes"),
        pytest.param(NOISY[:9], 50.0, True, id="too few processes above its limit"),
        pytest.param(WIDE[:10], 50.0, False, id="however wide above its limit"),
        pytest.param(WIDE[:10], 500.0, True, id="too wide below its limit"),
    ],
)
def test_a_case_is_measured_until_its_interval_leaves_out_its_limit(
    counted: list[float], limit: float | None, *, is_needed: bool
) -> None:
    protocol = replace(STANDARD, target=0.5)
    assert needs_another_process(protocol, counted, disturbed=0, limit=limit) is is_needed


@given(
    st.sampled_from([FIXED, replace(FIXED, target=0.02), *PROTOCOLS.values()]),
    st.lists(st.tuples(st.floats(90, 110), st.booleans()), min_size=150, max_size=150),
)
def test_measuring_ends_when_the_protocol_says(
    protocol: Protocol, processes: list[tuple[float, bool]]
) -> None:
    counted: list[float] = []
    disturbed = 0
    for average, is_disturbed in processes:
        if not needs_another_process(protocol, counted, disturbed=disturbed):
            break
        disturbed += is_disturbed
        counted += [] if is_disturbed else [average]
    max_tries = MAX_TRIES * protocol.process_limit
    assert (
        protocol.processes <= len(counted) <= protocol.process_limit
        or len(counted) + disturbed == max_tries
    )
    assert (
        not is_wide(protocol, counted)
        or len(counted) == protocol.process_limit
        or len(counted) + disturbed == max_tries
    )


@pytest.mark.parametrize(
    ("values", "target", "precise"),
    [
        ([100.0] * 5, 0.02, False),  # no interval
        ([100.0] * 6, 0.02, True),
        ([99.9, 100, 100, 100, 100, 100.1], 0.02, True),
        ([98, 99, 100, 100, 101, 102], 0.02, False),
        ([98, 99, 100, 100, 101, 102], 0.05, True),
        ([0.0] * 6, 0.02, False),  # below the clock's resolution nothing is precise
    ],
)
def test_an_interval_narrower_than_the_target_is_precise(
    values: list[float], target: float, *, precise: bool
) -> None:
    assert is_precise(values, target) is precise
    assert is_wide(replace(FIXED, target=target), values) is not precise


def test_without_a_target_nothing_is_wide() -> None:
    assert not is_wide(FIXED, NOISY)
