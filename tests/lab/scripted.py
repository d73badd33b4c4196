"""Scripts as the benchmark tools of the lab's devices; they note each of their starts there."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests import tools
from tests.harness_cli import Cli
from tests.lab.lab import Lab

NOTES = "/tmp/notes"


def use_script_tool(
    cli: Cli, lab: Lab, folder: Path, body: str, devices: Collection[str] = (), **settings: Any
) -> Cli:
    """Return the command with a registry in which each lab device has a script as its tool.

    The registry has only these `devices`; none means all.
    """
    added = cli.run("tools", "add", "tool", "--file", tools.write_script(folder / "tool", body))
    assert added.returncode == 0, added.stderr
    registry = YAML().load(lab.devices_file.read_text())
    if devices:
        registry["devices"] = [entry for entry in registry["devices"] if entry["id"] in devices]
    for entry in registry["devices"]:
        entry.update({"tool": "tool", "patience_s": 60, **settings})
    with (folder / "devices.yaml").open("w") as file:
        YAML().dump(registry, file)
    return Cli(cli.home, {**cli.settings, "HARNESS_DEVICES": str(folder / "devices.yaml")})


def make_slow_tool(seconds: float) -> str:
    return f"echo started >>{NOTES}\nsleep {seconds}\n{tools.NUMBERS}"


def read_notes(lab: Lab, name: str) -> list[str]:
    """Return the notes of the tool on a machine of the lab, one for each of its starts."""
    return lab.machines[name].run("sh", "-c", f"cat {NOTES} 2>/dev/null || true").splitlines()
