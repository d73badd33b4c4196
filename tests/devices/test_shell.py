"""Answers of scripts through every login shell, greeting and terminal."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shlex import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.device import LocalDevice, SshDevice
from harness.core.errors import CaseFailed, Reason, Unreachable
from harness.devices import Transport, open_transport
from harness.devices.link import LARGEST_ANSWER_BYTES, CommandResult
from harness.devices.local import LocalLink
from harness.devices.run_result import TIMED_OUT, RunResult, parse_report
from harness.devices.shell import Mark, build_line, is_answered, read_answer, run_in_sh
from harness.fleet.device_tool import collect_facts
from tests.processor_time import bounded_time
from tests.shells import find_shell
from tests.sshd import Sshd

MARK = Mark("harness-" + 16 * "0", "-" + 16 * "1")
NAME = "".join(MARK).encode()
ARGUMENTS = ("it's", "a!b !! ^x^y", "\\ back\\n", "☃", "$HOME `id`", "two\nlines", "%s {a,b} ~ *")


class ShellLink:
    """A link to this machine through a program that reads the command line as a login shell."""

    def __init__(self, *argv: str, rest: tuple[str, ...] = ()) -> None:
        self._argv = argv
        self._rest = rest

    def open(self) -> None:
        pass

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        with (stdin or Path("/dev/null")).open("rb") as source:
            ended = subprocess.run(
                [*self._argv, command, *self._rest],
                stdin=source,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        return CommandResult(ended.returncode, ended.stdout, stderr=ended.stderr)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("name", ["dash", "bash", "rbash", "busybox", "mksh", "fish", "tcsh"])
def test_a_script_means_the_same_to_every_login_shell(name: str) -> None:
    applet = ["sh"] if name == "busybox" else []
    link = ShellLink(find_shell(name), *applet, "-c")
    script = f"printf '%s|' {' '.join(map(quote, ARGUMENTS))}; echo wrong >&2; exit 7"
    answer = run_in_sh(link, script, timeout_s=30)
    assert answer.stdout.decode() == "".join(f"{argument}|" for argument in ARGUMENTS)
    assert answer.stderr == b"wrong\n"
    assert answer.exit_code == 7


def test_a_terminal_on_the_way_changes_no_line() -> None:
    link = ShellLink(find_shell("script"), "-qec", rest=("/dev/null",))
    answer = run_in_sh(link, "echo one; echo two >&2; exit 7", timeout_s=30)
    assert answer == CommandResult(7, b"one\n", stderr=b"two\n")


def test_the_locale_is_the_one_that_programs_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with closing(LocalLink()) as link:
        assert run_in_sh(link, "echo $LC_ALL", timeout_s=30).stdout == b"C\n"


# What sshd gives each command to, through the account's own shell
ACCOUNTS = {
    "greeting": 'echo "Welcome"; echo "disk is full" >&2; exec sh -c "$SSH_ORIGINAL_COMMAND"',
    "farewell": 'sh -c "$SSH_ORIGINAL_COMMAND"; code=$?; echo bye; exit $code',
    "background": "(while echo tick; do echo tock >&2; sleep 0.01; done) & "
    'exec sh -c "$SSH_ORIGINAL_COMMAND"',
    "lingering": 'sh -c "$SSH_ORIGINAL_COMMAND"; exec >&- 2>&-; sleep 1000',
    "strict": 'export SHELLOPTS; set -efuC; IFS=e; exec bash -c "$SSH_ORIGINAL_COMMAND"',
    "fish": 'exec fish -c "$SSH_ORIGINAL_COMMAND"',
    "tcsh": 'exec tcsh -c "$SSH_ORIGINAL_COMMAND"',
}


@pytest.fixture
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    """Yield a transport to a real sshd whose account has the shell of the test's parameter."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    server = Sshd.start(folder, f"ForceCommand {ACCOUNTS[request.param]}\n")
    device = SshDevice(**vars(server.device()) | {"folder": str(tmp_path / "device")})
    transport = open_transport(device, {}, local_folder=tmp_path)
    yield transport
    transport.close()
    server.stop()


@pytest.mark.parametrize("transport", ACCOUNTS, indirect=True)
def test_a_device_behind_any_account_answers_whole(transport: Transport) -> None:
    assert collect_facts(transport)["machine"]
    ended = transport.run(["sh", "-c", "echo out; echo err >&2; exit 3"], 30)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, "out\n", "err\n")


def test_an_account_that_runs_nothing_is_told_at_once() -> None:
    link = ShellLink("sh", "-c", "echo 'This account is currently not available.'; exit 1")
    with pytest.raises(Unreachable, match="This account is currently not available") as caught:
        run_in_sh(link, "true", timeout_s=30)
    assert not caught.value.passing
    assert "chsh" in str(caught.value)


