"""Commands that answer at once import no library for training or plotting."""

import subprocess
import sys

import pytest

from tests.harness_cli import Cli

HEAVY = (
    "tensorflow",
    "ray",
    "larq",
    "larq_compute_engine",
    "tf_keras",
    "pandas",
    "scipy",
    "mlflow",
    "plotly",
    "junitparser",
)

PROBE = """
import sys
sys.argv = ["harness", *sys.argv[1:]]
from harness.cli.app import main
try:
    main()
except SystemExit:
    print("imported:", *sorted(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["submit", "sweep", "--help"],
        ["query"],
        ["query", "SELECT 1"],
        ["query", "leaderboard"],
        ["status"],
        ["db", "path"],
    ],
    ids=" ".join,
)
def test_no_heavy_import(cli: Cli, arguments: list[str]) -> None:
    cli.run("db", "upgrade")
    probe = [sys.executable, "-c", PROBE, *arguments]
    ended = subprocess.run(probe, env=cli.environment, capture_output=True, text=True, check=True)
    imported = set(ended.stderr.partition("imported:")[2].split())
    assert "harness.cli.app" in imported
    assert not imported & set(HEAVY)


def test_help_needs_no_database_library(cli: Cli) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, "--help"],
        env=cli.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sqlalchemy" not in ended.stderr.split()
