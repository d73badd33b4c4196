"""The whole lab: machines up and down, the registry of them, and where their files are."""

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
        return {
            kind.name: Machine(kind, self.folder / "machines" / kind.name, client_key=self.key)
            for kind in KINDS
        }

    @property
    def is_up(self) -> bool:
        return all(machine.is_running for machine in self.machines.values())

    @property
    def _ours(self) -> Path:
        """Is there while the lab is up for `in_use` alone."""
        return self.folder / "ours"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """What is up stays up; what was booted for this, the last of several processes ends."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "users").open("w") as users:
            flock(users, LOCK_SH)
            if not self.is_up:
                self._ours.touch()
            self.up()
            try:
                yield
            finally:
                with suppress(BlockingIOError):  # others use it still
                    flock(users, LOCK_EX | LOCK_NB)
                    if self._ours.exists():
                        self.down()

    def up(self) -> None:
        """Boots what does not run, and writes the registry."""
        self.folder.mkdir(exist_ok=True)
        with FileLock(self.folder / "lock"):
            trees.prepare_host()
            if not self.key.exists():
                make_key(self.key)
            make_bridge()
            with ThreadPoolExecutor(
                len(self.machines)
            ) as pool:  # who needs the same tree waits for it to be built
                list(pool.map(Machine.start, self.machines.values()))
            self.write_devices()

    def down(self) -> None:
        for machine in self.machines.values():
            machine.remove()
        remove_bridge()
        self._ours.unlink(missing_ok=True)

    def write_devices(self) -> None:
        yaml = YAML()
        yaml.indent(mapping=2, sequence=4, offset=2)
        with self.devices_file.open("w") as file:
            yaml.dump(
                {"devices": [self.entry(machine.kind) for machine in self.machines.values()]}, file
            )

    def entry(self, kind: Kind) -> dict[str, Any]:
        """A machine's entry in `devices.yaml`."""
        # Below the phone's adbd there is a Debian, which runs a Linux board's program.
        tool = (
            {"tool": TOOL, "abi": "aarch64"}
            if real_tool() is not None and kind.abi != "x86_64"
            else {}
        )
        common = {
            "abi": kind.abi,
            "tags": ["lab"],
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
        way = {
            "host": kind.address,
            "user": USER,
            "key": str(self.key),
            "host_key": machine.host_key,
        }
        return {"id": kind.name, "kind": "ssh", **way, **common}
