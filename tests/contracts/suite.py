"""The contract of every transport to a device that speaks POSIX shell.

A module that defines a `transport` fixture imports all of these tests. `tests/contracts` has such
modules, and `tests/lab` has those that need root.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import pytest

from harness.core.errors import CaseFailed, Reason
from harness.core.ids import sha256_of
from harness.devices import RunResult, Transport

PATIENCE_S = 60.0
CONTENT = b"TFL3 \0\xff and so on" * 1000
SHA256 = sha256_of(CONTENT)
AWKWARD = [
    "two words",
    "it's",
    'say "yes"',
    "a;b",
    "$HOME",
    "`id`",
    "$(id)",
    "a&b|c>d<e",
    "*",
    "?",
    "~",
    "!!",
    "#no-comment",
    "back\\slash",
    "%s",
    "{a,b}",
    "µ–☃",
    "-n",
    "--",
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "model.tflite"
    file.write_bytes(CONTENT)
    return file


def shell(transport: Transport, script: str, *arguments: str) -> RunResult:
    return transport.run(["sh", "-c", script, "sh", *arguments], PATIENCE_S)


def remote_hash(transport: Transport, path: str) -> str:
    result = shell(transport, 'sha256sum < "$1"', path)
    assert result.exit_code == 0, result.stderr
    return result.stdout.split()[0]


def is_running(transport: Transport, pid: str) -> bool:
    """Return whether a process still runs seconds after its end; an unreaped zombie does not."""
    running = 'grep -q "^State:[[:space:]]*[^ZX]" "/proc/$1/status" 2>/dev/null'
    return (
        shell(
            transport, f"for try in 1 2 3 4 5 6 7 8 9; do {running} || exit 1; sleep 0.3; done", pid
        ).exit_code
        == 0
    )


@pytest.mark.parametrize("code", [0, 1, 3, 126, 255])
def test_the_exit_code_is_that_of_the_command(transport: Transport, code: int) -> None:
    assert shell(transport, f"exit {code}").exit_code == code


def test_stdout_and_stderr_are_separate(transport: Transport) -> None:
    result = shell(transport, "echo to stdout; echo to stderr >&2; echo more; exit 1")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "to stdout\nmore\n",
        "to stderr\n",
    )


@pytest.mark.parametrize("cpus", [(0,), (1,), (0, 1), (1, 0, 1)], ids=str)
def test_a_command_runs_on_the_requested_cpus(transport: Transport, cpus: tuple[int, ...]) -> None:
    result = transport.run(
        ["grep", "Cpus_allowed_list", "/proc/self/status"], PATIENCE_S, cpus=cpus
    )
    assert result.stdout.split()[1:] == ["0-1" if len(cpus) > 1 else str(cpus[0])], result.stderr


def test_a_run_reports_how_long_it_took(transport: Transport) -> None:
    assert 0.3 <= shell(transport, "sleep 0.3").seconds < PATIENCE_S


def test_output_that_is_not_utf8_keeps_its_readable_parts(transport: Transport) -> None:
    result = shell(transport, r"printf 'a\377\303(b\n'; printf '\200' >&2")
    assert result.exit_code == 0
    assert (result.stdout[0], result.stdout[-3:]) == ("a", "(b\n")
    assert "\ufffd" in result.stdout
    assert "\ufffd" in result.stderr


def test_unicode_output_arrives_unchanged(transport: Transport) -> None:
    assert transport.run(["printf", "%s", "µs ☃"], PATIENCE_S).stdout == "µs ☃"


def test_large_output_on_both_streams_arrives_complete(transport: Transport) -> None:
    result = shell(
        transport,
        "head -c 10000000 /dev/zero | tr '\\0' x; "
        "head -c 3000000 /dev/zero | tr '\\0' y >&2; echo end",
    )
    assert result.stdout == "x" * 10_000_000 + "end\n"
    assert result.stderr == "y" * 3_000_000


@pytest.mark.parametrize("argument", ["", *AWKWARD, "two\nlines", "tab\tand \x01", "x" * 50_000])
def test_arguments_arrive_unchanged(transport: Transport, argument: str) -> None:
    result = shell(transport, 'printf "<%s>" "$@"', argument, "last")
    assert result.stdout == f"<{argument}><last>"


def test_the_standard_input_of_a_command_is_empty(transport: Transport) -> None:
    result = transport.run(["cat"], PATIENCE_S)
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", "no such; program"])
def test_a_missing_program_gives_an_exit_code_and_a_message(
    transport: Transport, program: str
) -> None:
    result = transport.run([program, "--help"], PATIENCE_S)
    assert result.exit_code == 127
    assert result.stdout == ""
    assert program in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_is_not_a_program_gives_an_exit_code_and_a_message(
    transport: Transport, source: Path
) -> None:
    remote_path = transport.push(source, SHA256, name="model.tflite")
    result = transport.run([remote_path], PATIENCE_S)
    assert result.exit_code in (126, 127)
    assert remote_path in result.stderr


@pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("SEGV", 11), ("TERM", 15)])
def test_a_signal_shows_in_the_exit_code(transport: Transport, name: str, number: int) -> None:
    assert shell(transport, f"kill -{name} $$").exit_code in (-number, 128 + number)


@pytest.mark.parametrize(
    "script",
    [
        "echo $$; exec sleep 1000",
        "echo $$; sleep 1000 & echo $!; wait",
        "echo $$; sh -c 'sleep 1000 & echo $!; wait' & wait",
        "trap '' TERM INT HUP; echo $$; while :; do sleep 1000; done",
        "echo $$; sleep 1000 >/dev/null 2>&1 & echo $!; wait",
    ],
    ids=["itself", "child", "grandchild", "stubborn", "child_without_output"],
)
def test_a_command_that_exceeds_its_time_limit_leaves_no_process(
    transport: Transport, script: str
) -> None:
    with pytest.raises(CaseFailed, match="sh was still running after 1 s") as failed:
        transport.run(["sh", "-c", script], 1.0)
    assert failed.value.reason is Reason.TIMEOUT
    pids = failed.value.log.split()
    assert pids
    assert [pid for pid in pids if is_running(transport, pid)] == []


def test_a_child_in_another_session_does_not_block_the_harness(transport: Transport) -> None:
    """The child cannot be killed with its parent and still holds the command's stdout open."""
    started = time.monotonic()
    with pytest.raises(CaseFailed) as failed:
        transport.run(["sh", "-c", "echo STARTING; setsid sleep 10 & wait"], 1.0)
    assert failed.value.reason is Reason.TIMEOUT
    assert "STARTING" in failed.value.log
    assert time.monotonic() - started < 8


