"""Whatever raises in a bench ends one lane at most, with a stored failure; the bench ends."""

import gc
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

import pytest

from harness.core.bench import Protocol
from harness.fleet.events import FleetEvent, LaneEnded
from harness.store.rows.values import decompress_text
from tests.fleet.raising import Call, CallWatch, watching
from tests.fleet.shelf import MODELS, PLAIN, THOROUGH, Shelf

# An error in the midst of `subprocess` leaves a process for the collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
HEALTHY = "healthy"
ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: RuntimeError("raised by a test"),
    lambda: UnicodeDecodeError("utf-8", b"\xfc", 0, 1, "raised by a test"),
    lambda: KeyboardInterrupt("raised by a test"),
    lambda: OSError(5, "raised by a test"),
    lambda: SystemExit("raised by a test"),
)
FAILURES = (
    "SELECT coalesce(failures.device, cases.device) AS device, reason, message, log_zstd"
    " FROM failures LEFT JOIN cases ON case_id = cases.id"
)
QUEUED = "SELECT device, count(*) AS n FROM queue GROUP BY device"
LANES = 20  # of one bench
Bench = Callable[[Shelf, Sequence[str], Protocol], list[FleetEvent]]
BENCHES = [
    pytest.param(Shelf.bench, id="all at once"),
    pytest.param(Shelf.bench_one_by_one, id="one by one"),
]


@pytest.fixture(autouse=True)
def collect_processes() -> Iterator[None]:
    """Collect what a raised error left here, where its warnings are ignored."""
    yield
    gc.collect()


def list_calls(
    shelf: Shelf,
    folder: Path,
    protocol: Protocol,
    thread: str,
    file: str,
    bench: Bench = Shelf.bench,
) -> list[Call]:
    """Return the calls that a thread of an undisturbed bench makes."""
    with watching(CallWatch((file,))) as watch:
        bench(shelf.copy(folder), [HEALTHY], protocol)
    return list(watch.calls[thread])


def assert_lanes_end_alone(
    shelf: Shelf, protocol: Protocol, calls: Sequence[Call], bench: Bench = Shelf.bench
) -> int:
    """Bench a device for each call, whose lane raises there, and a healthy one.

    Return how many lanes came to their call.
    """
    errors = cycle(ERRORS)
    plan = {f"raises {index}": (call, next(errors)()) for index, call in enumerate(calls)}
    watch = CallWatch(
        tuple({call.file for call in calls}), {f"lane {id}": error for id, error in plan.items()}
    )
    with watching(watch):
        events = bench(shelf, [*plan, HEALTHY], protocol)
    ended = [event.device.id for event in events if isinstance(event, LaneEnded)]
    assert sorted(ended) == sorted([*plan, HEALTHY])
    measured = shelf.count_measured()
    assert measured[HEALTHY] == len(MODELS)
    failures = {row["device"]: row for row in shelf.rows(FAILURES)}
    queued = {row["device"]: row["n"] for row in shelf.rows(QUEUED)}
    raised = [id for id in plan if f"lane {id}" not in watch.errors]
    for id, (call, error) in plan.items():
        if id in raised and id in failures:
            assert failures[id]["reason"] == "bug", call
            assert type(error).__name__ in failures[id]["message"], call
            assert "Traceback" in decompress_text(failures[id]["log_zstd"]), call
            assert queued.get(id, 0) + measured.get(id, 0) == len(MODELS), call
        else:
            # A reader of outside text foresees a ValueError, and the device is asked again.
            assert id not in raised or isinstance(error, ValueError), call
            assert measured[id] == len(MODELS), call
    return len(raised)


def test_a_lane_ends_alone_whatever_it_raises_where(shelf: Shelf, tmp_path: Path) -> None:
    functions = {"open_transport", "collect_facts", "put", "close"}
    calls = list_calls(
        shelf,
        tmp_path / "undisturbed",
        protocol=PLAIN,
        thread=f"lane {HEALTHY}",
        file="fleet/lane.py",
    )
    chosen = list({call.function: call for call in calls if call.function in functions}.values())
    assert len(chosen) == len(functions)
    assert assert_lanes_end_alone(shelf.copy(tmp_path / "disturbed"), PLAIN, calls=chosen) == len(
        chosen
    )


@pytest.mark.full
@pytest.mark.parametrize(
    ("file", "bench"),
    [
        ("fleet/lane.py", Shelf.bench),
        ("fleet/lane.py", Shelf.bench_one_by_one),
        ("fleet/inbox.py", Shelf.bench_one_by_one),
        ("fleet/references.py", Shelf.bench_one_by_one),
        ("fleet/batch.py", Shelf.bench_one_by_one),
        ("fleet/process.py", Shelf.bench),
        ("devices/", Shelf.bench),
    ],
)
def test_each_call_of_a_lane_may_raise(
    shelf: Shelf, tmp_path: Path, file: str, bench: Bench
) -> None:
    calls = list_calls(
        shelf,
        tmp_path / "undisturbed",
        protocol=THOROUGH,
        thread=f"lane {HEALTHY}",
        file=file,
        bench=bench,
    )
    starts = range(0, len(calls), LANES)
    raised = 0
    for start in starts:
        disturbed = shelf.copy(tmp_path / str(start))
        chosen = calls[start : start + LANES]
        raised += assert_lanes_end_alone(disturbed, THOROUGH, calls=chosen, bench=bench)
    assert raised > 0.8 * len(calls)


@pytest.mark.full
@pytest.mark.parametrize("bench", BENCHES)
@pytest.mark.parametrize(
    ("thread", "file"), [("leases", "fleet/lease_keeper.py"), ("MainThread", "fleet/run.py")]
)
def test_a_bench_ends_whatever_its_other_threads_raise(
    shelf: Shelf, tmp_path: Path, thread: str, file: str, bench: Bench
) -> None:
    calls = list_calls(
        shelf, tmp_path / "undisturbed", protocol=PLAIN, thread=thread, file=file, bench=bench
    )
    errors = cycle(ERRORS)
    for index, call in enumerate(calls):
        disturbed = shelf.copy(tmp_path / str(index))
        error = next(errors)()
        with watching(CallWatch((file,), {thread: (call, error)})):
            try:
                events = bench(disturbed, ["one", "two"], PLAIN)
            except type(error):
                continue
        ended = [event.device.id for event in events if isinstance(event, LaneEnded)]
        assert sorted(ended) == ["one", "two"], call
        failures = {row["device"]: row for row in disturbed.rows(FAILURES)}
        measured = disturbed.count_measured()
        for id in ended:
            assert measured.get(id) == len(MODELS) or failures[id]["reason"] == "bug", call
