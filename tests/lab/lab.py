"""The whole lab: machines up and down, the registry of them, and where their files are."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock
from ruamel.yaml import YAML

from tests.lab import trees
from tests.lab.machines import ADB_PORT, KINDS, USER, Kind, Machine, make_bridge, remove_bridge
from tests.sshd import make_key

TOOL_VARIABLE = "LAB_LCE_BENCHMARK_AARCH64"
TOOL = "lce_benchmark_model_aarch64"
_BENCHED = ("arm1", "arm2", "x86", "phone1", "phone2")


def real_tool() -> Path | None:
    """The user's own lce_benchmark_model for ARM64."""
    named = os.environ.get(TOOL_VARIABLE)
    return Path(named).absolute() if named else None


class Lab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def devices_file(self) -> Path:
        return self.folder / "devices.yaml"

    @cached_property
    def machines(self) -> dict[str, Machine]:
        return {kind.name: Machine(kind, self.folder / "machines" / kind.name, self.key) for kind in KINDS}

    def up(self) -> None:
        """Boots what does not run, and writes the registry."""
        trees.prepare_host()
        self.folder.mkdir(exist_ok=True)
        with FileLock(self.folder / "lock"):
            if not self.key.exists():
                make_key(self.key)
            make_bridge()
            for machine in self.machines.values():
                _ = machine.lower  # trees are built one by one
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(Machine.start, self.machines.values()))
            self.write_devices()

    def down(self) -> None:
        for machine in self.machines.values():
            machine.remove()
        remove_bridge()

    def write_devices(self) -> None:
        yaml = YAML()
        yaml.indent(mapping=2, sequence=4, offset=2)
        with self.devices_file.open("w") as file:
            yaml.dump({"devices": [self.entry(machine.kind) for machine in self.machines.values()]}, file)

    def entry(self, kind: Kind) -> dict[str, Any]:
        """A machine's entry in `devices.yaml`."""
        # Below the phone's adbd there is a Debian, which runs a Linux board's program.
        tool = {"tool": TOOL, "abi": "aarch64"} if real_tool() is not None and kind.abi != "x86_64" else {}
        common = {"abi": kind.abi, "tags": ["lab"], "enabled": kind.name in _BENCHED, "timeout_s": 300, **tool}
        if kind.phone:
            via = {"via": "hub"} if kind.name == "phone2" else {}
            return {"id": kind.name, "kind": "adb", "serial": f"{kind.address}:{ADB_PORT}", **via, **common}
        machine = self.machines[kind.name]
        way = {"host": kind.address, "user": USER, "key": str(self.key), "host_key": machine.host_key}
        return {"id": kind.name, "kind": "ssh", **way, **common}
