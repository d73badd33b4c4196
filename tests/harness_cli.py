"""Runs the command as people do, in a workspace of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "harness")
BARE = "quick,target=0,gates=off,canary=off,answers=off"
"""A protocol whose cases take six processes of the tool, and nothing else does."""


@dataclass(frozen=True)
class Cli:
    """`home` is HARNESS_HOME; `settings` are added to the environment."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
        return {**kept, "HARNESS_HOME": str(self.home), "PYTHONUNBUFFERED": "1", **self.settings}

    def run(
        self, *arguments: str | Path, cwd: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """The same, still running; its standard output is a pipe to read lines from."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, sql: str) -> list[dict[str, Any]]:
        import json

        asked = self.run("query", sql, "--format", "json")
        assert asked.returncode == 0, asked.stderr
        return [json.loads(line) for line in asked.stdout.splitlines()]


def wait_for_line(process: "subprocess.Popen[str]", words: str) -> str:
    """Reads the process's output up to a line with these words. Fails where it ends before."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return line
    raise AssertionError(f"{words!r} was never printed, but: {''.join(seen)}")
