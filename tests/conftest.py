from pathlib import Path

import pytest

from tests.harness_cli import Cli

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command with a workspace of its own."""
    return Cli(tmp_path / "workspace")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
