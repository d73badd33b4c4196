"""The ABIs that a tool's file runs on, from its ELF header, before anything is pushed."""

from pathlib import Path
from typing import cast

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

ANY_ABI = frozenset({"aarch64", "aarch32", "android-arm64", "x86_64"})
_MACHINES = {
    "EM_AARCH64": {"aarch64", "android-arm64"},
    "EM_ARM": {"aarch32"},
    "EM_X86_64": {"x86_64"},
}
_ANDROID_LINKER = "/system/bin/linker"


def abis_of(path: Path) -> frozenset[str]:
    """Return the ABIs that a program runs on.

    A static program runs on both Linux and Android, a script anywhere. Raises ValueError if the
    file is neither, or is for an unsupported machine.
    """
    with path.open("rb") as file:
        if file.read(2) == b"#!":
            return ANY_ABI
        file.seek(0)
        try:
            elf = ELFFile(file)
            machine, interpreter = elf["e_machine"], _read_interpreter(elf)
        except (ELFError, UnicodeDecodeError) as error:
            raise ValueError("is neither an ELF program nor a script") from error
    if machine not in _MACHINES:
        name = str(machine).removeprefix("EM_")
        raise ValueError(f"is a program for {name}, which no supported device runs")
    return frozenset(abi for abi in _MACHINES[machine] if _is_suitable(abi, interpreter))


def _read_interpreter(elf: ELFFile) -> str | None:
    """Return the loader that a dynamic program requests."""
    segment = next(iter(elf.iter_segments("PT_INTERP")), None)
    return cast("InterpSegment", segment).get_interp_name() if segment is not None else None


def _is_suitable(abi: str, interpreter: str | None) -> bool:
    if interpreter is None:
        return True
    return interpreter.startswith(_ANDROID_LINKER) == abi.startswith("android")
