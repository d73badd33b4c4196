"""Tools that are small scripts: what they print is lce_benchmark_model's, or what a broken one might do."""

from pathlib import Path

NUMBERS = "echo 'count=50 first=12 curr=10 min=9 max=12 avg=10 std=1'"
# A tool that finds another one at work says so; `sleep` makes it last.
_ALONE = """
mkdir "$HARNESS_TEST_FOLDER/busy" || echo overlap >>"$HARNESS_TEST_FOLDER/overlaps"
echo started >>"$HARNESS_TEST_FOLDER/starts"
sleep {seconds}
rmdir "$HARNESS_TEST_FOLDER/busy"
"""


def script(path: Path, body: str = NUMBERS) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    return path


def lasting(path: Path, folder: Path, seconds: float) -> Path:
    """Takes `seconds`, and notes in `folder` each start, and each time that it was not alone."""
    folder.mkdir(exist_ok=True)
    return script(path, _ALONE.replace("$HARNESS_TEST_FOLDER", str(folder)).format(seconds=seconds) + NUMBERS)


def lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0
