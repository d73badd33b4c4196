"""Searches as data frames: their points, and how the hypervolume grew."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from harness.core.errors import RequestError
from harness.core.search import ACCURACY, Constraint, Objective
from harness.report import list_searches, search
from harness.report.searches import SearchResult, hypervolume_over_time
from harness.store.database import open_database
from harness.store.rows.trials import TrialRows
from harness.store.tables import sweep_trials, trials
from tests.store.examples import make_sweep
from tests.store.searches import LATENCY_ON_PI4, LIMIT_ON_PHONES, StoredSearch, make_search

START = datetime(2026, 11, 20, 9, tzinfo=timezone.utc)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'harness.db'}")
    yield engine
    engine.dispose()


def date_trials(engine: Engine) -> None:
    """Let each trial begin an hour after the one before it, and take an hour."""
    with engine.begin() as connection:
        in_order = select(sweep_trials.c.trial_id).order_by(sweep_trials.c.submitted_at)
        for hour, trial_id in enumerate(connection.scalars(in_order).all()):
            begun, ended = ((START + timedelta(hours=hour + more)).isoformat() for more in (0, 1))
            link, trial = sweep_trials.c.trial_id == trial_id, trials.c.id == trial_id
            connection.execute(update(sweep_trials).where(link).values(submitted_at=begun))
            connection.execute(
                update(trials)
                .where(trial, trials.c.finished_at.is_not(None))
                .values(finished_at=ended)
            )


@pytest.fixture
def result(engine: Engine, tmp_path: Path) -> SearchResult:
    """A search of five points: two feasible, one infeasible and untrained, and two that are not."""
    stored = StoredSearch(engine)
    stored.submit()
    for units, accuracy, latency_us in ((64, 0.6, 1000.0), (128, 0.9, 3000.0)):
        (trial,) = stored.begin(units, 0.001)
        stored.measure(stored.finish(trial, accuracy, fit_s=60.0), "pi4", latency_us=latency_us)
        stored.look(trial, "pixel6", latency_us=900.0)
    (ruled_out,) = stored.begin(512)
    stored.look(ruled_out, "pi4", latency_us=8000.0)
    stored.look(ruled_out, "pixel6", latency_us=9000.0)
    stored.rule_out(ruled_out, "latency on phones is 9.0 ms on pixel6.")
    (last,) = stored.begin(192)
    stored.measure(stored.finish(last, 0.8, fit_s=30.0), "pi4", latency_us=2000.0)
    stored.look(last, "pixel6", latency_us=900.0)
    stored.begin(256)
    date_trials(engine)
    return search("search", tmp_path)


def test_each_point_has_its_settings_its_metrics_and_its_state(result: SearchResult) -> None:
    points = result.points
    assert result.keys == ("model.units", "train.learning_rate")
    assert result.names == ["accuracy", "latency on pi4"]
    assert list(points["model.units"]) == [64, 128, 512, 192, 256]
    assert list(points["state"]) == ["done", "done", "infeasible", "done", "planned"]
    assert list(points["feasible"].astype(object).fillna("unknown")) == [
        True,
        True,
        False,
        True,
        "unknown",
    ]
    assert list(points["on_front"]) == [True, True, False, True, False]
    assert list(points["latency on pi4"].dropna()) == [1000.0, 3000.0, 8000.0, 2000.0]
    assert list(points["accuracy"].dropna()) == [0.6, 0.9, 0.8]
    assert list(points[str(LIMIT_ON_PHONES)].dropna()) == [900.0, 900.0, 9000.0, 900.0]
    assert points["message"].dropna().tolist() == ["latency on phones is 9.0 ms on pixel6."]


def test_the_hypervolume_grows_from_the_worst_to_the_best(result: SearchResult) -> None:
    assert str(result.reference) == "accuracy 60.0 %, latency on pi4 3.00 ms"
    growth = hypervolume_over_time(result)
    assert list(growth["number"]) == [0, 1, 2, 3, 4]
    assert list(growth["worker_s"]) == [0.0, 60.0, 120.0, 120.0, 150.0]
    assert list(growth["wall_s"]) == [0.0, 3600.0, 7200.0, 10800.0, 14400.0]
    # The first two are the worst in one objective each; the last is (0.2 / 0.3, 1 / 2).
    assert list(growth["hypervolume"]) == pytest.approx([0.0, 0.0, 0.0, 0.0, 2 / 3 / 2])


def test_one_objective_whose_values_are_equal_is_no_reason_to_lose_the_other(
    engine: Engine, tmp_path: Path
) -> None:
    stored = StoredSearch(
        engine, make_search(objectives=(ACCURACY, Objective("size")), constraints=())
    )
    stored.submit()
    for units, accuracy in ((64, 0.5), (128, 0.7), (192, 0.6)):
        stored.finish(stored.begin(units)[0], accuracy, size=100)
    growth = hypervolume_over_time(search("search", tmp_path))
    assert list(growth["hypervolume"]) == pytest.approx([0.0, 0.0, 1.0, 1.0])


def test_a_search_without_a_feasible_point_has_no_hypervolume(
    engine: Engine, tmp_path: Path
) -> None:
    stored = StoredSearch(engine)
    stored.submit()
    stored.rule_out(stored.begin(64)[0], "too slow.")
    result = search("search", tmp_path)
    assert result.reference is None
    assert hypervolume_over_time(result).empty
    assert list(result.points["accuracy"].isna()) == [True]


def test_the_settings_of_a_limited_grid_are_those_that_differ(
    engine: Engine, tmp_path: Path
) -> None:
    limit = Constraint("size", at_most=1000.0)
    grid = replace(make_search(), method="grid", trials=None, space=None, objectives=(ACCURACY,))
    stored = StoredSearch(engine, replace(grid, constraints=(limit,)))
    stored.submit()
    several = tuple(stored.make_trial_at(*pair) for pair in product((64, 128), (0.1, 0.2)))
    TrialRows(engine).submit(replace(make_sweep(*several), name="search"), again=[])
    result = search("search", tmp_path)
    assert result.keys == ("model.units", "train.learning_rate")
    assert sorted(result.points["model.units"]) == [64, 64, 128, 128]


def test_searches_are_listed_the_last_submitted_first(engine: Engine, tmp_path: Path) -> None:
    for name in ("first", "second", "empty"):
        stored = StoredSearch(engine, make_search((ACCURACY, LATENCY_ON_PI4)), name=name)
        stored.submit()
        if name != "empty":
            stored.begin(64)
    assert [result.sweep for result in list_searches(tmp_path)] == ["second", "first"]
    assert [result.sweep for result in list_searches(tmp_path, newest=1)] == ["second"]
    with pytest.raises(RequestError, match=r"^another has no search; `harness query search`"):
        search("another", tmp_path)
