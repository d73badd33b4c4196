"""A search resumes from the points that its rows hold."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.config.sweep_file import Point, read_sweep
from harness.core.errors import Reason
from harness.core.sweep import Failure
from harness.store.database import open_database
from harness.store.rows.trials import TrialRows
from harness.sweep.resume import resume_search
from harness.sweep.trials import build_trials_at
from harness.training.search import ENDED_EARLY
from tests.store.examples import make_outcome

SWEEP = """\
name: found
dataset: digits
model: {name: mlp, layers: 1}
precision: [binary]
train: {epochs: 2}
search:
  method: optuna
  trials: 9
  objectives: [accuracy, size]
  space:
    model.units: [8, 64]
    train.learning_rate: {low: 0.001, high: 0.1, log: true}
"""
FIRST, SECOND, THIRD = (
    {"model.units": 8, "train.learning_rate": rate} for rate in (0.01, 0.02, 0.03)
)


@pytest.fixture
def rows(tmp_path: Path) -> TrialRows:
    return TrialRows(open_database(f"sqlite:///{tmp_path / 'harness.db'}"))


def base(folder: Path, *settings: str) -> Point:
    path = folder / "found.yaml"
    path.write_text(SWEEP)
    point, *_ = read_sweep(path, settings)
    return point


def test_points_are_finished_ended_early_or_interrupted(tmp_path: Path, rows: TrialRows) -> None:
    point = base(tmp_path)
    for values in (FIRST, SECOND, THIRD):
        rows.submit_point("found", values, sampled=build_trials_at(point, values))
    (finished,), (outclassed,) = build_trials_at(point, FIRST), build_trials_at(point, SECOND)
    outcome = make_outcome(finished)
    outcome = replace(
        outcome, curve=tuple(replace(epoch, validation_accuracy=0.7) for epoch in outcome.curve)
    )
    rows.finish(outcome)
    rows.stop(outclassed.id, Failure(Reason.OUTCLASSED, "Others did better."))

    search = resume_search("found", point, rows=rows)

    assert [tried.point for tried in search.tried_points] == [FIRST, SECOND, THIRD]
    expected = (0.7, outcome.artifacts[0].size_bytes)
    assert [tried.objectives for tried in search.tried_points] == [expected, ENDED_EARLY, None]
    assert search.count_remaining(point.values.search) == 7
    assert resume_search("another", point, rows=rows).tried_points == ()


@pytest.mark.parametrize(
    "setting",
    [
        "model.layers=2",
        "search.space={model.units: [64], train.learning_rate: [0.01]}",
        "search.space={model.units: [8]}",
    ],
    ids=["other trials", "other choices", "other keys"],
)
def test_points_that_the_present_file_would_not_try_are_left_out(
    tmp_path: Path, rows: TrialRows, setting: str
) -> None:
    rows.submit_point("found", FIRST, sampled=build_trials_at(base(tmp_path), FIRST))
    assert resume_search("found", base(tmp_path, setting), rows=rows).tried_points == ()
