from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from tests.simulated.clients import connect
from tests.simulated.fleet import Endpoint, SimulatedFleet


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedFleet]:
    folder: Path = tmp_path_factory.mktemp("fleet")
    with SimulatedFleet(64, folder) as fleet:
        yield fleet


@pytest.fixture(scope="package")
def unused(fleet: SimulatedFleet) -> Iterator[Endpoint]:
    return iter(fleet.endpoints)


@pytest.fixture
def endpoint(unused: Iterator[Endpoint]) -> Endpoint:
    """An endpoint that no other test uses."""
    return next(unused)


@pytest.fixture
def client(fleet: SimulatedFleet, endpoint: Endpoint) -> Iterator[paramiko.SSHClient]:
    with connect(fleet, endpoint) as client:
        yield client
