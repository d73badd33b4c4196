import ast
from dataclasses import replace
from typing import Any

import pytest

from harness.bench.tools import NO_INTERPRETER, RUNNER_FILE, arguments, command, read
from harness.core.bench import PROTOCOLS, Protocol
from harness.core.errors import CaseFailed, Reason
from tests.bench.golden import recording

PROTOCOL = Protocol("asked", threads=1, warmup_runs=3, num_runs=20)  # as `base_bnn` was asked
ECHOES = {
    "threads": "Num threads",
    "num_runs": "Min num runs",
    "warmup_runs": "Min warmup runs",
    "min_secs": "Min runs duration (seconds)",
    "max_secs": "Max runs duration (seconds)",
    "warmup_min_secs": "Min warmup runs duration (seconds)",
}


def failure(
    exit_code: int, stdout: str = "", stderr: str = "", protocol: Protocol = PROTOCOL
) -> CaseFailed:
    with pytest.raises(CaseFailed) as caught:
        read(protocol, exit_code, stdout=stdout, stderr=stderr)
    return caught.value


@pytest.mark.parametrize(
    ("name", "asked", "average"),
    [
        ("base_bnn", {}, 5011.87),
        ("base_float", {}, 8133.77),
        ("peakmem_bnn", {}, 4946.65),
        ("threads4_bnn", {"threads": 4}, 2628.09),
        ("num_runs1_minsecs0", {"num_runs": 1, "min_secs": 0, "warmup_min_secs": 0}, 3536),
    ],
)
def test_a_process_that_ended_well_is_read(
    name: str, asked: dict[str, Any], average: float
) -> None:
    recorded = recording(name)
    log = read(
        replace(PROTOCOL, **asked),
        recorded.exit_code,
        stdout=recorded.stdout,
        stderr=recorded.stderr,
    )
    assert log.inference.avg_us == average


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nolce_bnn", Reason.MISSING_OPERATOR),
        ("err_graph_missing", Reason.CRASHED),
        ("err_timeout_kill", Reason.KILLED),
        ("err_unknown_flag", Reason.ECHO_MISMATCH),
        ("num_runs0_minsecs0", Reason.NOTHING_RAN),
        ("threads4_bnn", Reason.ECHO_MISMATCH),
    ],
)
def test_a_recorded_failure_has_its_reason_and_its_whole_log(name: str, reason: Reason) -> None:
    recorded = recording(name)
    found = failure(recorded.exit_code, recorded.stdout, stderr=recorded.stderr)
    assert found.reason is reason
    assert recorded.stdout in found.log
    assert recorded.stderr in found.log


@pytest.mark.parametrize(
    ("name", "words"),
    [("nolce_bnn", "LceQuantize"), ("err_graph_missing", "/nonexistent/m.tflite")],
)
def test_a_failure_says_what_the_tool_said(name: str, words: str) -> None:
    recorded = recording(name)
    assert words in str(failure(recorded.exit_code, recorded.stdout, stderr=recorded.stderr))


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [
        (139, Reason.CRASHED),
        (-11, Reason.CRASHED),
        (134, Reason.CRASHED),
        (-6, Reason.CRASHED),
        (137, Reason.KILLED),
        (-9, Reason.KILLED),
        (NO_INTERPRETER, Reason.NO_INTERPRETER),
        (1, Reason.CRASHED),
        (126, Reason.CRASHED),
        (127, Reason.CRASHED),
        (255, Reason.CRASHED),
    ],
)
def test_an_exit_code_has_its_reason_even_after_a_whole_log(exit_code: int, reason: Reason) -> None:
    found = failure(exit_code, recording("base_bnn").stdout)
    assert found.reason is reason
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("exit_code", "name"), [(139, "SIGSEGV"), (-11, "SIGSEGV"), (134, "SIGABRT"), (-4, "SIGILL")]
)
def test_a_crash_names_its_signal(exit_code: int, name: str) -> None:
    assert name in str(failure(exit_code))


@pytest.mark.parametrize("exit_code", [1, 3, 137])
def test_a_failure_ends_as_a_sentence(exit_code: int) -> None:
    assert str(failure(exit_code, stderr="ERROR: Could not open the graph\n")).endswith(".")


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("echoed", ["7", "0.07", "many", ""])
def test_an_echo_that_differs_from_what_was_asked_is_refused(name: str, echoed: str) -> None:
    found = failure(0, f"INFO: {ECHOES[name]}: [{echoed}]\ncount=1 curr=3\n")
    assert found.reason is Reason.ECHO_MISMATCH
    assert name in str(found)
    assert echoed in str(found)


@pytest.mark.parametrize("name", ECHOES)
def test_an_echo_of_what_was_asked_is_taken(name: str) -> None:
    value = getattr(PROTOCOL, name)
    assert (
        read(
            PROTOCOL, 0, stdout=f"INFO: {ECHOES[name]}: [{value:g}]\ncount=1 curr=3\n", stderr=""
        ).inference.avg_us
        == 3
    )


def test_an_echo_that_is_not_printed_is_not_held_against_the_tool() -> None:
    assert read(PROTOCOL, 0, stdout="count=1 curr=3\n", stderr="").echo == {}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_the_flags_say_the_whole_protocol(protocol: Protocol) -> None:
    flags = dict(
        argument.removeprefix("--").split("=", 1)
        for argument in arguments(protocol, "a b=c.tflite")
    )
    assert flags.pop("graph") == "a b=c.tflite"
    assert flags.pop("report_peak_memory_footprint") == "true"
    assert {name: float(value) for name, value in flags.items()} == {
        "num_threads": protocol.threads,
        "num_runs": protocol.num_runs,
        "min_secs": protocol.min_secs,
        "max_secs": protocol.max_secs,
        "warmup_runs": protocol.warmup_runs,
        "warmup_min_secs": protocol.warmup_min_secs,
    }


@pytest.mark.parametrize("interpreter", [[], ["python3", "-I"]], ids=str)
def test_a_command_is_its_interpreter_its_program_and_its_flags(interpreter: list[str]) -> None:
    assert command(interpreter, "tool", protocol=PROTOCOL, graph="m.tflite") == [
        *interpreter,
        "tool",
        *arguments(PROTOCOL, "m.tflite"),
    ]


def test_the_runner_has_the_same_exit_code_for_no_interpreter() -> None:
    """It is a program of its own, and is read here as one."""
    tree = ast.parse(RUNNER_FILE.read_text())
    constants = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert constants["NO_INTERPRETER"] == NO_INTERPRETER


def test_the_runner_echoes_in_the_words_that_are_held_against_it() -> None:
    tree = ast.parse(RUNNER_FILE.read_text())
    strings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(ECHOES.values()) <= strings
