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
    (block,) = find_blocks(text, "yaml")
    return YAML(typ="safe").load(StringIO(block))


def find_blocks(text: str, language: str) -> list[str]:
    return [block["code"] for block in BLOCK.finditer(text) if block["language"] == language]


def read_commands(workflow: Any) -> list[list[str]]:
    """Return the arguments of each harness command of the workflow."""
    steps = workflow["jobs"]["latency"]["steps"]
    lines = "\n".join(step.get("run", "") for step in steps).splitlines()
    return [
        shlex.split(line.partition(">>")[0])[1:] for line in lines if line.startswith("harness ")
    ]


def test_each_step_of_the_workflow_runs_or_uses_something(workflow: Any) -> None:
    (job,) = workflow["jobs"].values()
    assert "self-hosted" in job["runs-on"]
    assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_the_commands_of_the_workflow_are_valid(workflow: Any) -> None:
    commands = read_commands(workflow)
    assert [arguments[0] for arguments in commands] == EXPECTED
    assert all(is_valid(arguments) for arguments in commands)


def test_the_commands_after_a_prompt_are_valid(repository: Path) -> None:
    text = (repository / "docs" / "guides" / "neighbours.md").read_text()
    lines = "".join(find_blocks(text, "console")).splitlines()
    commands = [shlex.split(line)[2:] for line in lines if line.startswith("$ harness ")]
    assert [arguments[0] for arguments in commands] == [
        "export",
        "import",
        "import-published",
        "query",
        "submit",
    ]
    assert all(is_valid(arguments) for arguments in commands)


def test_an_unknown_option_makes_a_command_invalid() -> None:
    assert not is_valid(["compare", "float32", "binary", "--no-such-option"])


def is_valid(arguments: list[str]) -> bool:
    """Return whether the options exist: `--help` parses them, and nothing runs."""
    return CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
