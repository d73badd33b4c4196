import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, insert, select

from harness import report
from harness.core.bench import Case
from harness.core.errors import RequestError
from harness.core.sweep import Precision
from harness.report import compare, expanded, query, results
from harness.store.database import open_database
from harness.store.rows.cases import CaseRows
from harness.store.rows.trials import TrialRows
from harness.store.tables import artifacts, trial_artifacts
from tests.store.examples import make_artifact, make_case, make_measurement_from, store_trial

HEAVY = ("tensorflow", "larq", "larq_compute_engine", "tf_keras", "ray")
IMPORT_SCRIPT = """
import sys
from harness import report
before = set(sys.modules)
from harness.report import compare, results
results(sys.argv[1])
compare("float32", "binary", sys.argv[1])
print("before:", *before)
print("after:", *sys.modules)
"""
IMPORT_WITHOUT_PANDAS = """
import sys
sys.modules["pandas"] = None
from harness.report import results
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "a workspace"


@pytest.fixture
def engine(workspace: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{workspace / 'harness.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def twins(workspace: Path, engine: Engine) -> Path:
    """Return a workspace with a binary network that is four times as fast as its float twin.

    Both were measured on two devices.
    """
    for precision, latency_us in ((Precision.FLOAT32, 400.0), (Precision.BINARY, 100.0)):
        _, outcome = store_trial(engine, precision=precision)
        for device in ("pi4", "pi5"):
            measure(engine, make_case(outcome.artifacts[0].sha256, device), latency_us=latency_us)
    return workspace


def measure(engine: Engine, case: Case, latency_us: float) -> None:
    """Store six runs, of which the slowest takes 2.5 % longer than the fastest."""
    averages_us = [latency_us * (1 + number / 200) for number in range(6)]
    CaseRows(engine).finish("ssh", make_measurement_from(case, averages_us))


def test_columns_have_the_types_of_their_values(twins: Path) -> None:
    rows = results(twins)
    assert len(rows) == 4
    dtypes = {name: str(dtype) for name, dtype in rows.dtypes.items()}
    texts = ("sweep", "model", "precision", "device", "recipe", "artifact")
    assert {dtypes[name] for name in texts} == {"string"}
    integers = ("seed", "threads", "size_bytes", "binary_macs", "runs")
    assert {dtypes[name] for name in integers} == {"Int64"}
    assert {dtypes[name] for name in ("latency_us", "latency_low_us", "accuracy")} == {"float64"}
    assert dtypes["measured_at"] == "datetime64[us, UTC]"
    start = pd.Timestamp("2020-01-01", tz="UTC")
    assert rows["measured_at"].between(start, pd.Timestamp.now("UTC")).all()


def test_a_column_without_a_value_has_the_type_that_it_would_have(
    workspace: Path, engine: Engine
) -> None:
    """Columns are empty if no device measures them, or if the workspace has no row."""
    empty = results(workspace)
    assert empty.empty
    _, outcome = store_trial(engine)
    measure(engine, make_case(outcome.artifacts[0].sha256), latency_us=100.0)
    filled = results(workspace)
    assert str(filled["energy_uj"].dtype) == "float64"
    assert str(filled["classes_agree"].dtype) == "boolean"
    assert str(filled["file"].dtype) == "string"
    assert list(empty.dtypes) == list(filled.dtypes)


def test_results_can_be_limited_to_a_sweep_a_device_and_a_model(twins: Path) -> None:
    rows = results(twins, device="pi5")
    assert set(rows["device"]) == {"pi5"}
    assert list(rows.index) == [0, 1]
    assert len(results(twins, sweep="study", device="pi4", model="mlp")) == 2
    assert results(twins, sweep="another").empty


def test_a_workspace_is_a_folder_a_url_or_the_environments(
    twins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_folder = results(twins)
    pd.testing.assert_frame_equal(results(str(twins)), by_folder)
    pd.testing.assert_frame_equal(results(f"sqlite:///{twins / 'harness.db'}"), by_folder)
    monkeypatch.setenv("HARNESS_HOME", str(twins))
    monkeypatch.delenv("HARNESS_DATABASE_URL", raising=False)
    pd.testing.assert_frame_equal(results(), by_folder)


def test_a_workspace_without_a_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no database at "):
        results(tmp_path)


def test_a_question_is_a_named_query_or_sql(twins: Path) -> None:
    rows = query("SELECT device, count(*) AS n FROM results GROUP BY device ORDER BY device", twins)
    assert rows.to_dict("list") == {"device": ["pi4", "pi5"], "n": [2, 2]}
    assert len(query("leaderboard", twins)) == 4


def test_a_question_takes_parameters(twins: Path) -> None:
    sql = "SELECT precision FROM results WHERE device = :device AND latency_us > :min_us"
    rows = query(sql, twins, device="pi4", min_us=200)
    assert list(rows["precision"]) == ["float32"]
    named = query("variance", twins, device="pi5")
    assert set(named["device"]) == {"pi5"}
    with pytest.raises(RequestError, match="unknown parameter of 'variance'"):
        query("variance", twins, planet="mars")


def test_sql_that_writes_is_refused(twins: Path) -> None:
    with pytest.raises(RequestError, match="read-only"):
        query("DELETE FROM runs", twins)


def test_settings_are_columns_when_expanded(twins: Path, engine: Engine) -> None:
    artifact = make_artifact(b"a user's own file", accuracy=None, agreement=None)
    TrialRows(engine).add_artifact(artifact, "own.tflite")
    measure(engine, make_case(artifact.sha256, "pi4"), latency_us=200.0)
    rows = expanded(results(twins, device="pi4")).set_index("artifact")
    assert rows.drop(artifact.sha256)[["units", "epochs"]].to_dict("list") == {
        "units": [64, 64],
        "epochs": [3, 3],
    }
    assert pd.isna(rows.loc[artifact.sha256, "units"])


def test_a_comparison_is_one_row_a_pair(twins: Path) -> None:
    pairs = compare("float32", "binary", workspace=twins)
    assert list(pairs["device"]) == ["pi4", "pi5"]
    first = pairs.iloc[0]
    assert first["ratio"] == pytest.approx(0.25)
    assert first["ratio_low"] < 0.25 < first["ratio_high"]
    assert (first["verdict"], first["model"], first["threads"]) == ("faster", "mlp", 1)
    assert first["p"] < 0.05
    assert first["baseline_latency_us"] == pytest.approx(4 * first["candidate_latency_us"])
    assert first["accuracy_difference"] == 0
    assert re.search("measured .* apart", first["differences"])
    assert str(pairs["ratio_low"].dtype) == "float64"


def test_a_comparison_without_results_is_an_error(twins: Path) -> None:
    with pytest.raises(RequestError, match="'int8' selects no measured precision"):
        compare("float32", "int8", workspace=twins)


def test_the_library_needs_neither_tensorflow_nor_ray(twins: Path) -> None:
    argv = [sys.executable, "-c", IMPORT_SCRIPT, str(twins)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True)
    before, after = ended.stdout.splitlines()
    assert not {"pandas", "sqlalchemy", "scipy"} & set(before.split())
    assert "pandas" in after.split()
    assert not {module.split(".")[0] for module in after.split()} & set(HEAVY)


def test_without_pandas_it_says_what_to_install() -> None:
    argv = [sys.executable, "-c", IMPORT_WITHOUT_PANDAS]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pip install 'bnn-harness[frames]'" in ended.stderr.splitlines()[-1]


def test_twins_are_the_pairs_that_compare_finds_if_any(
    twins: Path, engine: Engine, tmp_path: Path
) -> None:
    pd.testing.assert_frame_equal(
        report.twins(twins), compare("float32", "binary", workspace=twins)
    )
    nothing = tmp_path / "nothing"
    open_database(f"sqlite:///{nothing / 'harness.db'}").dispose()
    assert report.twins(nothing).empty


def test_twins_has_the_artifact_of_a_trial_that_was_measured_last(
    twins: Path, engine: Engine
) -> None:
    """Two people may train one trial; `compare` then refuses to choose between their artifacts."""
    _, outcome = store_trial(engine, precision=Precision.BINARY)
    other = replace(make_artifact(b"another machine's"), accuracy=0.8)
    with engine.begin() as connection:
        first = outcome.artifacts[0].sha256
        for table, column in ((artifacts, "sha256"), (trial_artifacts, "artifact")):
            of_first = select(table).where(table.c[column] == first)
            row = connection.execute(of_first).mappings().one()
            connection.execute(insert(table), {**row, column: other.sha256})
    measure(engine, make_case(other.sha256, "pi4"), latency_us=50.0)
    with pytest.raises(RequestError, match="selects several artifacts on pi4"):
        compare("float32", "binary", workspace=twins)
    candidates = report.twins(twins).set_index("device")["candidate_artifact"]
    assert candidates.to_dict() == {"pi4": other.sha256, "pi5": outcome.artifacts[0].sha256}


def test_a_workspace_may_be_named_by_its_database_file(twins: Path) -> None:
    assert len(results(twins / "harness.db")) == len(results(twins))


def test_a_value_that_is_not_a_time_is_an_error(twins: Path, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE measurements SET measured_at = 'yesterday'")
    with pytest.raises(
        RequestError, match=r"measured_at .*yesterday.*The harness did not write it"
    ):
        results(twins)
