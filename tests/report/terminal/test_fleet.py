"""Progress of a bench whose cases are added while it runs."""

import io

import pytest
from rich.console import Console

from harness.report.terminal import fleet
from harness.report.terminal.fleet import show_fleet_progress


class Clock:
    """A clock that a test sets, in seconds."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(fleet, "time", clock)
    return clock


def test_the_total_grows_with_each_addition(clock: Clock) -> None:
    out = io.StringIO()
    with show_fleet_progress(Console(file=out), ["pi4"]) as progress:
        progress.add_cases("pi4", 2)
        for name in ("a", "b"):
            clock.seconds += 10.0
            progress.end_case("pi4", f"{name} is measured")
        clock.seconds += 3600.0  # nothing to measure
        progress.add_cases("pi4", 0)
        progress.add_cases("pi4", 3)
        clock.seconds += 10.0
        progress.end_case("pi4", "c is measured")
    assert out.getvalue().splitlines() == [
        "a is measured [cases: 1/2, about 10.0 s left]",
        "b is measured [cases: 2/2]",
        "c is measured [cases: 3/5, about 20.0 s left]",
    ]
