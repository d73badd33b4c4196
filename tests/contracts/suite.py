"""What holds for every transport: a device that speaks POSIX shell, wherever it stands.

A module that gives `transport` as a fixture imports all of it: `tests/contracts`, and `tests/lab` for what needs root.
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


def hash_there(transport: Transport, path: str) -> str:
    answer = shell(transport, 'sha256sum < "$1"', path)
    assert answer.exit_code == 0, answer.stderr
    return answer.stdout.split()[0]


def goes_on(transport: Transport, pid: str) -> bool:
    """Whether a process runs, seconds after it was ended; one that nobody has waited for yet (a zombie) does not."""
    running = 'grep -q "^State:[[:space:]]*[^ZX]" "/proc/$1/status" 2>/dev/null'
    return (
        shell(
            transport, f"for try in 1 2 3 4 5 6 7 8 9; do {running} || exit 1; sleep 0.3; done", pid
        ).exit_code
        == 0
    )


@pytest.mark.parametrize("code", [0, 1, 3, 126, 255])
def test_the_exit_code_is_the_commands(transport: Transport, code: int) -> None:
    assert shell(transport, f"exit {code}").exit_code == code


def test_stdout_and_stderr_stay_apart(transport: Transport) -> None:
    answer = shell(transport, "echo to stdout; echo to stderr >&2; echo more; exit 1")
    assert (answer.exit_code, answer.stdout, answer.stderr) == (
        1,
        "to stdout\nmore\n",
        "to stderr\n",
    )


@pytest.mark.parametrize("cpus", [(0,), (1,), (0, 1), (1, 0, 1)], ids=str)
def test_a_command_runs_on_the_cpus_that_were_asked_for(
    transport: Transport, cpus: tuple[int, ...]
) -> None:
    answer = transport.run(
        ["grep", "Cpus_allowed_list", "/proc/self/status"], PATIENCE_S, cpus=cpus
    )
    assert answer.stdout.split()[1:] == ["0-1" if len(cpus) > 1 else str(cpus[0])], answer.stderr


def test_the_time_that_it_took_is_told(transport: Transport) -> None:
    assert 0.3 <= shell(transport, "sleep 0.3").seconds < PATIENCE_S


def test_output_that_is_no_utf8_is_kept_as_far_as_it_is_text(transport: Transport) -> None:
    answer = shell(transport, r"printf 'a\377\303(b\n'; printf '\200' >&2")
    assert answer.exit_code == 0
    assert (answer.stdout[0], answer.stdout[-3:]) == ("a", "(b\n")
    assert "\ufffd" in answer.stdout
    assert "\ufffd" in answer.stderr


def test_output_in_unicode_arrives_as_it_is(transport: Transport) -> None:
    assert transport.run(["printf", "%s", "µs ☃"], PATIENCE_S).stdout == "µs ☃"


def test_much_output_on_both_streams_arrives_whole(transport: Transport) -> None:
    answer = shell(
        transport,
        "head -c 10000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2; echo end",
    )
    assert answer.stdout == "x" * 10_000_000 + "end\n"
    assert answer.stderr == "y" * 3_000_000


@pytest.mark.parametrize("argument", ["", *AWKWARD, "two\nlines", "tab\tand \x01", "x" * 50_000])
def test_arguments_arrive_as_they_are(transport: Transport, argument: str) -> None:
    answer = shell(transport, 'printf "<%s>" "$@"', argument, "last")
    assert answer.stdout == f"<{argument}><last>"


def test_a_command_reads_nothing_from_the_harness(transport: Transport) -> None:
    answer = transport.run(["cat"], PATIENCE_S)
    assert (answer.exit_code, answer.stdout) == (0, "")


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", "no such; program"])
def test_a_missing_program_is_an_exit_code_and_a_sentence(
    transport: Transport, program: str
) -> None:
    answer = transport.run([program, "--help"], PATIENCE_S)
    assert answer.exit_code == 127
    assert answer.stdout == ""
    assert program in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_file_that_is_no_program_is_an_exit_code_and_a_sentence(
    transport: Transport, source: Path
) -> None:
    there = transport.push(source, SHA256, name="model.tflite")
    answer = transport.run([there], PATIENCE_S)
    assert answer.exit_code in (126, 127)
    assert there in answer.stderr


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
def test_nothing_goes_on_of_a_command_that_takes_too_long(
    transport: Transport, script: str
) -> None:
    with pytest.raises(CaseFailed, match="sh was still running after 1 s") as failed:
        transport.run(["sh", "-c", script], 1.0)
    assert failed.value.reason is Reason.TIMEOUT
    pids = failed.value.log.split()
    assert pids
    assert [pid for pid in pids if goes_on(transport, pid)] == []


def test_a_child_that_left_its_session_does_not_hold_the_harness(transport: Transport) -> None:
    """It may be out of reach, and still has the command's stdout open."""
    started = time.monotonic()
    with pytest.raises(CaseFailed) as failed:
        transport.run(["sh", "-c", "echo STARTING; setsid sleep 10 & wait"], 1.0)
    assert failed.value.reason is Reason.TIMEOUT
    assert "STARTING" in failed.value.log
    assert time.monotonic() - started < 8


