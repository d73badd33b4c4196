"""The view of rows: what other processes do."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.report.terminal.estimate import Remaining
from harness.report.terminal.front_rows import SearchSnapshot
from harness.report.terminal.work_rows import WorkSnapshot, view_rows
from harness.report.terminal.work_view import ArtifactsView, DeviceState, FrontPoint, TrialView
from harness.store.rows.running import TrialInTraining, TrialProgress
from harness.store.rows.work import EndedTrial, MeasuredCase, PendingCases, QueueCounts

NOW = "2026-11-27T10:00:00.000Z"
SWEEP = {"sweep": "digits", "trials": 10, "done": 5, "failed": 1, "waiting": 3, "measured": 4}
BOARD = {"device": "pi4", "state": "ready", "queued": 6, "measured": 12, "message": ""}
USER = "ann@lab (process 7)"


def make_snapshot(*devices: Mapping[str, Any], **changes: Any) -> WorkSnapshot:
    rows: dict[str, Any] = {
        "sweeps": [SWEEP],
        "users": {"pi4": USER},
        "measured_before": {"pi4": 10},
        "ended": {"digits": [EndedTrial("2026-11-27T10:00:00.000Z", work_s=60.0)]},
        "pending": {},
        "measurements": [],
        "cases_per_trial": {},
        "artifacts": QueueCounts(1, queued=2, measuring=3),
    }
    return WorkSnapshot(NOW, devices=list(devices), **{**rows, **changes})


def make_measured(minute: int, batch: str = "a") -> MeasuredCase:
    """Return a case that was measured in the minute before 09:`minute`."""
    return MeasuredCase(
        "pi4",
        batch,
        started_at=f"2026-11-27T09:{minute - 1:02}:00.000Z",
        measured_at=f"2026-11-27T09:{minute:02}:00.000Z",
        processes=10,
        temperature_c=float(minute),
    )


def test_trials_artifacts_and_devices_are_counted() -> None:
    view = view_rows(make_snapshot(BOARD))
    (sweep,), (device,) = view.sweeps, view.devices
    # One of the ten was ended early.
    assert (sweep.total, sweep.done, sweep.failed, sweep.remaining_s) == (9, 5, 1, 180.0)
    assert view.artifacts == ArtifactsView(waiting=1, queued=2, measuring=3)
    assert (device.finished, device.total) == (2, 8)
    assert device.doing == f"in use by {USER}"
    assert view.remaining == Remaining(180.0, is_lower_bound=True), (
        "no case tells how long it takes"
    )


def test_a_device_shows_its_case_its_temperature_and_what_is_left() -> None:
    view = view_rows(
        make_snapshot(
            BOARD,
            measurements=[make_measured(1), make_measured(2)],
            pending={"pi4": PendingCases("0123456789abcdef", 4, process=3, batch="b", processes=3)},
            cases_per_trial={"pi4": 2.0},
        )
    )
    (device,) = view.devices
    assert device.doing == "0123456789ab, 4 threads, process 3"
    assert device.temperature_c == 2.0
    assert device.remaining_s == 360.0, "six cases of a minute"
    # The last of three trials ends in three minutes; six cases are queued, and six more will be.
    assert view.remaining == Remaining(720.0)


def test_the_pace_counts_the_processes_of_cases_that_have_not_ended() -> None:
    pending = PendingCases("0123456789abcdef", 1, process=9, batch="a", processes=10)
    view = view_rows(
        make_snapshot(BOARD, measurements=[make_measured(2)], pending={"pi4": pending})
    )
    assert view.devices[0].remaining_s == 180.0, "two cases took a minute, side by side"


def test_a_device_that_nobody_uses_says_why() -> None:
    lost = {**BOARD, "device": "lost", "message": "device lost: unreachable"}
    idle = {**BOARD, "device": "idle", "queued": 0}
    left = {**BOARD, "device": "left"}
    devices = view_rows(make_snapshot(lost, idle, left)).devices
    assert [(device.state, device.doing) for device in devices] == [
        (DeviceState.TROUBLED, "device lost: unreachable"),
        (DeviceState.DONE, "done"),
        (DeviceState.WAITING, "not in use"),
    ]


def test_trials_in_training_are_shown_with_their_words_and_epochs() -> None:
    progress = TrialProgress("0c6d6f1e", "2026-11-27T09:59:30.000Z", epoch=2, epochs=5, loss=0.25)
    trial = TrialInTraining(progress, "mlp", parameters='{"units": 8}', precision="binary")
    started = replace(trial, progress=replace(progress, epoch=0, loss=None))
    view = view_rows(make_snapshot(running={"digits": [trial, started], "another": [trial]}))
    assert view.sweeps[0].running == (
        TrialView("0c6d6f1e mlp units=8 binary", 2, epochs=5, seconds=30.0, note="loss 0.250"),
        TrialView("0c6d6f1e mlp units=8 binary", 0, epochs=5, seconds=30.0, note="starting"),
    )


def test_without_a_bench_no_artifact_waits_for_twins() -> None:
    view = view_rows(make_snapshot())
    assert view.artifacts is None
    assert view.remaining == Remaining(180.0)


def test_the_front_is_that_of_the_latest_search_that_has_one() -> None:
    row = {"number": 1, "point": '{"model.units": 8}', "size_bytes": 100.0, "on_front": 1}
    searches = [
        SearchSnapshot("latest", {"accuracy": "accuracy"}, rows=[]),
        SearchSnapshot("digits", {"size": "size"}, rows=[{**row, "metric": None, "value": None}]),
    ]
    view = view_rows(make_snapshot(BOARD, searches=searches))
    assert (view.headings, view.front) == (("size",), (FrontPoint("model.units=8", ("100 B",)),))
