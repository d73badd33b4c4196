"""A search reads the points that it tried before from their rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.config.sweep_file import Point, read_sweep
from harness.core.errors import Reason
from harness.core.sweep import Failure
from harness.store.database import open_database
from harness.store.rows.trials import TrialRows
from harness.sweep.results import Score, compute_score
from harness.sweep.resume import read_tried_points
from harness.sweep.search import resume_search
from harness.sweep.trials import build_trials_at
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

    tried_points = read_tried_points("found", point, rows=rows)

    assert [tried.values for tried in tried_points] == [FIRST, SECOND, THIRD]
    assert [tried.results.is_outclassed for tried in tried_points] == [False, True, False]
    assert [tried.is_interrupted for tried in tried_points] == [False, False, True]
    size = outcome.artifacts[0].size_bytes
    score = compute_score(point.values.search, [*tried_points[0].results.networks.values()])
    assert score == Score((0.7, size), {})
    search = resume_search("found", point, rows=rows)
    assert search.remaining == 7
    assert search.take() == THIRD
    assert read_tried_points("another", point, rows=rows) == ()


@pytest.mark.parametrize(
    "setting",
    [
        "model.layers=2",
        "search.space={model.units: [64], train.learning_rate: [0.01]}",
        "search.space={model.units: [8]}",
        "search.space={model.units: {low: 5, high: 65, step: 5}, train.learning_rate: [0.01]}",
        "search.space={model.units: [8], train.learning_rate: {low: 0.02, high: 0.1}}",
    ],
    ids=["other trials", "other choices", "other keys", "other steps", "another range"],
)
def test_points_that_the_present_file_would_not_try_are_left_out(
    tmp_path: Path, rows: TrialRows, setting: str
) -> None:
    rows.submit_point("found", FIRST, sampled=build_trials_at(base(tmp_path), FIRST))
    assert read_tried_points("found", base(tmp_path, setting), rows=rows) == ()


@pytest.mark.parametrize(
    "setting",
    [
        "search.space={model.units: {low: 4, high: 64, step: 4}, train.learning_rate: [0.01]}",
        "search.space={model.units: {low: 4, high: 64}, train.learning_rate: [0.01]}",
        "search.space={model.units: [8], train.learning_rate: {low: 0.002, high: 1, step: 0.002}}",
    ],
    ids=["steps", "whole numbers", "steps of floats"],
)
def test_points_that_the_present_file_would_try_are_kept(
    tmp_path: Path, rows: TrialRows, setting: str
) -> None:
    point = base(tmp_path, setting)
    rows.submit_point("found", FIRST, sampled=build_trials_at(point, FIRST))
    search = resume_search("found", point, rows=rows)
    assert search.take() == FIRST