def test_what_was_printed_before_the_time_was_up_is_kept(transport: Transport) -> None:
    with pytest.raises(CaseFailed) as failed:
        transport.run(["sh", "-c", "echo STARTING; echo odd >&2; sleep 1000"], 0.5)
    assert "STARTING" in failed.value.log
    assert "odd" in failed.value.log


def test_a_pushed_file_is_there_with_its_content(transport: Transport, source: Path) -> None:
    there = transport.push(source, SHA256, name="model.tflite")
    assert there.endswith("model.tflite")
    assert hash_there(transport, there) == SHA256


def test_an_empty_file_is_pushed(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert hash_there(
        transport, transport.push(tmp_path / "empty", sha256_of(b""), name="empty")
    ) == sha256_of(b"")


def test_pushing_twice_sends_nothing(transport: Transport, source: Path) -> None:
    there = transport.push(source, SHA256, name="model.tflite")
    before = shell(transport, 'stat -c "%i %y" "$1"', there)
    source.unlink()  # there is nothing left to send
    assert transport.push(source, SHA256, name="model.tflite") == there
    assert shell(transport, 'stat -c "%i %y" "$1"', there).stdout == before.stdout != ""


def test_files_of_one_name_and_other_content_live_side_by_side(
    transport: Transport, tmp_path: Path
) -> None:
    paths = {}
    for content in (b"one", b"two"):
        (tmp_path / "model.tflite").write_bytes(content)
        paths[content] = transport.push(
            tmp_path / "model.tflite", sha256_of(content), name="model.tflite"
        )
    assert {content: hash_there(transport, path) for content, path in paths.items()} == {
        content: sha256_of(content) for content in paths
    }


def test_content_that_is_not_what_its_hash_says_is_refused_and_not_left_there(
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
def test_a_file_that_was_changed_there_is_noticed_and_the_next_push_heals_it(
    transport: Transport, source: Path, damage: str
) -> None:
    there = transport.push(source, SHA256, name="model.tflite")
    assert shell(transport, damage, there).exit_code == 0
    with pytest.raises(CaseFailed) as failed:
        transport.push(source, SHA256, name="model.tflite")
    assert failed.value.reason is Reason.HASH_MISMATCH
    assert transport.push(source, SHA256, name="model.tflite") == there
    assert hash_there(transport, there) == SHA256


@pytest.mark.parametrize("name", AWKWARD)
def test_names_are_data(transport: Transport, source: Path, name: str) -> None:
    there = transport.push(source, SHA256, name=name)
    assert there.endswith(name)
    assert hash_there(transport, there) == SHA256
    assert transport.run(["cat", there], PATIENCE_S).exit_code == 0
    assert shell(transport, f"test -f {quote(there)}").exit_code == 0


def test_a_pushed_program_runs(transport: Transport, tmp_path: Path) -> None:
    """Through its interpreter, as the Python runner does: a pushed file need not be executable."""
    program = tmp_path / "program.sh"
    program.write_text('echo "$1"\n')
    there = transport.push(program, sha256_of(program.read_bytes()), name=program.name)
    argv: Sequence[str] = ["sh", there, "a b"]
    assert transport.run(argv, PATIENCE_S).stdout == "a b\n"
