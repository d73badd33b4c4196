"""The ABIs that a tool's file runs on, from its ELF header, before anything is pushed."""

from io import BytesIO
from pathlib import Path
from typing import Final, cast

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from harness.core.errors import ToolFileError

ANY_ABI = frozenset({"aarch64", "aarch32", "android-arm64", "x86_64"})
_MACHINES = {
    "EM_AARCH64": {"aarch64", "android-arm64"},
    "EM_ARM": {"aarch32"},
    "EM_X86_64": {"x86_64"},
}
# The headers stand in a program's first bytes. Real programs have about ten segments.
_MAX_BYTES: Final = 1_000_000
_MAX_SEGMENTS: Final = 256
_ANDROID_LINKER = "/system/bin/linker"


def abis_of(path: Path) -> frozenset[str]:
    """Return the ABIs that a program runs on.

    A static program runs on both Linux and Android, a script anywhere. Raises ToolFileError if the
    file is neither, can't be read, or is for an unsupported machine.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as error:
        raise ToolFileError(f"can't be read ({error.strerror})") from error
    if content.startswith(b"#!"):
        return ANY_ABI
    try:
        elf = ELFFile(BytesIO(content))
        machine, interpreter = elf["e_machine"], _read_interpreter(elf)
    except (ELFError, ConstructError, ValueError, OverflowError) as error:
        raise ToolFileError("is neither an ELF program nor a script") from error
    if machine not in _MACHINES:
        name = str(machine).removeprefix("EM_")
        raise ToolFileError(f"is a program for {name}, which no supported device runs")
    return frozenset(abi for abi in _MACHINES[machine] if _is_suitable(abi, interpreter))


def _read_interpreter(elf: ELFFile) -> str | None:
    """Return the loader that a dynamic program requests.

    Raises ValueError for more segments than any program has.
    """
    if elf["e_phnum"] > _MAX_SEGMENTS:
        raise ValueError("too many segments")
    segment = next(iter(elf.iter_segments("PT_INTERP")), None)
    return cast("InterpSegment", segment).get_interp_name() if segment is not None else None


def _is_suitable(abi: str, interpreter: str | None) -> bool:
    if interpreter is None:
        return True
    return interpreter.startswith(_ANDROID_LINKER) == abi.startswith("android")
