"""Estimates of what is left, from the trials and cases that have ended."""

import pytest

from harness.report.terminal.estimate import (
    UNKNOWN,
    DeviceRest,
    Remaining,
    RunningTrial,
    TrialEnd,
    estimate_from_ends,
    estimate_training,
    estimate_whole,
)


@pytest.mark.parametrize(
    ("finished_s", "running", "waiting", "seconds"),
    [
        ([], [], 0, 0.0),
        ([], [RunningTrial(30.0, 0.0)], 5, None),
        # After half of its epochs, a trial takes as long again; two train side by side.
        ([], [RunningTrial(30.0, 0.5), RunningTrial(30.0, 0.5)], 2, 90.0),
        # Trials that have ended tell more than the epochs of those that have not begun.
        ([100.0], [RunningTrial(40.0, 0.0)], 1, 160.0),
        ([100.0], [RunningTrial(40.0, 0.8)], 1, 110.0),
        # After its last epoch, a trial is converted.
        ([100.0], [RunningTrial(90.0, 1.0)], 0, 10.0),
        ([100.0], [RunningTrial(150.0, 1.0)], 0, 0.0),
    ],
)
def test_the_rest_of_a_training(
    finished_s: list[float], running: list[RunningTrial], waiting: int, seconds: float | None
) -> None:
    estimate = estimate_training(finished_s, running, waiting=waiting)
    assert estimate == (None if seconds is None else pytest.approx(seconds))


def test_the_later_half_counts() -> None:
    slow = DeviceRest(cases=10, seconds_per_case=60.0)
    assert estimate_whole(100.0, [slow]) == Remaining(600.0)
    assert estimate_whole(1000.0, [slow]) == Remaining(1000.0)


def test_cases_of_trials_that_have_not_ended_are_measured_as_they_come() -> None:
    device = DeviceRest(cases=2, seconds_per_case=10.0, future=8, latest=2)
    assert estimate_whole(1000.0, [device]) == Remaining(1020.0), "the last trial's two cases"
    assert estimate_whole(30.0, [device]) == Remaining(100.0), "the device is slower"


def test_a_device_that_trains_is_measured_afterwards() -> None:
    device = DeviceRest(10, seconds_per_case=10.0, starts_after_training=True)
    assert estimate_whole(1000.0, [device]) == Remaining(1100.0)


def test_an_unknown_part_makes_the_rest_a_lower_bound() -> None:
    unknown = DeviceRest(cases=3, seconds_per_case=None)
    assert estimate_whole(0.0, [unknown]) == UNKNOWN
    assert estimate_whole(None, []) == UNKNOWN
    remaining = estimate_whole(100.0, [unknown])
    assert str(remaining) == "at least 1 min 40 s left"
    assert estimate_whole(100.0, [DeviceRest(0, None)]) == Remaining(100.0)


def test_the_pace_of_a_training_is_learned_from_when_trials_ended() -> None:
    assert estimate_from_ends([], 3) is None
    assert estimate_from_ends([], 0) == 0.0
    assert estimate_from_ends([TrialEnd(0.0, work_s=60.0)], 3) == 180.0
    # Two workers: a trial of 60 s ends every 30 s; the last one ended 10 s ago.
    ends = [TrialEnd(seconds_ago, work_s=60.0) for seconds_ago in (70.0, 40.0, 10.0)]
    assert estimate_from_ends(ends, 4) == 110.0


def test_a_pause_of_the_training_does_not_count() -> None:
    ends = [TrialEnd(seconds_ago, work_s=60.0) for seconds_ago in (90_000.0, 70.0, 10.0)]
    assert estimate_from_ends(ends, 2) == 110.0
