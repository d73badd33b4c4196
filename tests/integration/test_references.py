"""Artifacts of a sweep that come one after the other are compared as if they shared a batch."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.cli.actions.session import Session
from harness.core.ids import sha256_of
from harness.core.sweep import Precision
from harness.store.files.workspace import Workspace
from harness.store.rows.trials import TrialRows
from tests import tools
from tests.harness_cli import BARE, Cli
from tests.store.examples import make_outcome, make_sweep, make_trial

# A model's latency is its size: one byte takes a microsecond.
SIZED = 'us=$(wc -c <"${1#--graph=}"); '
NUMBERS = 'echo "count=50 first=$us curr=$us min=$us max=$us avg=$us std=1"'


def finish_trial(home: Path, seed: int, content: bytes) -> None:
    """Store a trained trial of the sweep `study` with this artifact."""
    trial = make_trial(seed, Precision.BINARY)
    session = Session(Workspace(home))
    rows = TrialRows(session.engine)
    rows.submit(make_sweep(trial), [])
    rows.finish(make_outcome(trial, content))
    session.files.save(content)
    session.engine.dispose()


@pytest.mark.full
def test_a_sweep_that_grows_is_comparable_across_its_benches(tmp_path: Path) -> None:
    registry = tmp_path / "devices.yaml"
    with registry.open("w") as file:
        YAML().dump({"devices": [{"id": "here", "kind": "local", "tool": "sized"}]}, file)
    cli = Cli(tmp_path / "workspace", {"HARNESS_DEVICES": str(registry)})
    tool = tools.write_script(tmp_path / "tool", SIZED + NUMBERS)
    assert cli.run("tools", "add", "sized", "--file", tool).returncode == 0
    contents = [b"a" * size_bytes for size_bytes in (1000, 2000, 3000)]
    for seed, content in enumerate(contents):
        finish_trial(cli.home, seed, content=content)
        benched = cli.run("bench", "--sweep", "study", "--device", "here", "--protocol", BARE)
        assert benched.returncode == 0, benched.stderr
    assert "as the reference" in benched.stdout
    first, second, third = map(sha256_of, contents)
    counts = cli.rows(
        "SELECT artifact, count(*) AS n FROM cases JOIN measurements ON cases.id = case_id"
        " GROUP BY artifact"
    )
    assert {row["artifact"]: row["n"] for row in counts} == {first: 3, second: 1, third: 1}
    compared = cli.run("compare", second, third, "--metric", "latency").stdout
    assert "× 1.5 (1.5 … 1.5)" in compared
    assert f"compared through {first[:12]}" in compared
