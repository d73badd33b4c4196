"""What a tool's file says it runs on: its ELF header, read before anything is pushed."""

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
    """The ABIs that the program is for: a static one runs on Linux and Android alike, a script anywhere.

    Raises ValueError where it is neither, or for a machine that the harness does not know.
    """
    with path.open("rb") as file:
        if file.read(2) == b"#!":
            return ANY_ABI
        file.seek(0)
        try:
            elf = ELFFile(file)
            machine, interpreter = elf["e_machine"], _interpreter(elf)
        except (ELFError, UnicodeDecodeError) as error:
            raise ValueError("is no program: neither ELF nor a script") from error
    if machine not in _MACHINES:
        raise ValueError(
            f"is a program for {str(machine).removeprefix('EM_')}, which no device here is"
        )
    return frozenset(abi for abi in _MACHINES[machine] if _suits(abi, interpreter))


def _interpreter(elf: ELFFile) -> str | None:
    """The loader that a dynamic program asks for."""
    return next(
        (
            cast("InterpSegment", segment).get_interp_name()
            for segment in elf.iter_segments("PT_INTERP")
        ),
        None,
    )


def _suits(abi: str, interpreter: str | None) -> bool:
    if interpreter is None:
        return True
    return interpreter.startswith(_ANDROID_LINKER) == abi.startswith("android")
