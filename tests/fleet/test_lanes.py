"""Whatever raises in a bench ends one lane at most, with a stored failure; the bench ends."""

import gc
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from harness.cli.actions.bench import make_fleet_stores
from harness.cli.actions.session import Session
from harness.conversion.anatomy import read_anatomy
from harness.core.bench import Gates, Protocol
from harness.core.device import LocalDevice
from harness.core.ids import sha256_of
from harness.core.sweep import Artifact
from harness.fleet.events import FleetEvent, LaneEnded
from harness.fleet.plan import FleetRequest
from harness.fleet.run import bench_fleet
from harness.store.files.workspace import Workspace
from harness.store.rows.values import decompress_text
from tests import tools
from tests.fleet.raising import Call, CallWatch, watching

# An error in the midst of `subprocess` leaves a process for the collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
HEALTHY = "healthy"
MODELS = [
    (Path(__file__).parents[1] / "data" / "models" / f"{name}.tflite").read_bytes()
    for name in ("binary_64", "float_64")
]
PLAIN = Protocol("plain", processes=1)
THOROUGH = replace(PLAIN, canary=True, answers=True, gates=Gates(max_wait_s=0, max_busy=1))
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
LANES = 20  # of one bench


@dataclass(frozen=True)
class Shelf:
    """A workspace with a tool and two models, and any number of devices on this machine."""

    folder: Path
    artifacts: tuple[str, ...]

    @classmethod
    def make(cls, folder: Path) -> "Shelf":
        shelf = cls(folder, tuple(map(sha256_of, MODELS)))
        with shelf.open_session() as session:
            session.tools.add("tool", tools.write_script(folder / "tool").read_bytes())
            for id, content in zip(shelf.artifacts, MODELS, strict=True):
                session.files.save(content)
                artifact = Artifact(
                    id, "tflite", size_bytes=len(content), anatomy=read_anatomy(content)
                )
                session.trials.add_artifact(artifact, id)
        return shelf

    def copy(self, folder: Path) -> "Shelf":
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def bench(self, ids: Sequence[str], protocol: Protocol) -> list[FleetEvent]:
        """Return the events of a bench; one with a thorough protocol profiles, too."""
        devices = [
            LocalDevice(id=id, tool="tool", folder=str(self.folder / "devices" / id)) for id in ids
        ]
        request = FleetRequest(
            self.artifacts, dict.fromkeys(ids, (protocol,)), profile=protocol is THOROUGH
        )
        registry = {device.id: device for device in devices}
        with self.open_session() as session:
            stores = make_fleet_stores(session)
            with closing(bench_fleet(devices, registry, request=request, stores=stores)) as events:
                return list(events)

    @contextmanager
    def open_session(self) -> Iterator[Session]:
        session = Session(Workspace(self.folder / "workspace"))
        try:
            yield session
        finally:
            session.engine.dispose()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with self.open_session() as session, session.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql)).mappings()]

    def count_measured(self) -> dict[str, int]:
        rows = self.rows(
            "SELECT device, count(*) AS n FROM cases JOIN measurements ON case_id = cases.id"
            " GROUP BY device"
        )
        return {row["device"]: row["n"] for row in rows}


@pytest.fixture(autouse=True)
def collect_processes() -> Iterator[None]:
    """Collect what a raised error left here, where its warnings are ignored."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf.make(tmp_path_factory.mktemp("shelf"))


def list_calls(
    shelf: Shelf, folder: Path, protocol: Protocol, thread: str, file: str
) -> list[Call]:
    """Return the calls that a thread of an undisturbed bench makes."""
    with watching(CallWatch((file,))) as watch:
        shelf.copy(folder).bench([HEALTHY], protocol)
    return list(watch.calls[thread])


def assert_lanes_end_alone(shelf: Shelf, protocol: Protocol, calls: Sequence[Call]) -> int:
    """Bench a device for each call, whose lane raises there, and a healthy one.

    Return how many lanes came to their call.
    """
    errors = cycle(ERRORS)
    plan = {f"raises {index}": (call, next(errors)()) for index, call in enumerate(calls)}
    watch = CallWatch(
        tuple({call.file for call in calls}), {f"lane {id}": error for id, error in plan.items()}
    )
    with watching(watch):
        events = shelf.bench([*plan, HEALTHY], protocol)
    ended = [event.device.id for event in events if isinstance(event, LaneEnded)]
    assert sorted(ended) == sorted([*plan, HEALTHY])
    measured = shelf.count_measured()
    assert measured[HEALTHY] == len(MODELS)
    failures = {row["device"]: row for row in shelf.rows(FAILURES)}
    raised = [id for id in plan if f"lane {id}" not in watch.errors]
    for id, (call, error) in plan.items():
        if id in raised and id in failures:
            assert failures[id]["reason"] == "bug", call
            assert type(error).__name__ in failures[id]["message"], call
            assert "Traceback" in decompress_text(failures[id]["log_zstd"]), call
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
    "file", ["fleet/lane.py", "fleet/batch.py", "fleet/process.py", "devices/"]
)
def test_each_call_of_a_lane_may_raise(shelf: Shelf, tmp_path: Path, file: str) -> None:
    calls = list_calls(
        shelf, tmp_path / "undisturbed", protocol=THOROUGH, thread=f"lane {HEALTHY}", file=file
    )
    starts = range(0, len(calls), LANES)
    raised = 0
    for start in starts:
        disturbed = shelf.copy(tmp_path / str(start))
        raised += assert_lanes_end_alone(disturbed, THOROUGH, calls=calls[start : start + LANES])
    assert raised > 0.8 * len(calls)


@pytest.mark.full
@pytest.mark.parametrize(
    ("thread", "file"), [("leases", "fleet/lease_keeper.py"), ("MainThread", "fleet/run.py")]
)
def test_a_bench_ends_whatever_its_other_threads_raise(
    shelf: Shelf, tmp_path: Path, thread: str, file: str
) -> None:
    calls = list_calls(shelf, tmp_path / "undisturbed", protocol=PLAIN, thread=thread, file=file)
    errors = cycle(ERRORS)
    for index, call in enumerate(calls):
        disturbed = shelf.copy(tmp_path / str(index))
        error = next(errors)()
        with watching(CallWatch((file,), {thread: (call, error)})):
            try:
                events = disturbed.bench(["one", "two"], PLAIN)
            except type(error):
                continue
        ended = [event.device.id for event in events if isinstance(event, LaneEnded)]
        assert sorted(ended) == ["one", "two"], call
        failures = {row["device"]: row for row in disturbed.rows(FAILURES)}
        measured = disturbed.count_measured()
        for id in ended:
            assert measured.get(id) == len(MODELS) or failures[id]["reason"] == "bug", call
