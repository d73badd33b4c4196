"""docs/guides/sweeps.md names every network and its parameters."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.models import ARCHITECTURES

ROW = re.compile(r"^\| `(?P<name>\w+)` \|.*\| (?P<parameters>[^|]*) \|$", re.MULTILINE)


def test_the_table_of_networks_lists_every_parameter(repository: Path) -> None:
    guide = (repository / "docs" / "guides" / "sweeps.md").read_text()
    _, _, section = guide.partition("## Models\n")
    rows = ROW.finditer(section.partition("\n## ")[0])
    documented = {row["name"]: re.findall(r"`(\w+)`", row["parameters"]) for row in rows}
    assert documented == {name: parameters_of(kind) for name, kind in ARCHITECTURES.items()}


def parameters_of(architecture: Any) -> list[str]:
    return [field.name for field in fields(architecture)]
