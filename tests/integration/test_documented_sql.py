"""The SQL of docs/guides/results.md, run by the program `sqlite3` on the database file."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.sample import write_sample


@pytest.fixture
def sqlite3() -> str:
    program = shutil.which("sqlite3")
    if program is None:
        missing = "the program sqlite3 is not installed (Debian and Ubuntu: apt install sqlite3)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return program


def test_three_lines_of_sql_name_the_most_accurate_fast_binary_model_of_each_board(
    sqlite3: str, tmp_path: Path, repository: Path
) -> None:
    write_sample(tmp_path)
    page = (repository / "docs" / "guides" / "results.md").read_text()
    (sql,) = re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(sql.strip().splitlines()) == 3
    completed = subprocess.run(
        [sqlite3, "-readonly", tmp_path / "harness.db", sql],
        capture_output=True,
        text=True,
        check=True,
    )
    best = [line.split("|") for line in completed.stdout.splitlines()]
    assert best, "the sample has boards with such models"
    devices = [line[0] for line in best]
    assert len(devices) == len(set(devices))
    assert all(float(line[4]) < 5000 for line in best)
    accuracies = [float(line[3]) for line in best]
    assert accuracies == sorted(accuracies, reverse=True)
