"""A reference in each batch, and limits on which measuring is decided."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.bench import Case, Protocol, Tool
from harness.fleet.events import CaseGivenUp, CaseMeasured, FleetEvent, RunEnded
from harness.fleet.plan import FleetRequest, plan_cases
from harness.fleet.references import References
from tests import tools
from tests.fleet.shelf import PLAIN, Shelf, make_request, receive_all, receive_until_idle

INTERLEAVED = replace(PLAIN, order="interleaved", processes=3)
TOOL = Tool("tool", "f" * 64)
SLOTS = (
    "SELECT cases.artifact, runs.batch, runs.block FROM runs"
    " JOIN measurements ON measurements.id = measurement_id JOIN cases ON cases.id = case_id"
    " ORDER BY runs.batch, runs.block, runs.position"
)


def make_reference_request(protocol: Protocol = INTERLEAVED) -> FleetRequest:
    return replace(make_request(["pi4"], protocol), uses_reference=True)


def bench_in_turn(
    shelf: Shelf, request: FleetRequest, artifacts: Sequence[str]
) -> list[FleetEvent]:
    """Add each artifact once the one before is measured, and return the events."""
    with shelf.open(request) as bench:
        events = []
        for artifact in artifacts:
            bench.add([artifact])
            events += receive_until_idle(bench)
        return events + receive_all(bench)


def list_blocks(shelf: Shelf) -> dict[tuple[str, int], set[str]]:
    """Return the artifacts that ran in each block of each batch."""
    blocks: dict[tuple[str, int], set[str]] = {}
    for row in shelf.rows(SLOTS):
        blocks.setdefault((row["batch"], row["block"]), set()).add(row["artifact"])
    return blocks


def count_measurements(shelf: Shelf) -> list[int]:
    """Return how many measurements each artifact has, in the order of the shelf."""
    rows = shelf.rows("SELECT artifact FROM cases JOIN measurements ON cases.id = case_id")
    measured = [row["artifact"] for row in rows]
    return [measured.count(artifact) for artifact in shelf.artifacts]


@pytest.fixture
def own_shelf(shelf: Shelf, tmp_path: Path) -> Shelf:
    return shelf.copy(tmp_path / "copy")


def test_a_later_batch_repeats_the_first_case_in_each_block(own_shelf: Shelf) -> None:
    first, second = own_shelf.artifacts
    events = bench_in_turn(own_shelf, make_reference_request(), artifacts=[first, second])
    measured = [event for event in events if isinstance(event, CaseMeasured)]
    assert [(event.case.artifact, event.is_reference) for event in measured] == [
        (first, False),
        (first, True),
        (second, False),
    ], "a search compares the second one through the reference as soon as it hears of it"
    assert sorted(map(len, list_blocks(own_shelf).values())) == [1, 1, 1, 2, 2, 2]
    assert count_measurements(own_shelf) == [2, 1]
    assert own_shelf.rows("SELECT * FROM pending_runs") == []
    assert own_shelf.rows("SELECT * FROM queue") == []


def test_a_reference_is_of_the_same_bench(own_shelf: Shelf) -> None:
    first, second = own_shelf.artifacts
    bench_in_turn(own_shelf, make_reference_request(), artifacts=[second])
    bench_in_turn(own_shelf, make_reference_request(), artifacts=[*own_shelf.artifacts])
    assert count_measurements(own_shelf) == [1, 1], "nothing was known of the second one yet"
    with own_shelf.open(replace(make_reference_request(), force=True)) as bench:
        bench.add([first, second])
        receive_all(bench)
    assert count_measurements(own_shelf) == [2, 2], "a batch that has it needs no other"


def test_a_restarted_bench_knows_what_was_measured_first(own_shelf: Shelf) -> None:
    first, second = own_shelf.artifacts
    bench_in_turn(own_shelf, make_reference_request(), artifacts=[second])
    with own_shelf.open(make_reference_request()) as bench:
        bench.add([first, second])
        receive_all(bench)
    assert count_measurements(own_shelf) == [1, 2]


def test_without_blocks_there_is_no_reference(own_shelf: Shelf) -> None:
    request = make_reference_request(replace(INTERLEAVED, order="sequential"))
    bench_in_turn(own_shelf, request, artifacts=own_shelf.artifacts)
    assert count_measurements(own_shelf) == [1, 1]


def test_a_reference_that_fails_takes_no_case_with_it(own_shelf: Shelf) -> None:
    first, second = own_shelf.artifacts
    bench_in_turn(own_shelf, make_reference_request(), artifacts=[first])
    with own_shelf.open_session() as session:
        session.files.path(first).unlink()
    with own_shelf.open(make_reference_request()) as bench:
        bench.add([first, second])
        events = receive_all(bench)
    (given_up,) = [event for event in events if isinstance(event, CaseGivenUp)]
    assert (given_up.case.artifact, given_up.is_reference) == (first, True)
    assert count_measurements(own_shelf) == [1, 1]


def test_the_runs_of_a_reference_in_a_batch_that_was_cut_off_count(own_shelf: Shelf) -> None:
    first, second = own_shelf.artifacts
    bench_in_turn(own_shelf, make_reference_request(), artifacts=[first])
    with own_shelf.open(make_reference_request()) as bench:
        bench.add([first, second])
        ended: set[str] = set()
        while ended != {first, second}:
            event = bench.receive(timeout_s=1.0)
            if isinstance(event, RunEnded):
                ended.add(event.case.artifact)
    with own_shelf.open(make_reference_request()) as bench:
        bench.add([first, second])
        receive_all(bench)
    shared = [block for block in list_blocks(own_shelf).items() if block[1] == {first, second}]
    assert len({batch for (batch, _), _ in shared}) == 2
    assert own_shelf.rows("SELECT * FROM pending_runs") == []


@pytest.mark.parametrize(
    ("limit_us", "processes"),
    [
        pytest.param(20.0, 6, id="below its limit"),
        pytest.param(5.0, 6, id="above its limit"),
        pytest.param(10.0, 9, id="not to be told from its limit"),
        pytest.param(None, 6, id="no limit"),
    ],
)
def test_a_case_is_measured_until_it_can_be_told_from_its_limit(
    own_shelf: Shelf, limit_us: float | None, processes: int
) -> None:
    protocol = replace(INTERLEAVED, processes=6, max_processes=9)
    limits: dict[Any, float] = {("another", 1): 10.0, ("pi4", 2): 10.0}
    if limit_us is not None:
        limits["pi4", 1] = limit_us
    request = replace(make_request(["pi4"], protocol), limits=limits)
    bench_in_turn(own_shelf, request, artifacts=own_shelf.artifacts[:1])
    assert len(own_shelf.rows("SELECT * FROM runs")) == processes


@pytest.mark.parametrize(
    ("limit_us", "processes"),
    [
        pytest.param(20.0, 9, id="below its limit"),
        pytest.param(5.0, 6, id="above its limit"),
        pytest.param(None, 9, id="no limit"),
    ],
)
def test_a_case_above_its_limit_need_not_be_precise(
    own_shelf: Shelf, limit_us: float | None, processes: int
) -> None:
    with own_shelf.open_session() as session:
        noisy = tools.write_noisy_tool(own_shelf.folder / "noisy", own_shelf.folder / "starts")
        session.tools.add("tool", noisy.read_bytes())
    protocol = replace(INTERLEAVED, processes=6, max_processes=9, target=0.01)
    limits = {} if limit_us is None else {("pi4", 1): limit_us}
    request = replace(make_request(["pi4"], protocol), limits=limits)
    bench_in_turn(own_shelf, request, artifacts=own_shelf.artifacts[:1])
    assert len(own_shelf.rows("SELECT * FROM runs")) == processes


def make_cases(count: int, threads: int = 1) -> list[Case]:
    artifacts = [f"{number:064}" for number in range(count)]
    protocols = [replace(INTERLEAVED, threads=threads)]
    return list(plan_cases(artifacts, "pi4", tool=TOOL, protocols=protocols))


def test_the_reference_is_what_was_measured_first() -> None:
    early, late, now, new = make_cases(4)
    references = References()
    references.add(now)
    references.add(late, 70)
    references.add(early, 7)
    assert references.find_missing([new]) == [early]
    assert references.find_missing([new, early]) == []


def test_a_reference_stays_until_it_fails() -> None:
    earlier, chosen, new = make_cases(3)
    references = References()
    assert references.find_missing([new]) == []
    references.add(chosen, 70)
    assert references.find_missing([new]) == [chosen]
    references.add(earlier, 7)
    assert references.find_missing([new]) == [chosen]
    references.discard(chosen)
    assert references.find_missing([new]) == [earlier]


def test_each_number_of_threads_has_a_reference_of_its_own() -> None:
    measured, new = make_cases(2)
    on_four, new_on_four = make_cases(2, threads=4)
    references = References()
    for case in (measured, on_four):
        references.add(case)
    assert references.find_missing([new, new_on_four]) == [measured, on_four]
    assert references.find_missing([new_on_four]) == [on_four]
