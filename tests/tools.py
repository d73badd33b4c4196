"""Stand-ins for benchmark tools.

Small scripts print what lce_benchmark_model or a broken tool might; ELF files are only a header.
"""

import struct
from pathlib import Path

AARCH64, ARM, X86_64, RISCV = 183, 40, 62, 243  # ELF's numbers of machines
NUMBERS = "echo 'count=50 first=12 curr=10 min=9 max=12 avg=10 std=1'"
# The tool notes when it finds another one at work; `sleep` makes it last.
_EXCLUSIVE = """
mkdir "$HARNESS_TEST_FOLDER/busy" || echo overlap >>"$HARNESS_TEST_FOLDER/overlaps"
echo started >>"$HARNESS_TEST_FOLDER/starts"
sleep {seconds}
rmdir "$HARNESS_TEST_FOLDER/busy"
"""


def write_script(path: Path, body: str = NUMBERS) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    return path


def write_slow_tool(path: Path, folder: Path, seconds: float) -> Path:
    """Write a tool that takes `seconds` and notes its starts and overlaps in `folder`."""
    folder.mkdir(exist_ok=True)
    return write_script(
        path,
        _EXCLUSIVE.replace("$HARNESS_TEST_FOLDER", str(folder)).format(seconds=seconds) + NUMBERS,
    )


def write_noisy_tool(path: Path, starts: Path) -> Path:
    """Write a tool whose average alternates between 9 and 11 µs, and that notes its starts."""
    average = f"$((9 + 2 * ($(wc -l <'{starts}') % 2)))"
    numbers = f'echo "count=50 first=12 curr=10 min=9 max=12 avg={average} std=1"'
    return write_script(path, f"echo started >>'{starts}'\n{numbers}")


def count_lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def make_elf(machine: int, interpreter: str | None, bits: int = 64) -> bytes:
    """Return the smallest program for a machine: a header, and the loader if it is dynamic."""
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
