"""The rows of searches, on both databases, and what `harness query search` makes of them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from harness.core.errors import Reason
from harness.core.search import ACCURACY, Constraint, Objective, Search
from harness.core.sweep import Failure, Precision, Trial
from harness.store.queries import load_named_queries
from harness.store.reading import run_query
from harness.store.rows.searches import SearchRows
from harness.store.rows.trials import TrialRows
from tests.store.examples import make_sweep
from tests.store.searches import LIMIT_ON_PHONES, StoredSearch, make_search

SIZE = Objective("size")


def read(engine: Engine, sql: str) -> list[dict[str, Any]]:
    return run_query(engine, sql).records()


def ask(engine: Engine, sweep: str = "") -> list[dict[str, Any]]:
    query = load_named_queries()["search"]
    return run_query(engine, query.sql, values=query.parse_values({"sweep": sweep})).records()


def by_point(engine: Engine) -> dict[int, dict[str, Any]]:
    """Return the columns about each whole point, by its number."""
    return {row["number"]: row for row in ask(engine)}


def by_metric(engine: Engine) -> dict[tuple[int, str], dict[str, Any]]:
    return {(row["number"], row["metric"]): row for row in ask(engine)}


@pytest.fixture
def stored(engine: Engine) -> StoredSearch:
    search = StoredSearch(engine)
    search.submit()
    return search


def test_a_search_is_stored_with_a_row_for_each_device_of_its_metrics(
    engine: Engine, stored: StoredSearch
) -> None:
    (row,) = read(engine, "SELECT sweep, method, trials, space FROM searches")
    assert (row["sweep"], row["method"], row["trials"]) == ("search", "optuna", 40)
    assert json.loads(row["space"])["model.units"] == {
        "low": 64,
        "high": 512,
        "log": False,
        "step": 64,
    }
    columns = "number, device, name, metric, place, threads, at_most"
    rows = run_query(engine, f"SELECT {columns} FROM search_metrics ORDER BY number, device").values
    assert rows == (
        (0, "", "accuracy", "accuracy", None, None, None),
        (1, "pi4", "latency on pi4", "latency", "pi4", 1, None),
        (2, "pixel6", str(LIMIT_ON_PHONES), "latency", "phones", 1, 5000.0),
    )


def test_a_new_submission_replaces_the_search(engine: Engine, stored: StoredSearch) -> None:
    replace(stored, search=make_search(objectives=(SIZE,), constraints=(), trials=50)).submit()
    assert read(engine, "SELECT trials FROM searches") == [{"trials": 50}]
    assert read(engine, "SELECT name FROM search_metrics") == [{"name": "size"}]


def test_a_grid_without_limits_is_no_search(engine: Engine) -> None:
    SearchRows(engine).save(make_sweep(), places={})
    assert read(engine, "SELECT * FROM searches") == []
    limited = Search(constraints=(Constraint("size", at_most=1000.0),))
    SearchRows(engine).save(replace(make_sweep(), search=limited), places={})
    assert read(engine, "SELECT method, trials, space FROM searches") == [
        {"method": "grid", "trials": None, "space": None}
    ]


def test_points_stand_in_the_order_tried_with_their_states(
    engine: Engine, stored: StoredSearch
) -> None:
    done, ruled_out, failed, waiting, _ = (
        stored.begin(units)[0] for units in (64, 512, 128, 192, 256)
    )
    stored.measure(stored.finish(done, 0.9), "pi4", latency_us=1000.0)
    stored.look(done, "pixel6", latency_us=900.0)
    stored.rule_out(ruled_out, "latency on phones is 9.0 ms on pixel6.")
    stored.look(ruled_out, "pixel6", latency_us=9000.0)
    TrialRows(engine).fail(failed.id, Failure(Reason.DIVERGED, "The loss became nan."))
    stored.finish(waiting, 0.8)
    rows = by_point(engine)
    assert [
        (rows[number]["state"], json.loads(rows[number]["point"])["model.units"]) for number in rows
    ] == [
        ("done", 64),
        ("infeasible", 512),
        ("failed", 128),
        ("open", 192),
        ("planned", 256),
    ]
    assert [rows[number]["message"] for number in rows] == [
        None,
        "latency on phones is 9.0 ms on pixel6.",
        "The loss became nan.",
        None,
        None,
    ]
    assert (rows[1]["accuracy"], rows[1]["size_bytes"], rows[1]["train_s"]) == (0.9, 100.0, 10.0)
    assert rows[1]["finished_at"]
    assert rows[2]["accuracy"] is None
    assert rows[2]["train_s"] is None
    assert [rows[number]["on_front"] for number in rows] == [1, 0, 0, 0, 0]
    assert ask(engine, "another") == []
    assert len(ask(engine, "search")) == 2 * 5


def test_a_trained_network_counts_before_its_untrained_form(
    engine: Engine, stored: StoredSearch
) -> None:
    (trial,) = stored.begin(64)
    stored.look(trial, "pi4", latency_us=1000.0)
    stored.look(trial, "pixel6", latency_us=900.0)
    row = by_metric(engine)[1, "latency on pi4"]
    assert (row["device"], row["value"], row["unit"], row["first_look"]) == ("pi4", 1000, "us", 1)
    sha256 = stored.finish(trial, 0.9)
    stored.measure(sha256, "pi4", latency_us=1200.0)
    stored.measure(sha256, "pi4", latency_us=1100.0)
    rows = by_metric(engine)
    row = rows[1, "latency on pi4"]
    assert (row["value"], row["first_look"], row["verdict"]) == (1100.0, 0, None)
    limit = rows[1, str(LIMIT_ON_PHONES)]
    assert (limit["value"], limit["first_look"]) == (900.0, 1)
    assert (limit["verdict"], limit["state"]) == ("kept", "done")


@pytest.mark.parametrize(
    ("latency_us", "verdict", "state"),
    [(4000.0, "kept", "done"), (5100.0, "undecided", "done"), (6000.0, "exceeded", "infeasible")],
)
def test_a_limit_is_judged_by_the_interval(
    engine: Engine, stored: StoredSearch, latency_us: float, verdict: str, state: str
) -> None:
    (trial,) = stored.begin(64)
    sha256 = stored.finish(trial, 0.9)
    stored.measure(sha256, "pi4", latency_us=1000.0)
    stored.measure(sha256, "pixel6", latency_us=latency_us, margin_us=500.0)
    row = by_metric(engine)[1, str(LIMIT_ON_PHONES)]
    assert (row["verdict"], row["state"], row["on_front"]) == (verdict, state, state == "done")


def test_the_worst_device_of_a_place_counts(engine: Engine) -> None:
    limit = Constraint("latency", at_most=5_000.0, on="all")
    places = {"all": [*StoredSearch(engine).places["pi4"], *StoredSearch(engine).places["phones"]]}
    stored = StoredSearch(
        engine,
        make_search(objectives=(ACCURACY, Objective("energy", on="all")), constraints=(limit,)),
        places=places,
    )
    stored.submit()
    (trial,) = stored.begin(64)
    sha256 = stored.finish(trial, 0.9)
    stored.measure(sha256, "pi4", latency_us=1000.0)
    rows = by_metric(engine)
    assert (rows[1, str(limit)]["verdict"], rows[1, str(limit)]["state"]) == ("undecided", "open")
    stored.measure(sha256, "pixel6", latency_us=4000.0)
    rows = by_metric(engine)
    energy = rows[1, "energy on all"]
    assert (energy["device"], energy["value"], energy["unit"]) == ("pixel6", 2000.0, "uj")
    assert (rows[1, str(limit)]["verdict"], energy["state"]) == ("kept", "done")


def test_an_objective_is_the_mean_of_a_points_trials_and_a_limit_holds_for_each(
    engine: Engine,
) -> None:
    limit = Constraint("size", at_most=150.0)
    stored = StoredSearch(
        engine,
        make_search(objectives=(ACCURACY, SIZE), constraints=(limit,)),
        precisions=(Precision.BINARY, Precision.FLOAT32),
    )
    stored.submit()
    for units, sizes in ((64, (100, 140)), (128, (100, 160))):
        for trial, size, accuracy in zip(stored.begin(units), sizes, (0.8, 0.9), strict=True):
            stored.finish(trial, accuracy, size=size)
    rows = by_metric(engine)
    small, large = rows[1, str(limit)], rows[2, str(limit)]
    assert small["accuracy"] == pytest.approx(0.85)
    assert (small["size_bytes"], small["value"], small["unit"]) == (120.0, 140.0, "bytes")
    assert (small["verdict"], small["state"], small["train_s"]) == ("kept", "done", 20.0)
    assert (large["verdict"], large["state"]) == ("exceeded", "infeasible")


def test_the_front_is_what_no_other_feasible_point_beats(engine: Engine) -> None:
    stored = StoredSearch(engine, make_search(objectives=(ACCURACY, SIZE), constraints=()))
    stored.submit()
    points: Mapping[int, tuple[float, int]] = {
        64: (0.7, 100),
        128: (0.8, 120),
        192: (0.75, 130),
        256: (0.8, 120),
        320: (0.9, 200),
        384: (0.9, 201),
    }
    for units, (accuracy, size) in points.items():
        stored.finish(stored.begin(units)[0], accuracy, size=size)
    rows = by_point(engine)
    assert [rows[number]["on_front"] for number in rows] == [1, 1, 0, 1, 1, 0]
    assert [row["metric"] for row in ask(engine)] == [None] * 6


def test_points_that_were_not_sampled_are_told_apart_by_their_settings(engine: Engine) -> None:
    stored = StoredSearch(engine, make_search(objectives=(ACCURACY,), constraints=()))
    stored.submit()
    trials = [stored.make_trial_at(units, 0.01, Precision.BINARY) for units in (64, 128)]
    twins: list[Trial] = [replace(trial, precision=Precision.FLOAT32) for trial in trials]
    TrialRows(engine).submit(replace(stored.sweep, trials=(*trials, *twins)), again=[])
    rows = ask(engine)
    assert [json.loads(row["point"])["model"]["units"] for row in rows] in ([64, 128], [128, 64])


def test_the_query_takes_numbers_from_the_search_of_each_sweep(engine: Engine) -> None:
    for name in ("first", "second"):
        stored = StoredSearch(
            engine, make_search(objectives=(ACCURACY,), constraints=()), name=name
        )
        stored.submit()
        stored.finish(stored.begin(64)[0], 0.9)
    assert [(row["sweep"], row["number"], row["on_front"]) for row in ask(engine)] == [
        ("first", 1, 1),
        ("second", 1, 1),
    ]
