import sys
from pathlib import Path

import pytest

from harness.bench.elf import ANY_ABI, abis_of
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
    with pytest.raises(ValueError, match=message):
        abis_of(tmp_path / "tool")
