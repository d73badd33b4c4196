"""Untrained artifacts on both databases: never taken for trained ones, but compared with them."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from harness.core.bench import PROTOCOLS, Case
from harness.core.errors import Reason
from harness.core.forms import SecondLook
from harness.core.sweep import Anatomy, Artifact, Failure, Trial
from harness.store.queries import load_named_queries
from harness.store.reading import read_results, run_query
from harness.store.rows.cases import CaseRows
from harness.store.rows.forms import FormRows
from harness.store.rows.trials import TrialRows
from tests.store.examples import (
    TOOL,
    make_artifact,
    make_form,
    make_measurement_from,
    make_outcome,
    make_sweep,
    make_trial,
)

UNTRAINED = make_artifact(b"untrained", accuracy=None, agreement=None)
TRIALS = (make_trial(seed=0), make_trial(seed=1))


FORM, SAME_FORM = map(make_form, TRIALS)


def bench(engine: Engine, artifact: str, latency_us: float, device: str = "pi4") -> None:
    case = Case(artifact, device, tool=TOOL, protocol=PROTOCOLS["quick"])
    CaseRows(engine).finish("ssh", make_measurement_from(case, [latency_us] * 3))


def train(engine: Engine, trial: Trial, artifact: Artifact | None = None) -> str:
    """Store a finished trial, and return its artifact's SHA-256."""
    rows, outcome = TrialRows(engine), make_outcome(trial)
    if artifact:
        outcome = replace(outcome, artifacts=(artifact,))
    rows.submit(make_sweep(*TRIALS), [])
    rows.finish(outcome)
    return outcome.artifacts[0].sha256


def ask(engine: Engine, name: str) -> list[dict[str, object]]:
    query = load_named_queries()[name]
    return run_query(engine, query.sql, values=query.parse_values({})).records()


def test_a_form_that_was_built_is_known_to_all_its_trials(engine: Engine) -> None:
    rows = FormRows(engine)
    assert rows.get_artifacts([FORM]) == {}
    rows.save(FORM, UNTRAINED)
    assert rows.get_artifacts([SAME_FORM]) == {FORM.id: UNTRAINED.sha256}


def test_a_form_that_failed_says_why_until_it_is_built(engine: Engine) -> None:
    rows = FormRows(engine)
    rows.fail(FORM, Failure(Reason.CONVERSION, "LCE can't convert mlp."))
    select = "SELECT artifact, reason, message FROM forms"
    assert run_query(engine, select).values == ((None, "conversion", "LCE can't convert mlp."),)
    assert rows.get_artifacts([FORM]) == {}
    rows.save(FORM, UNTRAINED)
    assert run_query(engine, select).values == ((UNTRAINED.sha256, None, None),)


def test_an_untrained_artifact_is_never_taken_for_a_trained_one(engine: Engine) -> None:
    FormRows(engine).save(FORM, UNTRAINED)
    trained = train(engine, TRIALS[0])
    bench(engine, UNTRAINED.sha256, latency_us=90.0)
    bench(engine, trained, latency_us=100.0)
    by_artifact = {row["artifact"]: row for row in read_results(engine)}
    row = by_artifact[UNTRAINED.sha256]
    assert row["untrained"]
    assert not by_artifact[trained]["untrained"]
    assert (row["trial"], row["accuracy"], row["precision"]) == (None, None, None)
    assert row["file"] == "mlp units=64 binary 8x8x1 to 10, untrained"
    TrialRows(engine).add_artifact(UNTRAINED, "exported.tflite")
    (named,) = read_results(engine, artifacts=[UNTRAINED.sha256])
    assert named["file"] == row["file"]
    for name in ("leaderboard", "fastest_per_device", "pareto"):
        assert [entry["latency_us"] for entry in ask(engine, name)] == [100.0], name
    assert [entry["artifact"] for entry in ask(engine, "coverage")] == []


def test_the_looks_at_a_form_stand_beside_each_other_by_device(engine: Engine) -> None:
    rows = FormRows(engine)
    rows.save(FORM, UNTRAINED)
    same = train(engine, TRIALS[0])
    other = train(
        engine,
        TRIALS[1],
        artifact=replace(make_artifact(b"y"), anatomy=Anatomy({}, 0, float_macs=0)),
    )
    rows.link({trial.id: make_form(trial) for trial in TRIALS})
    for device, untrained_us, same_us, other_us in (
        ("pi4", 100.0, 104.0, 150.0),
        ("pi5", 50.0, 51.0, 50.0),
    ):
        bench(engine, UNTRAINED.sha256, latency_us=untrained_us, device=device)
        bench(engine, same, latency_us=same_us, device=device)
        bench(engine, other, latency_us=other_us, device=device)
    bench(engine, same, latency_us=1.0, device="never measured untrained")
    (look,) = (
        look for look in rows.list_second_looks() if look.device == "pi4" and look.same_operators
    )
    assert look == SecondLook(
        FORM.id,
        "mlp",
        device="pi4",
        threads=1,
        untrained=look.untrained,
        trained=look.trained,
        same_operators=True,
    )
    assert (look.untrained.value_us, look.trained.value_us) == (100.0, 104.0)
    first, second = ask(engine, "first_looks")
    assert (first["device"], first["networks"], first["other_operators"]) == ("pi4", 2, 1)
    assert first["median_off"] == pytest.approx((0.04 + 0.5) / 2)
    assert first["worst_off"] == pytest.approx(0.5)
    assert (second["device"], second["worst_off"]) == ("pi5", pytest.approx(0.02))


def test_trials_whose_form_is_unknown_have_no_first_look(engine: Engine) -> None:
    FormRows(engine).save(FORM, UNTRAINED)
    bench(engine, UNTRAINED.sha256, latency_us=100.0)
    bench(engine, train(engine, TRIALS[0]), latency_us=100.0)
    assert FormRows(engine).list_second_looks() == []
