import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.elf import ANY_ABI, abis_of
from harness.core.errors import ToolFileError
from tests.tools import AARCH64, ARM, RISCV, X86_64, make_elf


@pytest.mark.parametrize(
    ("content", "abis"),
    [
        (make_elf(AARCH64, None), {"aarch64", "android-arm64"}),
        (make_elf(AARCH64, "/lib/ld-linux-aarch64.so.1"), {"aarch64"}),
        (make_elf(AARCH64, "/system/bin/linker64"), {"android-arm64"}),
        (make_elf(ARM, None, bits=32), {"aarch32"}),
        (make_elf(ARM, "/lib/ld-linux-armhf.so.3", bits=32), {"aarch32"}),
        (make_elf(X86_64, "/lib64/ld-linux-x86-64.so.2"), {"x86_64"}),
        (b"#!/bin/sh\necho\n", ANY_ABI),
    ],
)
def test_the_header_of_a_program_tells_its_abis(
    tmp_path: Path, content: bytes, abis: set[str]
) -> None:
    (tmp_path / "tool").write_bytes(content)
    assert abis_of(tmp_path / "tool") == abis


def test_the_python_executable_is_for_this_machine() -> None:
    assert "x86_64" in abis_of(Path(sys.executable).resolve())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither an ELF program nor a script"),
        (b"TFL3", "neither an ELF program nor a script"),
        (b"\x7fELF", "neither an ELF program nor a script"),
        (b"<html>404</html>", "neither an ELF program nor a script"),
        (make_elf(RISCV, None), "RISCV"),
        (make_elf(AARCH64, "/system/bin/linker64")[:70], "neither an ELF program nor a script"),
    ],
)
def test_a_file_that_no_device_can_run_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "tool").write_bytes(content)
    with pytest.raises(ToolFileError, match=message):
        abis_of(tmp_path / "tool")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolFileError, match="can't be read"):
        abis_of(tmp_path / "tool")


PROGRAM = make_elf(AARCH64, "/lib/ld-linux-aarch64.so.1")


@settings(deadline=1000)
@given(
    st.one_of(
        st.binary(max_size=200).map(lambda rest: b"\x7fELF" + rest),
        st.lists(st.tuples(st.integers(4, len(PROGRAM) - 1), st.integers(0, 255)), max_size=20).map(
            lambda changes: damage(PROGRAM, changes)
        ),
    )
)
def test_a_damaged_program_is_read_or_refused(content: bytes) -> None:
    with TemporaryDirectory() as folder, suppress(ToolFileError):
        (Path(folder) / "tool").write_bytes(content)
        assert abis_of(Path(folder) / "tool") <= ANY_ABI


def damage(program: bytes, changes: list[tuple[int, int]]) -> bytes:
    """Return the program with other bytes at these places."""
    damaged = bytearray(program)
    for place, byte in changes:
        damaged[place] = byte
    return bytes(damaged)
