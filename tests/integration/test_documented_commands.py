"""The workflow that docs/guides/ci.md shows, and the commands of docs/guides/neighbours.md."""

import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from harness.cli.commands.main import app
from tests.check_docs import BLOCK

EXPECTED = ["bench", "compare", "compare"]


@pytest.fixture(scope="module")
def workflow(repository: Path) -> Any:
    text = (repository / "docs" / "guides" / "ci.md").read_text()
    (block,) = [found["code"] for found in BLOCK.finditer(text) if found["language"] == "yaml"]
    return YAML(typ="safe").load(StringIO(block))


def commands(workflow: Any) -> list[list[str]]:
    steps = workflow["jobs"]["latency"]["steps"]
    lines = [line for step in steps for line in step.get("run", "").splitlines()]
    return [
        shlex.split(line.partition(">>")[0])[1:] for line in lines if line.startswith("harness ")
    ]


def test_its_steps_are_steps(workflow: Any) -> None:
    (job,) = workflow["jobs"].values()
    assert "self-hosted" in job["runs-on"]
    assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_its_commands_are_the_harness_own(workflow: Any) -> None:
    found = commands(workflow)
    assert [words[0] for words in found] == EXPECTED
    assert all(understood(words) for words in found)


def test_what_stands_behind_a_prompt_is_a_command(repository: Path) -> None:
    text = (repository / "docs" / "guides" / "neighbours.md").read_text()
    shown = [
        line
        for found in BLOCK.finditer(text)
        if found["language"] == "console"
        for line in found["code"].splitlines()
    ]
    ours = [shlex.split(line)[2:] for line in shown if line.startswith("$ harness ")]
    assert [words[0] for words in ours] == [
        "export",
        "import",
        "import-published",
        "query",
        "submit",
    ]
    assert all(understood(words) for words in ours)


def test_a_command_that_is_not_would_be_found() -> None:
    assert not understood(["compare", "float32", "binary", "--no-such-option"])


def understood(words: list[str]) -> bool:
    """Whether there are such options: they are read before a help is shown, and nothing runs."""
    return CliRunner().invoke(app, [*words, "--help"]).exit_code == 0
