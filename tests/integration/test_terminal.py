"""Progress of long work: bars on a terminal, plain lines elsewhere."""

from pathlib import Path

import pexpect
import pytest

from tests.harness_cli import COMMAND, Cli

PROGRAM, *MODULE = COMMAND


def on_terminal(cli: Cli, arguments: list[str]) -> "pexpect.spawn[str]":
    settings = {**cli.environment, "TERM": "xterm"}
    return pexpect.spawn(
        PROGRAM, arguments, env=settings, dimensions=(40, 160), timeout=120, encoding="utf-8"
    )


@pytest.mark.full
def test_a_bench_on_a_terminal_shows_a_live_table_and_then_the_results(
    cli: Cli, repository: Path
) -> None:
    model = repository / "tests" / "data" / "models" / "binary_64.tflite"
    arguments = [*MODULE, "bench", str(model), "--protocol", "quick"]
    child = on_terminal(cli, arguments)
    child.expect("device.*done.*left.*doing")
    child.expect("here.*0/1.*process")
    child.expect("binary_64.tflite")
    child.expect("fastest")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.full
def test_ctrl_c_on_a_terminal_ends_a_bench_cleanly_and_the_next_one_resumes(
    cli: Cli, repository: Path
) -> None:
    model = repository / "tests" / "data" / "models" / "float_64.tflite"
    arguments = [*MODULE, "bench", str(model), "--protocol", "thorough"]
    child = on_terminal(cli, arguments)
    child.expect("0/1")
    child.sendintr()
    child.expect("Interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in (child.before or "")

    ended = cli.run("bench", model, "--protocol", "quick")
    assert ended.returncode == 0
    assert "1 case, 1 to measure" in ended.stdout


@pytest.mark.full
def test_a_pipe_gets_plain_lines_without_control_characters(cli: Cli, repository: Path) -> None:
    model = repository / "tests" / "data" / "models" / "binary_64.tflite"
    ended = cli.run("bench", model, "--protocol", "quick")
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout
    assert "[cases: 1/1]" in ended.stdout


@pytest.mark.full
def test_a_refused_request_is_one_sentence_without_a_traceback(
    cli: Cli, tmp_path: Path, repository: Path
) -> None:
    model = str(repository / "tests" / "data" / "models" / "binary_64.tflite")
    wrong: list[tuple[list[str], dict[str, str]]] = [
        (
            [
                "query",
                "SELECT 1",
                "--format",
                "csv",
                "--out",
                str(tmp_path / "nowhere" / "rows.csv"),
            ],
            {},
        ),
        (["bench", model, "--threads", "²"], {}),
        (["bench", model, "--threads", "3000000000"], {}),
        (["bench", model, "--devices", str(tmp_path / "none.yaml")], {}),
        (["compare", "binary", "float32", "--fail-on-regression", "nan"], {}),
        (["status"], {"HARNESS_DATABASE_URL": "postgresql+psycopg://postgres@127.0.0.1:port/db"}),
        (["status"], {"HARNESS_DATABASE_URL": "mysql://here/db"}),
        (
            [
                "submit",
                "sweep",
                str(repository / "jobs" / "quickstart.yaml"),
                "--address",
                "nonsense",
            ],
            {},
        ),
    ]
    cli.run("db", "upgrade")
    for arguments, settings in wrong:
        ended = Cli(cli.home, settings).run(*arguments)
        assert ended.returncode == 2, (arguments, ended.stdout, ended.stderr)
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr


@pytest.mark.full  # it asks TensorFlow
def test_doctor_reports_a_workspace_that_is_a_file(tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("")
    ended = Cli(home).run("doctor")
    assert ended.returncode == 1
    assert "is not a folder" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.full
def test_the_id_of_a_device_cannot_lead_outside_the_workspace(
    cli: Cli, tmp_path: Path, repository: Path
) -> None:
    registry = tmp_path / "devices.yaml"
    registry.write_text("devices:\n  - {id: '../../out; of \"here\"', kind: local}\n")
    model = repository / "tests" / "data" / "models" / "binary_64.tflite"
    before = {path.name for path in tmp_path.iterdir()}
    ended = cli.run("bench", model, "--protocol", "quick", "--devices", registry, "--fleet")
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == before | {"workspace"}
    assert cli.rows("SELECT device FROM results") == [{"device": '../../out; of "here"'}]
