from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.bench import PROTOCOLS, Case, Protocol, Tool, with_threads
from harness.core.recipe import Recipe, Schedule
from harness.core.sweep import Conversion, Precision, Timings, Trial

TRIAL = Trial(
    architecture="mlp",
    parameters={"layers": 3, "units": 64},
    chosen={"units": 64},
    precision=Precision.BINARY,
    dataset="digits",
    recipe=Recipe(epochs=5),
    seed=0,
)
CASE = Case("a" * 64, "pi4", tool=Tool("tool", "b" * 64), protocol=Protocol("quick"))


@pytest.mark.parametrize(
    "changed",
    [
        {"architecture": "cnn"},
        {"chosen": {"units": 65}},
        {"chosen": {}},
        {"chosen": {"units": 64, "layers": 2}},
        {"dataset": "fashion_mnist"},
        {"recipe": Recipe(epochs=6)},
        {"recipe": Recipe(epochs=5, batch_size=99)},
        {"recipe": Recipe(epochs=5, learning_rate=Schedule("cosine", 0.001))},
        {"seed": 1},
    ],
    ids=str,
)
def test_a_different_training_has_another_id_and_another_twin(
    changed: dict[str, Any],
) -> None:
    other = replace(TRIAL, **changed)
    assert other.id != TRIAL.id
    assert other.twin != TRIAL.twin


def test_precisions_of_one_trial_differ_in_id_and_share_their_twin() -> None:
    trials = [replace(TRIAL, precision=precision) for precision in Precision]
    assert len({trial.id for trial in trials}) == len(Precision)
    assert len({trial.twin for trial in trials}) == 1


def test_a_trial_and_its_twin_have_different_ids() -> None:
    assert TRIAL.id != TRIAL.twin


def test_parameters_that_are_defaults_do_not_matter() -> None:
    """A later version of the architecture has an additional parameter."""
    later = replace(TRIAL, parameters={"layers": 3, "units": 64, "dropout": 0.0})
    assert (later.id, later.twin) == (TRIAL.id, TRIAL.twin)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=5, batch_size=100),
        Recipe(epochs=5, optimizer="adam", learning_rate=0.001),
        Recipe(epochs=5, validation=0.1),
    ],
    ids=str,
)
def test_a_default_that_is_written_out_changes_no_id(recipe: Recipe) -> None:
    assert replace(TRIAL, recipe=recipe, convert=Conversion(("tflite",))).id == TRIAL.id


def test_defaults_of_a_schedule_do_not_matter() -> None:
    implicit = replace(TRIAL, recipe=Recipe(epochs=5, learning_rate=Schedule("cosine", 0.1)))
    explicit = replace(
        TRIAL,
        recipe=Recipe(
            epochs=5, learning_rate=Schedule("cosine", 0.1, decay_rate=0.9, decay_epochs=1.0)
        ),
    )
    assert implicit.id == explicit.id


@given(st.permutations(["units", "layers", "width"]))
def test_the_order_of_parameters_does_not_matter(order: list[str]) -> None:
    chosen = {"units": 1, "layers": 2, "width": 3}
    assert (
        replace(TRIAL, chosen={key: chosen[key] for key in order}).id
        == replace(TRIAL, chosen=chosen).id
    )


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(list(Precision)), st.integers(0, 9)),
        unique=True,
        min_size=2,
        max_size=6,
    )
)
def test_different_trials_have_different_ids(settings: list[tuple[int, Precision, int]]) -> None:
    trials = [
        replace(TRIAL, chosen={"units": units}, precision=precision, seed=seed)
        for units, precision, seed in settings
    ]
    assert len({trial.id for trial in trials}) == len(settings)


@pytest.mark.parametrize(
    "changed",
    [
        {"artifact": "c" * 64},
        {"device": "pi5"},
        {"tool": Tool("other", "b" * 64)},
        {"tool": Tool("tool", "c" * 64)},
        {"tool": Tool("tool", "b" * 64, interpreter="larq-compute-engine 0.16.0")},
        {"protocol": Protocol("quick", threads=4)},
        {"protocol": Protocol("quick", num_runs=51)},
        {"protocol": Protocol("slow")},
    ],
    ids=str,
)
def test_a_case_changes_with_its_artifact_device_tool_and_protocol(changed: dict[str, Any]) -> None:
    assert replace(CASE, **changed).id != CASE.id


def test_a_protocols_defaults_do_not_matter() -> None:
    assert (
        replace(
            CASE,
            protocol=Protocol(
                "quick",
                1,
                warmup_runs=1,
                warmup_min_secs=0.5,
                num_runs=50,
                min_secs=1.0,
                max_secs=150.0,
                processes=10,
            ),
        ).id
        == CASE.id
    )


def test_a_protocol_is_returned_once_for_each_thread_count() -> None:
    assert with_threads(PROTOCOLS["quick"], (1, 4, 1)) == (
        PROTOCOLS["quick"],
        replace(PROTOCOLS["quick"], threads=4),
    )


def test_every_protocol_runs_enough_processes_for_an_interval() -> None:
    assert min(protocol.processes for protocol in PROTOCOLS.values()) >= 6


def test_a_trials_work_excludes_waiting_and_importing() -> None:
    assert (
        Timings(waiting_s=100, import_s=50, data_s=1, fit_s=2, convert_s=3, evaluate_s=4).work_s
        == 10
    )
