from dataclasses import replace

import pytest

from harness.core.bench import Protocol
from harness.core.errors import Reason
from harness.core.recipe import Recipe
from harness.core.search import Asha, Search
from harness.core.sweep import Precision, Resources, Sweep, Trial
from harness.store.files.artifacts import FileState
from harness.store.rows.trials import DONE, FAILED, PLANNED, STOPPED, TrialState
from harness.sweep.plan import TrialPlan, plan_trials

TRIAL = Trial(
    "mlp",
    {},
    chosen={},
    precision=Precision.BINARY,
    dataset="digits",
    recipe=Recipe(epochs=1),
    seed=0,
)
FIRST, SECOND = "1" * 64, "2" * 64
QUICK = Protocol("quick")


def sweep(*trials: Trial, search: Search = Search()) -> Sweep:  # noqa: B008  (frozen)
    return Sweep("small", trials, resources=Resources(), protocols=(QUICK,), search=search)


def planned(
    state: TrialState | None,
    files: dict[str, FileState] | None = None,
    search: Search = Search(),  # noqa: B008
) -> TrialPlan:
    (plan,) = plan_trials(
        sweep(TRIAL, search=search), {TRIAL.id: state} if state else {}, files=files or {}
    )
    assert plan.trial == TRIAL
    return plan


def test_a_trial_that_was_never_submitted_is_new() -> None:
    assert planned(None).reason == "new"


@pytest.mark.parametrize("status", [FAILED, PLANNED])
def test_a_trial_that_did_not_finish_is_run_again_for_that_reason(status: str) -> None:
    assert planned(TrialState(status, {})).reason == f"{status} before"


def test_a_trial_that_failed_is_run_again_whatever_its_files() -> None:
    assert planned(TrialState(FAILED, {"tflite": FIRST}), {FIRST: FileState.INTACT}).reason


def test_a_finished_trial_with_intact_files_is_not_run_again() -> None:
    plan = planned(TrialState(DONE, {"tflite": FIRST}), {FIRST: FileState.INTACT})
    assert plan.reason == ""
    assert plan.artifacts == {"tflite": FIRST}


@pytest.mark.parametrize("state", [FileState.MISSING, FileState.CORRUPT])
def test_a_finished_trial_is_run_again_if_its_file_is_damaged(state: FileState) -> None:
    plan = planned(TrialState(DONE, {"tflite": FIRST}), {FIRST: state})
    assert plan.reason == f"artifact {FIRST[:12]}… is {state.value}"


def test_the_reason_names_every_damaged_file() -> None:
    files = {FIRST: FileState.MISSING, SECOND: FileState.CORRUPT}
    reason = planned(TrialState(DONE, {"tflite": FIRST, "other": SECOND}), files).reason
    assert reason == f"artifact {FIRST[:12]}… is missing; artifact {SECOND[:12]}… is corrupt"


def test_an_outclassed_trial_is_run_again_only_without_early_ends() -> None:
    outclassed = TrialState(STOPPED, {}, reason=Reason.OUTCLASSED)
    assert planned(outclassed, search=Search(asha=Asha())).reason == ""
    assert planned(outclassed).reason == "stopped before"


def test_a_trial_that_a_budget_ended_is_run_again() -> None:
    assert (
        planned(TrialState(STOPPED, {}, reason=Reason.BUDGET), search=Search(asha=Asha())).reason
        == "stopped before"
    )


def test_plans_come_in_the_order_of_the_trials() -> None:
    trials = [replace(TRIAL, seed=seed) for seed in (3, 1, 2)]
    states = {trials[1].id: TrialState(DONE, {}), trials[2].id: TrialState(FAILED, {})}
    assert [
        (plan.trial, plan.reason) for plan in plan_trials(sweep(*trials), states, files={})
    ] == [
        (trials[0], "new"),
        (trials[1], ""),
        (trials[2], "failed before"),
    ]
