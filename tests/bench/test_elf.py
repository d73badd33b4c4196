import struct
import sys
from pathlib import Path

import pytest

from harness.bench.elf import ANY_ABI, abis_of

AARCH64, ARM, X86_64, RISCV = 183, 40, 62, 243


def elf(machine: int, interpreter: str | None, bits: int = 64) -> bytes:
    """The smallest program of that machine: a header, and where it is dynamic, the loader that it asks for."""
    wide = bits == 64
    header_bytes, entry_bytes = (64, 56) if wide else (52, 32)
    loader = (interpreter or "").encode() + b"\0"
    count = 1 if interpreter else 0
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    word = "QQQ" if wide else "III"
    header = identity + struct.pack(
        f"<HHI{word}IHHHHHH",
        2,
        machine,
        1,
        0,
        header_bytes,
        0,
        0,
        header_bytes,
        entry_bytes,
        count,
        64 if wide else 40,
        0,
        0,
    )
    start = header_bytes + entry_bytes
    if wide:
        entry = struct.pack("<IIQQQQQQ", 3, 4, start, 0, 0, len(loader), len(loader), 1)
    else:
        entry = struct.pack("<IIIIIIII", 3, start, 0, 0, len(loader), len(loader), 4, 1)
    return header + (entry + loader if interpreter else b"")


@pytest.mark.parametrize(
    ("content", "abis"),
    [
        (elf(AARCH64, None), {"aarch64", "android-arm64"}),
        (elf(AARCH64, "/lib/ld-linux-aarch64.so.1"), {"aarch64"}),
        (elf(AARCH64, "/system/bin/linker64"), {"android-arm64"}),
        (elf(ARM, None, bits=32), {"aarch32"}),
        (elf(ARM, "/lib/ld-linux-armhf.so.3", bits=32), {"aarch32"}),
        (elf(X86_64, "/lib64/ld-linux-x86-64.so.2"), {"x86_64"}),
        (b"#!/bin/sh\necho\n", ANY_ABI),
    ],
)
def test_a_programs_header_says_what_it_runs_on(tmp_path: Path, content: bytes, abis: set[str]) -> None:
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
        (elf(RISCV, None), "RISCV"),
        (elf(AARCH64, "/system/bin/linker64")[:70], "no program"),
    ],
)
def test_what_is_no_program_for_any_device_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "tool").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        abis_of(tmp_path / "tool")
