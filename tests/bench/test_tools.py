import ast
from dataclasses import replace
from typing import Any

import pytest

from harness.bench.tools import NO_INTERPRETER, RUNNER_FILE, make_arguments, read_output
from harness.core.bench import PROTOCOLS, ModelInput, Protocol
from harness.core.errors import CaseFailed, Reason
from tests.bench.golden import load_recording

PROTOCOL = Protocol("recorded", threads=1, warmup_runs=3, num_runs=20)  # the one of `base_bnn`
ECHOES = {
    "threads": "Num threads",
    "num_runs": "Min num runs",
    "warmup_runs": "Min warmup runs",
    "min_secs": "Min runs duration (seconds)",
    "max_secs": "Max runs duration (seconds)",
    "warmup_min_secs": "Min warmup runs duration (seconds)",
}


def fail(
    exit_code: int, stdout: str = "", stderr: str = "", protocol: Protocol = PROTOCOL
) -> CaseFailed:
    with pytest.raises(CaseFailed) as caught:
        read_output(protocol, exit_code, stdout=stdout, stderr=stderr)
    return caught.value


@pytest.mark.parametrize(
    ("name", "settings", "average"),
    [
        ("base_bnn", {}, 5011.87),
        ("base_float", {}, 8133.77),
        ("peakmem_bnn", {}, 4946.65),
        ("threads4_bnn", {"threads": 4}, 2628.09),
        ("num_runs1_minsecs0", {"num_runs": 1, "min_secs": 0, "warmup_min_secs": 0}, 3536),
    ],
)
def test_a_process_that_ended_well_is_read(
    name: str, settings: dict[str, Any], average: float
) -> None:
    recorded = load_recording(name)
    log = read_output(
        replace(PROTOCOL, **settings),
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
    recorded = load_recording(name)
    failure = fail(recorded.exit_code, recorded.stdout, stderr=recorded.stderr)
    assert failure.reason is reason
    assert recorded.stdout in failure.log
    assert recorded.stderr in failure.log


@pytest.mark.parametrize(
    ("name", "cause"),
    [("nolce_bnn", "LceQuantize"), ("err_graph_missing", "/nonexistent/m.tflite")],
)
def test_a_failure_repeats_the_cause_that_the_tool_reported(name: str, cause: str) -> None:
    recorded = load_recording(name)
    assert cause in str(fail(recorded.exit_code, recorded.stdout, stderr=recorded.stderr))


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
        (126, Reason.NOT_STARTED),
        (127, Reason.NOT_STARTED),
        (255, Reason.CRASHED),
    ],
)
def test_an_exit_code_has_its_reason_even_after_a_whole_log(exit_code: int, reason: Reason) -> None:
    failure = fail(exit_code, load_recording("base_bnn").stdout)
    assert failure.reason is reason
    assert "\n" not in str(failure)


@pytest.mark.parametrize(
    ("exit_code", "name"), [(139, "SIGSEGV"), (-11, "SIGSEGV"), (134, "SIGABRT"), (-4, "SIGILL")]
)
def test_a_crash_names_its_signal(exit_code: int, name: str) -> None:
    assert name in str(fail(exit_code))


@pytest.mark.parametrize(
    ("exit_code", "name"), [(143, "SIGTERM"), (-15, "SIGTERM"), (129, "SIGHUP"), (130, "SIGINT")]
)
def test_a_signal_from_outside_is_not_blamed_on_the_model(exit_code: int, name: str) -> None:
    failure = fail(exit_code)
    assert failure.reason is Reason.KILLED
    assert name in str(failure)
    assert "not the model" in str(failure)


def test_a_limit_of_the_shell_is_named() -> None:
    failure = fail(152)
    assert failure.reason is Reason.KILLED
    assert "ulimit" in str(failure)


def test_a_tool_that_prints_without_end_has_failed() -> None:
    failure = fail(153)
    assert failure.reason is Reason.CRASHED
    assert "printed more than is kept" in str(failure)


@pytest.mark.parametrize("exit_code", [1, 3, 137])
def test_a_failure_is_a_whole_sentence(exit_code: int) -> None:
    assert str(fail(exit_code, stderr="ERROR: Could not open the graph\n")).endswith(".")


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("echoed", ["7", "0.07", "many", ""])
def test_an_echo_that_differs_from_the_protocol_is_refused(name: str, echoed: str) -> None:
    failure = fail(0, f"INFO: {ECHOES[name]}: [{echoed}]\ncount=1 curr=3\n")
    assert failure.reason is Reason.ECHO_MISMATCH
    assert name in str(failure)
    assert echoed in str(failure)


@pytest.mark.parametrize("name", ECHOES)
def test_an_echo_that_equals_the_protocol_is_accepted(name: str) -> None:
    value = getattr(PROTOCOL, name)
    stdout = f"INFO: {ECHOES[name]}: [{value:g}]\ncount=1 curr=3\n"
    assert read_output(PROTOCOL, 0, stdout=stdout, stderr="").inference.avg_us == 3


def test_a_tool_may_print_no_echo_at_all() -> None:
    assert read_output(PROTOCOL, 0, stdout="count=1 curr=3\n", stderr="").echo == {}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_the_flags_express_the_whole_protocol(protocol: Protocol) -> None:
    flags = dict(
        argument.removeprefix("--").split("=", 1)
        for argument in make_arguments(protocol, "a b=c.tflite")
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


@pytest.mark.parametrize(
    ("shapes", "flag"),
    [
        ([(1, 28, 28, 1), (1, 10)], "1,28,28,1:1,10"),
        ([(), (1, 10)], ":1,10"),
        ([(1, 10), ()], "1,10::"),
        ([()], ":"),
    ],
)
def test_the_shape_of_a_scalar_is_empty_before_a_colon(
    shapes: list[tuple[int, ...]], flag: str
) -> None:
    inputs = [ModelInput(str(number), shape) for number, shape in enumerate(shapes)]
    arguments = make_arguments(PROTOCOLS["quick"], "m.tflite", inputs=inputs)
    assert f"--input_layer_shape={flag}" in arguments


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_every_argument_is_a_flag_with_its_value_and_fits_behind_any_program(
    protocol: Protocol,
) -> None:
    for argument in make_arguments(protocol, "m.tflite"):
        flag, separator, value = argument.partition("=")
        assert flag.startswith("--")
        assert separator
        assert value


def test_the_runner_has_the_same_exit_code_for_no_interpreter() -> None:
    """The runner is a program of its own, so it is parsed here instead of imported."""
    tree = ast.parse(RUNNER_FILE.read_text())
    constants = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                constants[name] = value
    assert constants["NO_INTERPRETER"] == NO_INTERPRETER


def test_the_runner_echoes_with_the_labels_that_are_compared() -> None:
    tree = ast.parse(RUNNER_FILE.read_text())
    strings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(ECHOES.values()) <= strings
