"""The commands on either database, from a model file to its comparison."""

from pathlib import Path

import pytest

from tests.harness_cli import BARE, Cli


@pytest.fixture
def database_cli(url: str, tmp_path: Path) -> Cli:
    return Cli(tmp_path / "workspace", {"HARNESS_DATABASE_URL": url})


@pytest.mark.full
def test_a_bench_a_query_a_comparison_and_a_status(database_cli: Cli, repository: Path) -> None:
    models = [
        repository / "tests" / "data" / "models" / f"{name}.tflite"
        for name in ("binary_64", "float_64")
    ]
    benched = database_cli.run("bench", *models, "--protocol", BARE)
    assert benched.returncode == 0, benched.stdout + benched.stderr
    assert "here: 2 cases, 2 to measure" in benched.stdout
    assert (
        "0 to measure, 2 already done"
        in database_cli.run("bench", *models, "--protocol", BARE).stdout
    )

    counted = database_cli.run(
        "query",
        "SELECT file, runs FROM results WHERE file LIKE '%64%' ORDER BY file",
        "--format",
        "csv",
    )
    assert counted.stdout.splitlines() == ["file,runs", "binary_64.tflite,6", "float_64.tflite,6"]

    compared = database_cli.run(
        "compare",
        "float_64.tflite",
        "binary_64.tflite",
        "--fail-on-regression",
        "1%",
        "--metric",
        "size",
    )
    assert compared.returncode == 0, compared.stderr
    assert "× 0.394" in compared.stdout
    assert database_cli.run("status").returncode == 0
    unknown = database_cli.run("query", "leaderboard", "--param", "device=her")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "Did you mean 'here'?" in unknown.stderr
    nothing = database_cli.run("query", "energy", "--param", "device=here")
    assert (nothing.returncode, nothing.stderr) == (0, "The query has no rows.\n")
    assert database_cli.run("query", "DELETE FROM runs").returncode == 2
    assert database_cli.query("SELECT count(*) AS kept FROM runs") == [{"kept": 12}]


def test_commands_on_an_empty_workspace_end_without_a_traceback(database_cli: Cli) -> None:
    for arguments in (("status",), ("compare", "binary", "float32"), ("query", "leaderboard")):
        ended = database_cli.run(*arguments)
        assert "Traceback" not in ended.stderr
        assert ended.returncode in (0, 2)
