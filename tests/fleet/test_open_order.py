"""A bench that takes artifacts while it runs."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness.core.bench import Case, Protocol, Tool
from harness.devices import Transport, Turn, open_transport
from harness.fleet.batch import MAX_CASES, take_batch
from harness.fleet.events import CaseMeasured, DevicePlanned, DeviceSetAside, LaneEnded, LaneIdle
from harness.fleet.plan import plan_cases
from tests.fleet.raising import CallWatch, watching
from tests.fleet.shelf import (
    MODELS,
    PLAIN,
    Shelf,
    make_request,
    receive_all,
    receive_until_idle,
)

TOOL = Tool("tool", "f" * 64)
NEIGHBOUR = Turn("neighbour", "neighbour@elsewhere")


@contextmanager
def reach(shelf: Shelf, device: str, folder: Path) -> Iterator[Transport]:
    """Reach a device as a harness with another database does."""
    (local,) = shelf.make_devices([device])
    transport = open_transport(local, {}, local_folder=folder)
    with closing(transport):
        yield transport


def test_artifacts_are_measured_as_they_come(shelf: Shelf, tmp_path: Path) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    events = shelf.bench_one_by_one(["one", "two"], PLAIN)
    for device in ("one", "two"):
        kinds = [type(event) for event in events if event.device.id == device]
        assert kinds.count(DevicePlanned) == kinds.count(CaseMeasured) == len(MODELS)
        assert kinds.count(LaneIdle) >= len(MODELS)
        assert kinds[-1] is LaneEnded
    assert shelf.count_measured() == {"one": len(MODELS), "two": len(MODELS)}
    assert shelf.rows("SELECT * FROM queue") == []


def test_an_artifact_that_is_added_twice_is_measured_once(shelf: Shelf, tmp_path: Path) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    with shelf.open(make_request(["one"], PLAIN)) as bench:
        for _ in range(2):
            bench.add(shelf.artifacts)
            bench.add(shelf.artifacts[:1])
        receive_all(bench)
    assert len(shelf.rows("SELECT * FROM measurements")) == len(MODELS)


def test_an_artifact_may_be_added_for_some_devices(shelf: Shelf, tmp_path: Path) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    with shelf.open(make_request(["one", "two"], PLAIN)) as bench:
        bench.add(shelf.artifacts, devices=["two"])
        receive_all(bench)
    assert shelf.count_measured() == {"two": len(MODELS)}


def test_an_idle_lane_leaves_its_device_to_others(shelf: Shelf, tmp_path: Path) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    with (
        shelf.open(make_request(["one"], PLAIN)) as bench,
        reach(shelf, "one", folder=tmp_path) as transport,
    ):
        bench.add(shelf.artifacts[:1])
        receive_until_idle(bench)
        assert shelf.rows("SELECT * FROM leases") == []
        assert transport.take_turn(NEIGHBOUR) is None
        bench.add(shelf.artifacts[1:])
        transport.release_turn(NEIGHBOUR)
        receive_all(bench)
    assert shelf.count_measured() == {"one": len(MODELS)}


def test_two_benches_share_a_device(shelf: Shelf, tmp_path: Path) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    first, second = shelf.artifacts
    with (
        shelf.open(make_request(["one"], PLAIN)) as bench,
        shelf.open(make_request(["one"], PLAIN)) as other,
    ):
        bench.add([first])
        other.add([second])
        receive_until_idle(bench)
        receive_until_idle(other)
        assert len(shelf.rows("SELECT * FROM measurements")) == 2
        other.add([first])  # which the other bench has measured meanwhile
        events = receive_all(other)
        receive_all(bench)
    (plan,) = [event for event in events if isinstance(event, DevicePlanned)]
    assert (len(plan.to_measure), len(plan.measured)) == (0, 1)


def test_leaving_a_bench_ends_its_idle_lanes(shelf: Shelf, tmp_path: Path) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    with shelf.open(make_request(["one", "two"], PLAIN)) as bench:
        receive_until_idle(bench)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane ")]


def test_what_is_added_to_a_lost_device_stays_in_its_queue(shelf: Shelf, tmp_path: Path) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    request = make_request(["lost", "kept"], PLAIN)
    (shelf.folder / "devices").mkdir()
    (shelf.folder / "devices" / "lost").write_text("a file where the folder should be")
    first, second = shelf.artifacts
    with shelf.open(request) as bench:
        bench.add([first])
        events = receive_until_idle(bench)
        bench.add([second])
        receive_all(bench)
    (set_aside,) = [event for event in events if isinstance(event, DeviceSetAside)]
    assert (set_aside.device.id, set_aside.cases_left) == ("lost", None)
    assert shelf.count_measured() == {"kept": len(MODELS)}
    queued = shelf.rows("SELECT device, artifact FROM queue")
    assert {(row["device"], row["artifact"]) for row in queued} == {
        ("lost", first),
        ("lost", second),
    }


def test_a_lane_that_fails_while_it_waits_leaves_its_work_in_the_queue(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf = shelf.copy(tmp_path / "copy")
    first, second = shelf.artifacts
    watch = CallWatch(("fleet/inbox.py",))
    with watching(watch), shelf.open(make_request(["one"], PLAIN)) as bench:
        bench.add([first])
        receive_until_idle(bench)
        call = next(call for call in watch.calls["lane one"] if call.function == "append")
        watch.errors["lane one"] = (call, RuntimeError("raised by a test"))
        bench.add([second])
        events = receive_all(bench)
    (set_aside,) = [event for event in events if isinstance(event, DeviceSetAside)]
    assert (set_aside.failure.reason, set_aside.cases_left) == ("bug", None)
    assert [row["artifact"] for row in shelf.rows("SELECT artifact FROM queue")] == [second]


def make_group(first: int, count: int, protocol: Protocol = PLAIN) -> list[Case]:
    artifacts = [f"{number:064}" for number in range(first, first + count)]
    return list(plan_cases(artifacts, "pi4", tool=TOOL, protocols=[protocol]))


def test_cases_that_were_added_together_stay_in_one_batch() -> None:
    large, twins, more = make_group(0, 9), make_group(20, 4), make_group(30, 2)
    last = make_group(40, 1, protocol=replace(PLAIN, threads=4))
    waiting = [large, twins, more, last]
    assert take_batch(waiting) == [*large, *more, *last]
    assert waiting == [twins]
    assert take_batch(waiting) == twins
    assert waiting == []


@given(st.lists(st.tuples(st.integers(1, MAX_CASES), st.sampled_from([3, 9])), max_size=20))
def test_each_waiting_case_is_in_one_batch(groups: list[tuple[int, int]]) -> None:
    waiting = [
        make_group(100 * number, count, protocol=replace(PLAIN, processes=processes))
        for number, (count, processes) in enumerate(groups)
    ]
    added = list(waiting)
    batches = []
    while waiting:
        batches.append(take_batch(waiting))
    cases = list(chain(*batches))
    assert len(cases) == len(set(cases)) == sum(map(len, added))
    for group in added:
        assert sum(not set(group).isdisjoint(batch) for batch in batches) == 1
    for batch in batches:
        assert len(batch) <= MAX_CASES
        assert len({case.protocol for case in batch}) == 1


def test_a_batch_has_one_protocol() -> None:
    waiting = [make_group(0, 2), make_group(0, 2, protocol=replace(PLAIN, processes=9))]
    assert [len(take_batch(waiting)), len(take_batch(waiting))] == [2, 2]


def test_a_full_batch_is_not_filled_further() -> None:
    waiting = [make_group(0, MAX_CASES), make_group(20, 1)]
    assert len(take_batch(waiting)) == MAX_CASES
