import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness_cli import Cli, end_commands
from tests.ray_nodes import HEAD, head_address, run_node
from tests.sshd import Sshd
from tests.workers import make_scheduler, sort_key

# harness.models.keras sets this, but a test may import TensorFlow first.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
REPOSITORY = Path(__file__).parents[1]


@pytest.hookimpl(optionalhook=True)  # pytest-xdist may be disabled
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return make_scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=sort_key)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return the command with a workspace of its own."""
    return Cli(tmp_path / "workspace")


@pytest.fixture(autouse=True)
def _no_command_outlives_its_test() -> Iterator[None]:
    yield
    end_commands()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a cluster that tests share if they prove nothing about its start.

    It needs no token, and only this machine reaches it.
    """
    options = (*HEAD, "--node-ip-address=127.0.0.1", "--num-cpus=2")
    settings = {"RAY_AUTH_MODE": "disabled"}
    place = tmp_path_factory.mktemp("cluster") / "head"
    with run_node(place, *options, settings=settings):
        yield head_address(place)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd.start(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()
