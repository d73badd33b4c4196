"""On a terminal, long work shows bars; elsewhere, plain lines."""

from pathlib import Path

import pexpect

from tests.harness_cli import COMMAND, Cli

PROGRAM, *MODULE = COMMAND


def on_terminal(cli: Cli, arguments: list[str]) -> "pexpect.spawn[str]":
    settings = {**cli.environment, "TERM": "xterm"}
    return pexpect.spawn(PROGRAM, arguments, env=settings, dimensions=(40, 160), timeout=120, encoding="utf-8")


def test_a_bench_on_a_terminal_shows_bars_and_then_the_table(cli: Cli, repository: Path) -> None:
    model = repository / "tests" / "data" / "models" / "binary_64.tflite"
    arguments = [*MODULE, "bench", str(model), "--protocol", "quick"]
    child = on_terminal(cli, arguments)
    child.expect("cases.*━.*0/1")
    child.expect("binary_64.tflite")
    child.expect("fastest")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_ctrl_c_on_a_terminal_ends_a_bench_cleanly_and_it_goes_on(cli: Cli, repository: Path) -> None:
    model = repository / "tests" / "data" / "models" / "float_64.tflite"
    arguments = [*MODULE, "bench", str(model), "--protocol", "thorough"]
    child = on_terminal(cli, arguments)
    child.expect("0/1")
    child.sendintr()
    child.expect("Interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in (child.before or "")

    ended = cli.run("bench", model, "--protocol", "quick")
    assert ended.returncode == 0
    assert "1 case: 1 to measure" in ended.stdout


def test_elsewhere_there_are_plain_lines_without_control_characters(cli: Cli, repository: Path) -> None:
    model = repository / "tests" / "data" / "models" / "binary_64.tflite"
    ended = cli.run("bench", model, "--protocol", "quick")
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout
    assert "[cases: 1/1]" in ended.stdout
