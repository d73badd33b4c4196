"""The transport contract over adb, on an emulated ARM64 phone here and on one behind a hub."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from harness.core.device import Device
from harness.devices import Transport, open_transport
from tests.contracts.suite import *  # noqa: F403
from tests.contracts.watching import *  # noqa: F403


@pytest.fixture(params=["phone1", "phone2"])
def transport(
    request: pytest.FixtureRequest, registry: dict[str, Device], tmp_path: Path
) -> Iterator[Transport]:
    parent = "/data/local/tmp" if request.param.startswith("phone") else "/home/bench"
    device = replace(registry[request.param], folder=f"{parent}/test {uuid4().hex}; it's")
    transport = open_transport(device, registry, local_folder=tmp_path)
    yield transport
    transport.close()
