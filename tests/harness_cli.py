"""Helpers that run the command as people do, in a workspace of its own."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "harness")
BARE = "quick,target=0,gates=off,canary=off,answers=off"
"""A protocol whose cases take six processes of the tool, and which runs nothing else."""


_started: list["subprocess.Popen[str]"] = []


def end_commands() -> None:
    """Kill the commands that the test has started and not awaited, and close their pipes."""
    while _started:
        with _started.pop() as process:
            process.kill()


@dataclass(frozen=True)
class Cli:
    """The command in a workspace; `home` is HARNESS_HOME, `settings` extend the environment."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")
        }
        return {
            **inherited,
            "HARNESS_HOME": str(self.home),
            "PYTHONUNBUFFERED": "1",
            **self.settings,
        }

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

    def start(self, *arguments: str | Path, cwd: Path | None = None) -> "subprocess.Popen[str]":
        """Start the command and return its process, which is killed at the end of the test.

        Its output and its errors are pipes.
        """
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env=self.environment,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        _started.append(process)
        return process

    def query(self, question: str) -> list[dict[str, Any]]:
        """Return the rows that `harness query` prints."""
        ended = self.run("query", question, "--format", "json")
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of SQL on the workspace's own database, without starting the command."""
        database = sqlite3.connect(f"{(self.home / 'harness.db').as_uri()}?mode=ro", uri=True)
        with closing(database):
            cursor = database.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> str:
    """Return the first line of output with this text; fail if the output ends before."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return line
    raise AssertionError(f"{text!r} was never printed; the output is: {''.join(lines)}")
