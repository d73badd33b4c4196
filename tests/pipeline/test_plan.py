from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.bench import Case, Protocol, Tool
from harness.core.errors import Reason
from harness.core.recipe import Recipe
from harness.core.search import Asha, Search
from harness.core.sweep import Precision, Resources, Sweep, Trial
from harness.pipeline.plan import TrialPlan, plan_cases, plan_trials, split_cases
from harness.store.files.artifacts import FileState
from harness.store.rows.trials import DONE, FAILED, PLANNED, STOPPED, TrialState

TRIAL = Trial("mlp", {}, {}, Precision.BINARY, "digits", Recipe(epochs=1), seed=0)
ONE, OTHER = "1" * 64, "2" * 64
TOOL = Tool("tool", "f" * 64)
QUICK = Protocol("quick")


def sweep(*trials: Trial, search: Search = Search()) -> Sweep:  # noqa: B008  (frozen)
    return Sweep("small", trials, Resources(), (QUICK,), search=search)


def planned(
    state: TrialState | None,
    files: dict[str, FileState] | None = None,
    search: Search = Search(),  # noqa: B008
) -> TrialPlan:
    (plan,) = plan_trials(sweep(TRIAL, search=search), {TRIAL.id: state} if state else {}, files or {})
    assert plan.trial == TRIAL
    return plan


def test_a_trial_that_was_never_submitted_is_new() -> None:
    assert planned(None).because == "new"


@pytest.mark.parametrize("status", [FAILED, PLANNED])
def test_a_trial_that_did_not_finish_is_run_again_and_says_why(status: str) -> None:
    assert planned(TrialState(status, {})).because == f"{status} before"


def test_a_trial_that_failed_is_run_again_whatever_its_files() -> None:
    assert planned(TrialState(FAILED, {"tflite": ONE}), {ONE: FileState.WHOLE}).because


def test_a_finished_trial_with_whole_files_is_not_run_again() -> None:
    plan = planned(TrialState(DONE, {"tflite": ONE}), {ONE: FileState.WHOLE})
    assert plan.because == ""
    assert plan.artifacts == {"tflite": ONE}


@pytest.mark.parametrize("state", [FileState.MISSING, FileState.CORRUPT])
def test_a_finished_trial_is_run_again_where_its_file_is_not_whole(state: FileState) -> None:
    plan = planned(TrialState(DONE, {"tflite": ONE}), {ONE: state})
    assert plan.because == f"artifact {ONE[:12]}… is {state.value}"


def test_every_broken_file_is_named() -> None:
    files = {ONE: FileState.MISSING, OTHER: FileState.CORRUPT}
    because = planned(TrialState(DONE, {"tflite": ONE, "other": OTHER}), files).because
    assert because == f"artifact {ONE[:12]}… is missing; artifact {OTHER[:12]}… is corrupt"


def test_a_trial_that_others_outdid_is_run_again_only_where_none_is_ended_early() -> None:
    outdone = TrialState(STOPPED, {}, Reason.OUTCLASSED)
    assert planned(outdone, search=Search(asha=Asha())).because == ""
    assert planned(outdone).because == "stopped before"


def test_a_trial_that_a_budget_ended_is_gone_on_with() -> None:
    assert planned(TrialState(STOPPED, {}, Reason.BUDGET), search=Search(asha=Asha())).because == "stopped before"


def test_plans_come_in_the_order_of_the_trials() -> None:
    trials = [replace(TRIAL, seed=seed) for seed in (3, 1, 2)]
    states = {trials[1].id: TrialState(DONE, {}), trials[2].id: TrialState(FAILED, {})}
    assert [(plan.trial, plan.because) for plan in plan_trials(sweep(*trials), states, {})] == [
        (trials[0], "new"),
        (trials[1], ""),
        (trials[2], "failed before"),
    ]


def test_cases_come_protocol_by_protocol() -> None:
    slow = Protocol("slow")
    assert plan_cases([ONE, OTHER], "pi4", TOOL, [QUICK, slow]) == (
        Case(ONE, "pi4", TOOL, QUICK),
        Case(OTHER, "pi4", TOOL, QUICK),
        Case(ONE, "pi4", TOOL, slow),
        Case(OTHER, "pi4", TOOL, slow),
    )


@pytest.mark.parametrize(
    ("artifacts", "protocols"),
    [
        pytest.param([ONE, OTHER, ONE], [QUICK], id="artifact given twice"),
        pytest.param([ONE, OTHER], [QUICK, QUICK], id="protocol given twice"),
    ],
)
def test_each_case_is_planned_once(artifacts: list[str], protocols: list[Protocol]) -> None:
    assert plan_cases(artifacts, "pi4", TOOL, protocols) == (
        Case(ONE, "pi4", TOOL, QUICK),
        Case(OTHER, "pi4", TOOL, QUICK),
    )


@given(st.lists(st.integers(0, 9)), st.sets(st.integers(1, 8), max_size=3))
def test_there_is_a_case_for_each_artifact_and_protocol(artifacts: list[int], threads: set[int]) -> None:
    protocols = [Protocol("quick", threads=count) for count in threads]
    cases = plan_cases([str(number) * 64 for number in artifacts], "pi4", TOOL, protocols)
    assert len(cases) == len({case.id for case in cases}) == len(set(artifacts)) * len(threads)


CASES = plan_cases([ONE, OTHER], "pi4", TOOL, [QUICK])


@pytest.mark.parametrize(
    ("measured", "force", "new", "done"),
    [
        pytest.param([], False, CASES, (), id="nothing measured"),
        pytest.param([CASES[0].id], False, CASES[1:], CASES[:1], id="one measured"),
        pytest.param([case.id for case in CASES], False, (), CASES, id="all measured"),
        pytest.param([case.id for case in CASES], True, CASES, (), id="all measured, but forced"),
        pytest.param(["another case's"], False, CASES, (), id="another measured"),
    ],
)
def test_what_was_measured_is_not_measured_again_unless_forced(
    measured: list[str], force: bool, new: tuple[Case, ...], done: tuple[Case, ...]
) -> None:
    plan = split_cases(CASES, measured, force)
    assert (plan.new, plan.done) == (new, done)
