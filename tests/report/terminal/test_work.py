"""Progress of a training and a bench: one table on a terminal, plain lines in a log."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from harness.report.terminal.work import WorkProgress, show_work
from harness.report.terminal.work_state import TrainingPlan


class Clock:
    """A clock that a test sets, in seconds."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def sweep(log: io.StringIO, clock: Clock) -> Iterator[WorkProgress]:
    """The display, in a log, of two trials that `pi4` measures with one case each."""
    plan = TrainingPlan("both", 2, cases_per_trial={"pi4": 1.0})
    with show_work(Console(file=log), plan, devices=["pi4"], clock=clock) as progress:
        yield progress


def test_the_total_grows_with_each_addition(clock: Clock, log: io.StringIO) -> None:
    with show_work(Console(file=log), devices=["pi4"], clock=clock) as progress:
        progress.add_cases("pi4", ["a", "b"])
        for name in ("a", "b"):
            clock.seconds += 10.0
            progress.end_case("pi4", name, f"{name} is measured")
        clock.seconds += 3600.0  # nothing to measure
        progress.add_cases("pi4", [])
        progress.add_cases("pi4", ["c", "d", "e"])
        clock.seconds += 10.0
        progress.end_case("pi4", "c", "c is measured")
    assert log.getvalue().splitlines() == [
        "a is measured [cases: 1/2, about 10.0 s left]",
        "b is measured [cases: 2/2]",
        "c is measured [cases: 3/5, about 20.0 s left]",
    ]


def test_a_log_counts_both_halves_and_estimates_the_later_end(
    clock: Clock, log: io.StringIO, sweep: WorkProgress
) -> None:
    sweep.step("first", 0, total=2)
    clock.seconds += 60.0
    sweep.end("first", "first: 91 %")
    sweep.order(["a"], waiting=0)
    sweep.add_cases("pi4", ["a"])
    sweep.step("second", 0, total=2)
    clock.seconds += 5.0
    sweep.end_case("pi4", "a", "a on pi4: 4 ms")
    clock.seconds += 55.0
    sweep.end("second", "second: failed", is_failed=True)
    assert log.getvalue().splitlines() == [
        "first: 91 % [trials: 1/2, at least 1 min 00 s left]",
        # The second trial's 55 s, and the 5 s that its case will take.
        "a on pi4: 4 ms [trials: 1/2, cases: 1/1, about 1 min 00 s left]",
        "second: failed [trials: 2/2, cases: 1/1]",
    ]


def test_a_log_repeats_no_line(clock: Clock, log: io.StringIO, sweep: WorkProgress) -> None:
    for _ in range(3):
        sweep.set_status("pi4", "in use by someone else")
        sweep.set_status("pi4", "connecting", is_brief=True)
        clock.seconds += 60.0
        sweep.step("first", 1, total=2, note="loss 0.5")
    assert log.getvalue().splitlines() == [
        "pi4: in use by someone else",
        "first: epoch 1/2, loss 0.5",
    ]


def test_a_device_that_was_set_aside_keeps_the_reason(clock: Clock, log: io.StringIO) -> None:
    console = Console(file=log, force_terminal=True, width=80, height=20)
    with show_work(console, devices=["pi4", "pi5"], clock=clock) as progress:
        progress.add_cases("pi4", ["a"])
        progress.set_aside("pi4", "unreachable")
        for device in ("pi4", "pi5"):
            progress.end_device(device)
    last_frame = [line for line in log.getvalue().splitlines() if line.startswith("pi")][-2:]
    assert [line.split()[-1] for line in last_frame] == ["unreachable", "done"]
