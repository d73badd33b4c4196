"""Programs that a system does not start: this one's real words, and those of others."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.starting import diagnose_start
from harness.core.device import LocalDevice
from harness.core.errors import Reason
from harness.devices import Transport, open_transport
from tests.processor_time import bounded_time

_MACHINE = slice(18, 20)  # e_machine of the ELF header
_UNKNOWN = b"\xfe\xfe"


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    device = LocalDevice(id="here")
    transport = open_transport(device, {}, local_folder=tmp_path / "device")
    yield transport
    transport.close()


def copy_true(file: Path) -> bytearray:
    shutil.copy(str(shutil.which("true")), file)
    return bytearray(file.read_bytes())


def make_missing(file: Path) -> None:
    assert not file.exists()


def make_data(file: Path) -> None:
    file.write_text("no program")


def make_script_of_nothing(file: Path) -> None:
    file.write_text("#!/nowhere/sh\r\n")
    file.chmod(0o700)


def make_foreign(file: Path) -> None:
    content = copy_true(file)
    content[_MACHINE] = _UNKNOWN
    file.write_bytes(content)


def make_without_library(file: Path) -> None:
    content = copy_true(file)
    assert b"libc.so.6" in content
    file.write_bytes(content.replace(b"libc.so.6", b"libQ.so.6"))


@pytest.mark.parametrize(
    ("make", "reason", "quote", "remedy"),
    [
        (make_missing, Reason.NOT_STARTED, "No such file", "static build"),
        (make_data, Reason.NOT_STARTED, "Permission denied", "noexec"),
        (make_script_of_nothing, Reason.NOT_STARTED, "/nowhere/sh^M: bad", "that interpreter"),
        (make_foreign, Reason.WRONG_ABI, "yntax error", "for the device's ABI"),
        (make_without_library, Reason.NOT_STARTED, "libQ.so.6", "install that library"),
    ],
)
@pytest.mark.parametrize("cpus", [(), (0,)], ids=["free", "bound"])
def test_the_cause_is_said_in_the_words_of_this_system(
    transport: Transport,
    tmp_path: Path,
    make: Callable[[Path], None],
    reason: Reason,
    quote: str,
    remedy: str,
    cpus: tuple[int, ...],
) -> None:
    program = tmp_path / "program"
    make(program)
    ended = transport.run([str(program)], 30, cpus=cpus)
    failure = diagnose_start(ended.exit_code, ended.stderr)
    assert failure is not None
    assert failure.reason == reason
    assert quote in failure.quote
    assert remedy in failure.remedy


def test_a_core_that_is_not_there_is_said_in_the_words_of_taskset(transport: Transport) -> None:
    ended = transport.run(["true"], 30, cpus=(1000,))
    failure = diagnose_start(ended.exit_code, ended.stderr)
    assert failure is not None
    assert "taskset: " in failure.quote
    assert "`cpus`" in failure.remedy


def test_a_program_that_ran_has_no_such_failure(transport: Transport) -> None:
    for script in ("exit 0", "exit 1", "kill -9 $$", "echo 'model.tflite: not found' >&2; exit 1"):
        ended = transport.run(["sh", "-c", script], 30)
        assert diagnose_start(ended.exit_code, ended.stderr) is None, script


@pytest.mark.parametrize(
    ("exit_code", "stderr", "reason", "remedy"),
    [
        (1, "taskset: can't set pid 0's affinity: Invalid argument", "not_started", "`cpus`"),
        (127, "sh: taskset: inaccessible or not found", "not_started", "install taskset"),
        (126, "setsid: can't execute '/t/x': Exec format error", "wrong_abi", "ABI"),
        (126, "/t/x: not executable: 64-bit ELF file", "wrong_abi", "ABI"),
        (2, 'sh: /t/x: line 1: syntax error: unexpected "("', "wrong_abi", "ABI"),
        (
            1,
            "/t/x: /lib/aarch64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found "
            "(required by /t/x)",
            "not_started",
            "older one",
        ),
        (
            1,
            'CANNOT LINK EXECUTABLE "/t/x": library "libc++_shared.so" not found',
            "not_started",
            "static build",
        ),
        (127, "Error loading shared library libstdc++.so.6: No such file", "not_started", "static"),
        (
            127,
            "bash: /t/x: cannot execute: required file not found",
            "not_started",
            "its loader is missing",
        ),
        (127, "sh: 1: python3: not found", "no_interpreter", "`python`"),
        (126, "sh: /sdcard/x: can't execute: Permission denied", "not_started", "`folder`"),
        (132, "Illegal instruction", "wrong_abi", "newer processor"),
        (127, "", "not_started", "another build"),
        (1, "ERROR: Failed to load the model", None, ""),
        (1, "ERROR: graph.txt line 3: Syntax error: unexpected token", None, ""),
        (126, "sh: ./x: /bin/sh^M: bad interpreter: No such file", "not_started", "first line"),
    ],
)
def test_the_words_of_other_systems_are_understood(
    exit_code: int, stderr: str, reason: str | None, remedy: str
) -> None:
    failure = diagnose_start(exit_code, f"INFO: something\n{stderr}\n")
    if reason is None:
        assert failure is None
    else:
        assert failure is not None
        assert str(failure.reason) == reason
        assert remedy in failure.remedy


@pytest.mark.parametrize(
    ("exit_code", "words", "remedy"),
    [
        (126, "Permission denied", "`folder`"),
        (1, "/lib/libc.so.6: version `GLIBC_2.34' not found", "older one"),
    ],
)
def test_a_long_path_does_not_hide_the_cause(exit_code: int, words: str, remedy: str) -> None:
    failure = diagnose_start(exit_code, f"/{'a' * 250}/tool: {words}")
    assert failure is not None
    assert words in failure.quote
    assert remedy in failure.remedy


@given(st.integers(-256, 256), st.text())
def test_any_output_gives_a_short_quote(exit_code: int, stderr: str) -> None:
    failure = diagnose_start(exit_code, stderr)
    assert failure is None or 0 < len(failure.quote) <= 200


@pytest.mark.parametrize(
    "filler", ["taskset: ", "version `GLIBC_", "python3", "\n", "Syntax error: "]
)
def test_a_long_output_is_read_quickly(filler: str) -> None:
    with bounded_time():
        diagnose_start(127, filler * (1_000_000 // len(filler)))
