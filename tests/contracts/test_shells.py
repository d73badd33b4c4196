"""The transport contract over busybox, as small boards have it, and over Android's shell."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.device import LocalDevice
from harness.devices import Transport, open_transport
from tests.contracts.suite import *  # noqa: F403
from tests.contracts.watching import *  # noqa: F403
from tests.shells import install_shell


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.full) for name in ("busybox", "mksh")],
)
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that come first on PATH."""
    return install_shell(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def transport(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    transport = open_transport(LocalDevice(id="here"), {}, local_folder=tmp_path / "device")
    yield transport
    transport.close()
