"""docs/guides/sweeps.md names every network and its parameters."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from harness.models import ARCHITECTURES

ROW = re.compile(r"^\| `(?P<name>\w+)` \|.*\| (?P<parameters>[^|]*) \|$", re.MULTILINE)


def test_the_table_of_networks_has_each_with_its_parameters(repository: Path) -> None:
    rows = ROW.finditer((repository / "docs" / "guides" / "sweeps.md").read_text())
    told = {row["name"]: re.findall(r"`(\w+)`", row["parameters"]) for row in rows}
    assert told == {
        name: [one.name for one in fields(cast(Any, kind))] for name, kind in ARCHITECTURES.items()
    }
