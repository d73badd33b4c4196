"""A newcomer who follows a recipe to the letter gets what it promises."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.check_docs import BLOCK, ROOT
from tests.sample import write_sample

PAGE = ROOT / "docs" / "inside" / "extend.md"
PROJECT = ("db", "harness", "jobs", "tests", "pyproject.toml")
SLOW = ("A model", "A device kind")  # their contracts are long
PROGRAMS = {
    "harness": ["-m", "harness"],
    "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider"],
}


@dataclass(frozen=True)
class Step:
    """A block of a recipe, and the last file that is named before it."""

    language: str
    code: str
    file: str


def read_recipes() -> Mapping[str, list[Step]]:
    """Return the steps of each recipe by its heading."""
    recipes = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        recipes[heading] = list(_read_steps(text))
    return recipes


def _read_steps(text: str) -> Iterator[Step]:
    for block in BLOCK.finditer(text):
        prose = BLOCK.sub("", text[: block.start()])
        files = re.findall(r"`([\w./]+\.\w+)`", prose)
        yield Step(block["language"], block["code"], file=files[-1] if files else "")


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with rows: copy it."""
    home = tmp_path_factory.mktemp("sample")
    write_sample(home)
    return home


@pytest.fixture
def checkout(tmp_path: Path, sampled: Path) -> Path:
    """A copy of the project, with a workspace that has rows."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in PROJECT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    shutil.copytree(sampled, folder / ".harness")
    return folder


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(name, marks=pytest.mark.full) if name in SLOW else name
        for name in read_recipes()
    ],
)
def test_a_recipe_works(recipe: str, checkout: Path) -> None:
    steps = read_recipes()[recipe]
    assert steps[-1].language in ("console", "yaml")
    for step in steps:
        follow(step, checkout)


def follow(step: Step, checkout: Path) -> None:
    """Change the file, or run the commands."""
    if step.language == "console":
        for line in step.code.splitlines():
            run(line.removeprefix("$ "), checkout)
    elif step.language == "diff":
        file = checkout / step.file
        file.write_text(apply(step.code, file.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        (checkout / step.file).write_text(step.code, encoding="utf-8")


def apply(diff: str, text: str) -> str:
    """Replace the lines with a blank or a minus by those with a blank or a plus."""
    before = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] != "+")
    after = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] != "-")
    assert text.count(before) == 1, before
    return text.replace(before, after)


def run(line: str, checkout: Path) -> None:
    program, *arguments = shlex.split(line)
    argv = [sys.executable, *PROGRAMS[program], *arguments]
    environment = {**clean_environment(), "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        argv, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@cache
def clean_environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}


def test_each_kind_of_extension_has_a_recipe() -> None:
    assert list(read_recipes()) == [
        "A model",
        "A data set",
        "A query",
        "A metric",
        "A key",
        "A column",
        "A tool",
        "A device kind",
    ]
