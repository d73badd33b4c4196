import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.bench import Case, Protocol, Tool
from harness.fleet.plan import plan_cases, split_cases

FIRST, SECOND = "1" * 64, "2" * 64
TOOL = Tool("tool", "f" * 64)
QUICK = Protocol("quick")


def test_cases_come_protocol_by_protocol() -> None:
    slow = Protocol("slow")
    assert plan_cases([FIRST, SECOND], "pi4", tool=TOOL, protocols=[QUICK, slow]) == (
        Case(FIRST, "pi4", tool=TOOL, protocol=QUICK),
        Case(SECOND, "pi4", tool=TOOL, protocol=QUICK),
        Case(FIRST, "pi4", tool=TOOL, protocol=slow),
        Case(SECOND, "pi4", tool=TOOL, protocol=slow),
    )


@pytest.mark.parametrize(
    ("artifacts", "protocols"),
    [
        pytest.param([FIRST, SECOND, FIRST], [QUICK], id="repeated artifact"),
        pytest.param([FIRST, SECOND], [QUICK, QUICK], id="repeated protocol"),
    ],
)
def test_each_case_is_planned_once(artifacts: list[str], protocols: list[Protocol]) -> None:
    assert plan_cases(artifacts, "pi4", tool=TOOL, protocols=protocols) == (
        Case(FIRST, "pi4", tool=TOOL, protocol=QUICK),
        Case(SECOND, "pi4", tool=TOOL, protocol=QUICK),
    )


@given(st.lists(st.integers(0, 9)), st.sets(st.integers(1, 8), max_size=3))
def test_there_is_a_case_for_each_artifact_and_protocol(
    artifacts: list[int], threads: set[int]
) -> None:
    protocols = [Protocol("quick", threads=count) for count in threads]
    cases = plan_cases(
        [str(number) * 64 for number in artifacts], "pi4", tool=TOOL, protocols=protocols
    )
    assert len(cases) == len({case.id for case in cases}) == len(set(artifacts)) * len(threads)


CASES = plan_cases([FIRST, SECOND], "pi4", tool=TOOL, protocols=[QUICK])


@pytest.mark.parametrize(
    ("measured_ids", "force", "to_measure", "measured"),
    [
        pytest.param([], False, CASES, (), id="nothing measured"),
        pytest.param([CASES[0].id], False, CASES[1:], CASES[:1], id="one measured"),
        pytest.param([case.id for case in CASES], False, (), CASES, id="all measured"),
        pytest.param([case.id for case in CASES], True, CASES, (), id="all measured, but forced"),
        pytest.param(["another case"], False, CASES, (), id="another measured"),
    ],
)
def test_measured_cases_are_only_measured_again_if_forced(
    measured_ids: list[str],
    *,
    force: bool,
    to_measure: tuple[Case, ...],
    measured: tuple[Case, ...],
) -> None:
    plan = split_cases(CASES, measured_ids, force=force)
    assert (plan.to_measure, plan.measured) == (to_measure, measured)