def test_output_printed_before_the_time_limit_is_kept(transport: Transport) -> None:
    with pytest.raises(CaseFailed) as failed:
        transport.run(["sh", "-c", "echo STARTING; echo odd >&2; sleep 1000"], 0.5)
    assert "STARTING" in failed.value.log
    assert "odd" in failed.value.log


def test_a_pushed_file_has_its_content(transport: Transport, source: Path) -> None:
    remote_path = transport.push(source, SHA256, name="model.tflite")
    assert remote_path.endswith("model.tflite")
    assert remote_hash(transport, remote_path) == SHA256


def test_an_empty_file_can_be_pushed(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert remote_hash(
        transport, transport.push(tmp_path / "empty", sha256_of(b""), name="empty")
    ) == sha256_of(b"")


def test_a_second_push_sends_nothing(transport: Transport, source: Path) -> None:
    remote_path = transport.push(source, SHA256, name="model.tflite")
    before = shell(transport, 'stat -c "%i %y" "$1"', remote_path)
    source.unlink()  # a second transfer would fail
    assert transport.push(source, SHA256, name="model.tflite") == remote_path
    assert shell(transport, 'stat -c "%i %y" "$1"', remote_path).stdout == before.stdout != ""


def test_files_with_one_name_and_different_content_coexist(
    transport: Transport, tmp_path: Path
) -> None:
    paths = {}
    for content in (b"one", b"two"):
        (tmp_path / "model.tflite").write_bytes(content)
        paths[content] = transport.push(
            tmp_path / "model.tflite", sha256_of(content), name="model.tflite"
        )
    assert {content: remote_hash(transport, path) for content, path in paths.items()} == {
        content: sha256_of(content) for content in paths
    }


def test_content_that_does_not_match_its_hash_is_rejected_and_removed(
    transport: Transport, source: Path
) -> None:
    right = transport.push(source, SHA256, name="model.tflite")
    wrong = sha256_of(b"something else")
    with pytest.raises(CaseFailed, match=wrong[:12]) as failed:
        transport.push(source, wrong, name="model.tflite")
    assert failed.value.reason is Reason.HASH_MISMATCH
    assert SHA256 in right
    assert shell(transport, 'test -e "$1"', right.replace(SHA256, wrong)).exit_code == 1


@pytest.mark.parametrize(
    "damage", [': > "$1"', 'printf x >> "$1"', 'printf y | dd of="$1" conv=notrunc 2>/dev/null']
)
def test_a_file_changed_on_the_device_is_noticed_and_the_next_push_replaces_it(
    transport: Transport, source: Path, damage: str
) -> None:
    remote_path = transport.push(source, SHA256, name="model.tflite")
    assert shell(transport, damage, remote_path).exit_code == 0
    with pytest.raises(CaseFailed) as failed:
        transport.push(source, SHA256, name="model.tflite")
    assert failed.value.reason is Reason.HASH_MISMATCH
    assert transport.push(source, SHA256, name="model.tflite") == remote_path
    assert remote_hash(transport, remote_path) == SHA256


@pytest.mark.parametrize("name", AWKWARD)
def test_file_names_are_data(transport: Transport, source: Path, name: str) -> None:
    remote_path = transport.push(source, SHA256, name=name)
    assert remote_path.endswith(name)
    assert remote_hash(transport, remote_path) == SHA256
    assert transport.run(["cat", remote_path], PATIENCE_S).exit_code == 0
    assert shell(transport, f"test -f {quote(remote_path)}").exit_code == 0


def test_a_pushed_program_runs(transport: Transport, tmp_path: Path) -> None:
    """Run the file through its interpreter, as the Python runner is: it need not be executable."""
    program = tmp_path / "program.sh"
    program.write_text('echo "$1"\n')
    remote_path = transport.push(program, sha256_of(program.read_bytes()), name=program.name)
    argv: Sequence[str] = ["sh", remote_path, "a b"]
    assert transport.run(argv, PATIENCE_S).stdout == "a b\n"
