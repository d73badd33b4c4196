"""The pages about the inside name what is there."""

import re
from itertools import chain

import pytest

from tests.check_docs import ROOT
from tools.reference.project import read_rooms

INSIDE = ROOT / "docs" / "inside"
TASK = re.compile(
    r"^\| (?P<task>[^|]+) \| `(?P<file>[^`]+)` \| `(?P<text>[^`]+)` \|$", re.MULTILINE
)
TASKS = list(TASK.finditer((INSIDE / "where.md").read_text(encoding="utf-8")))


def test_there_are_at_least_ten_tasks() -> None:
    assert len(TASKS) >= 10


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["task"])
def test_the_file_to_change_has_the_text(task: re.Match[str]) -> None:
    assert task["text"] in (ROOT / task["file"]).read_text(encoding="utf-8")


def test_the_architecture_describes_every_room() -> None:
    page = (INSIDE / "architecture.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `([a-z.]+)` \|", page.partition("## The rooms")[2], re.MULTILINE)
    assert described == list(chain.from_iterable(read_rooms()))
