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
def test_a_programs_header_says_what_it_runs_on(
    tmp_path: Path, content: bytes, abis: set[str]
) -> None:
    (tmp_path / "tool").write_bytes(content)
    assert abis_of(tmp_path / "tool") == abis


def test_pythons_own_program_is_for_this_machine() -> None:
    assert "x86_64" in abis_of(Path(sys.executable).resolve())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no program"),
        (b"TFL3", "no program"),
        (b"\x7fELF", "no program"),
        (b"<html>404</html>", "no program"),
        (make_elf(RISCV, None), "RISCV"),
        (make_elf(AARCH64, "/system/bin/linker64")[:70], "no program"),
    ],
)
def test_what_is_no_program_for_any_device_is_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "tool").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        abis_of(tmp_path / "tool")