@pytest.mark.parametrize("change", ["head -c 90", "sed s/o/oo/", "grep -v out", "tr a-z A-Z"])
def test_an_answer_that_was_changed_on_the_way_is_told_at_once(change: str) -> None:
    link = ShellLink("sh", "-c", f'sh -c "$0" | {change}')
    with pytest.raises(Unreachable, match="start-up files") as caught:
        run_in_sh(link, "echo out", timeout_s=30)
    assert not caught.value.passing


def test_a_script_that_prints_without_end_is_cut(tmp_path: Path) -> None:
    folder = tmp_path / "new\nline\n"
    device = LocalDevice(id="here")
    with closing(open_transport(device, {}, local_folder=folder)) as transport:
        with pytest.raises(CaseFailed, match="prints without end"):
            transport.run_script("yes")
        ended = transport.run_script("pwd; exit 3")
    assert (ended.stdout, ended.exit_code) == (f"{folder}\n", 3)


def test_an_answer_without_end_is_cut() -> None:
    with closing(LocalLink()) as link, pytest.raises(Unreachable, match="prints without end"):
        link.execute("yes", 60)
    assert LARGEST_ANSWER_BYTES < 1 << 28


def frame(stdout: bytes, stderr: bytes, exit_code: int) -> CommandResult:
    output, errors = b"%b=%d\n" % (stdout, exit_code), stderr + b"="
    return CommandResult(
        exit_code,
        b"%b:\n%b<%d:%b%b>" % (NAME, NAME, len(output), output, NAME),
        stderr=b"%b(%d:%b%b)" % (NAME, len(errors), errors, NAME),
    )


@given(st.binary(), st.binary(), st.integers(0, 255), st.binary(), st.binary())
def test_what_is_printed_around_an_answer_is_no_part_of_it(
    stdout: bytes, stderr: bytes, exit_code: int, before: bytes, after: bytes
) -> None:
    framed = frame(stdout, stderr, exit_code=exit_code)
    received = CommandResult(
        1, before + framed.stdout + after, stderr=after + framed.stderr + before
    )
    assert read_answer(received, MARK) == CommandResult(exit_code, stdout, stderr=stderr)
    assert is_answered(received.stdout, received.stderr)
    assert not is_answered(before + stdout, stderr)


@given(st.binary(), st.binary(), st.integers(-5, 300))
def test_output_without_an_answer_is_told(stdout: bytes, stderr: bytes, exit_code: int) -> None:
    with pytest.raises(Unreachable):
        read_answer(CommandResult(exit_code, stdout, stderr=stderr), MARK)


@given(st.text())
def test_a_command_line_is_one_line_of_plain_characters(script: str) -> None:
    line = build_line(script.replace("\0", ""), MARK)
    assert line.isascii()
    assert line.isprintable()


RUN = b"b" * 32
REPORT = b"0 10.5 12.25 %b %b 2\nout\n\n%b\n1 2\n%b\nerr" % (RUN, b"a" * 64, RUN, RUN)


def test_a_report_of_a_run_is_parsed() -> None:
    assert parse_report(REPORT) == RunResult(
        0, "out\n", stderr="err", seconds=1.75, watch="1 2", model_sha256="a" * 64, others_waiting=2
    )
    border = b"\n%b\n" % RUN
    ended = parse_report(b"timeout 1 2 %b - 0\n" % RUN + border * 2)
    assert ended.exit_code == TIMED_OUT


@given(st.one_of(st.binary(), st.integers(0, len(REPORT)).map(lambda end: REPORT[:end])))
def test_a_damaged_report_is_a_value_error(report: bytes) -> None:
    try:
        result = parse_report(report)
    except ValueError:
        return
    assert result.stdout == "out\n"


@pytest.mark.parametrize(
    "filler", [b"1 ", b"0 1.5 ", b"\n", NAME + b"<", NAME + b"(", NAME + b"<1:"]
)
def test_a_long_answer_is_read_quickly(filler: bytes) -> None:
    content = filler * (1_000_000 // len(filler))
    with bounded_time():
        with pytest.raises(ValueError, match="summary"):
            parse_report(content)
        with pytest.raises(Unreachable):
            read_answer(CommandResult(0, content, stderr=content), MARK)


class SilentTransport:
    """A transport to a device whose shell ends without running the script."""

    def run_script(self, script: str) -> RunResult:
        return RunResult(1, "", stderr="sh: out of memory", seconds=0.0)


def test_a_device_without_any_fact_is_not_measured() -> None:
    with pytest.raises(
        CaseFailed, match=r"did not run the harness's script \(sh: out of memory"
    ) as caught:
        collect_facts(SilentTransport())  # type: ignore[arg-type]
    assert caught.value.reason is Reason.UNPARSABLE
