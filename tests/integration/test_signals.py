"""A signal ends a command with a sentence, from its first import to its last moment."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness_cli import Cli

CANARY = Path(__file__).parents[2] / "harness" / "bench" / "canaries" / "float.tflite"
GOODBYE = "Interrupted. Finished work is stored; run the same command again to continue."
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
# The interpreter destroys its modules last of all, when it handles no signal any more.
ENDING = """
import os, sys
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number={number}):
        kill(pid, number)
sys.last = Last()
sys.argv = ["harness", "--help"]
from harness.cli.app import main
main()
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["typer", "sqlalchemy"])
def test_a_signal_during_imports_ends_the_command_with_a_sentence(
    cli: Cli, module: str, number: signal.Signals
) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "harness", "devices", "check"]
    with subprocess.Popen(
        argv, env=cli.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(line.split("|")[-1].strip() == module for line in process.stderr)
        process.send_signal(number)
        lines = [line for line in process.stderr if not line.startswith("import time:")]
    assert (process.returncode, lines) == (130, [f"{GOODBYE}\n"])


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_the_last_line_changes_nothing(cli: Cli, number: signal.Signals) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDING.format(number=int(number))],
        env=cli.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Usage" in ended.stdout


def test_a_command_under_nohup_outlives_its_terminal(cli: Cli) -> None:
    argv = ["nohup", sys.executable, "-X", "importtime", "-m", "harness", "--version"]
    with subprocess.Popen(
        argv, env=cli.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(line.split("|")[-1].strip() == "typer" for line in process.stderr)
        process.send_signal(signal.SIGHUP)
        assert GOODBYE not in process.stderr.read()
    assert process.returncode == 0


@pytest.mark.parametrize(
    "command", [("devices", "check"), ("bench", CANARY, "--fleet")], ids=["check", "bench"]
)
def test_a_host_that_says_nothing_does_not_delay_the_end(
    cli: Cli, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:
        entry = f"{{id: mute, kind: ssh, host: 127.0.0.1, port: {host.getsockname()[1]}}}"
        registry = tmp_path / "devices.yaml"
        registry.write_text(f"devices:\n  - {entry}\n")
        with cli.start(*command, "--devices", registry) as process:
            connection, _ = host.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                assert process.wait(15) == 130, "a login to it takes twice as long"
