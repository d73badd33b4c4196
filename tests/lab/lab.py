"""The lab: its machines, their files and their registry."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
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
_TAGS = {"aarch64": ("boards",), "android-arm64": ("phones",)}
_BENCHED = ("arm1", "arm2", "x86", "phone1", "phone2")


def find_real_tool() -> Path | None:
    """Return the user's lce_benchmark_model for ARM64, if there is one."""
    path = os.environ.get(TOOL_VARIABLE)
    return Path(path).absolute() if path else None


class Lab:
    """All machines, whose files are below `folder`."""

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
        return {
            kind.name: Machine(kind, self.folder / "machines" / kind.name, client_key=self.key)
            for kind in KINDS
        }

    @property
    def is_up(self) -> bool:
        return all(machine.is_running for machine in self.machines.values())

    @property
    def _started_mark(self) -> Path:
        """The file that exists while the lab is up only because of `in_use`."""
        return self.folder / "ours"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Boot the lab if it is down; the last of several processes shuts it down again."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "users").open("w") as users:
            flock(users, LOCK_SH)
            if not self.is_up:
                self._started_mark.touch()
            self.up()
            try:
                yield
            finally:
                with suppress(BlockingIOError):  # other processes still use it
                    flock(users, LOCK_EX | LOCK_NB)
                    if self._started_mark.exists():
                        self.down()

    def up(self) -> None:
        """Boot the machines that are down, and write the registry."""
        self.folder.mkdir(exist_ok=True)
        with FileLock(self.folder / "lock"):
            trees.prepare_host()
            if not self.key.exists():
                make_key(self.key)
            make_bridge()
            with ThreadPoolExecutor(len(self.machines)) as pool:  # a shared tree is built once
                list(pool.map(Machine.start, self.machines.values()))
            self._write_devices()

    def down(self) -> None:
        for machine in self.machines.values():
            machine.remove()
        remove_bridge()
        self._started_mark.unlink(missing_ok=True)

    def _write_devices(self) -> None:
        yaml = YAML()
        yaml.indent(mapping=2, sequence=4, offset=2)
        with self.devices_file.open("w") as file:
            yaml.dump(
                {"devices": [self.make_entry(machine.kind) for machine in self.machines.values()]},
                file,
            )

    def make_entry(self, kind: Kind) -> dict[str, Any]:
        """Return a machine's entry in `devices.yaml`."""
        # The phones run adbd on Debian, and so the programs of a Linux board.
        tool = (
            {"tool": TOOL, "abi": "aarch64"}
            if find_real_tool() is not None and kind.abi != "x86_64"
            else {}
        )
        common = {
            "abi": kind.abi,
            "tags": ["lab", *_TAGS.get(kind.abi, ())],
            "enabled": kind.name in _BENCHED,
            "timeout_s": 300,
            **tool,
        }
        if kind.phone:
            via = {"via": "hub"} if kind.name == "phone2" else {}
            return {
                "id": kind.name,
                "kind": "adb",
                "serial": f"{kind.address}:{ADB_PORT}",
                **via,
                **common,
            }
        machine = self.machines[kind.name]
        connection = {
            "host": kind.address,
            "user": USER,
            "key": str(self.key),
            "host_key": machine.host_key,
        }
        return {"id": kind.name, "kind": "ssh", **connection, **common}
