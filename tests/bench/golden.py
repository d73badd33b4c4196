"""Recorded logs of lce_benchmark_model.

A folder for each holds `cmd`, `stdout`, `stderr` and `rc`, the exit code.
"""

from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
PUBLISHED_LOGS = GOLDEN.with_name("published_logs")
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


def load_recording(name: str) -> Recording:
    folder = GOLDEN / name
    return Recording(
        name,
        int((folder / "rc").read_text()),
        stdout=(folder / "stdout").read_text(),
        stderr=(folder / "stderr").read_text(),
    )


def load_published_log(name: str) -> str:
    """Return a log that documentation or a public thread quotes."""
    return (PUBLISHED_LOGS / f"{name}.txt").read_text()
