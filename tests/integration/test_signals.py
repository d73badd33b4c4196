"""A signal ends a command with a sentence, from its first import to its last moment."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
# A signal between the two instructions leaves the lock without an owner.
DAMAGING = """
import signal, threading
import harness.cli.app as app
def wait():
    condition = threading.Condition()
    with condition:
        condition._release_save()
        signal.raise_signal(signal.SIGINT)
app._run = wait
app.main()
"""
# The main thread blocks the signal, so another one receives it: Python does not wake the main one.
WAITING = """
import _thread, os, signal, sys
import harness.cli.app as app
def wait():
    signal.pthread_sigmask(signal.SIG_BLOCK, [{number}])
    lock = _thread.allocate_lock()
    lock.acquire()
    os.kill(os.getpid(), {number})
    lock.acquire()
app._run = wait
app.main()
"""


@contextmanager
def mute_host(folder: Path) -> Iterator[tuple[socket.socket, Path]]:
    """Yield a socket that accepts connections and says nothing, and a registry that names it."""
    with socket.create_server(("127.0.0.1", 0)) as host:
        entry = f"{{id: mute, kind: ssh, host: 127.0.0.1, port: {host.getsockname()[1]}}}"
        registry = folder / "devices.yaml"
        registry.write_text(f"devices:\n  - {entry}\n")
        yield host, registry


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


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_does_not_wake_the_command_ends_it(number: signal.Signals) -> None:
    argv = [sys.executable, "-c", WAITING.format(number=int(number))]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (130, f"{GOODBYE}\n")


def test_a_signal_that_turns_into_another_error_ends_the_command_with_a_sentence() -> None:
    """Python's locks raise RuntimeError if they are interrupted at some instructions."""
    argv = [sys.executable, "-c", DAMAGING]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (130, f"{GOODBYE}\n")


def test_a_signal_ends_a_command_whose_messages_nobody_reads(cli: Cli, tmp_path: Path) -> None:
    with mute_host(tmp_path) as (host, registry):
        process = cli.start("devices", "check", "--devices", registry)
        connection, _ = host.accept()
        assert process.stderr is not None
        process.stderr.close()
        with connection:
            process.send_signal(signal.SIGINT)
            assert process.wait(15) == 130


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
    with mute_host(tmp_path) as (host, registry):
        process = cli.start(*command, "--devices", registry)
        connection, _ = host.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            assert process.wait(15) == 130, "a login to it takes twice as long"
