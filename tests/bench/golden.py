"""Whole logs of lce_benchmark_model, recorded: `cmd`, `stdout`, `stderr` and `rc` (the exit code) a folder."""

from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
NAMES = tuple(sorted(folder.name for folder in GOLDEN.iterdir()))


@dataclass(frozen=True)
class Recording:
    name: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def merged(self) -> str:
        return f"{self.stdout}\n{self.stderr}"


def recording(name: str) -> Recording:
    folder = GOLDEN / name
    return Recording(
        name,
        int((folder / "rc").read_text()),
        stdout=(folder / "stdout").read_text(),
        stderr=(folder / "stderr").read_text(),
    )
