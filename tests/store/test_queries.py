"""The named queries of db/queries, on SQLite and PostgreSQL, each on rows with a known answer."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, update

from harness.core.bench import PROTOCOLS, Case, ModelInput, Tool
from harness.core.device import LocalDevice
from harness.core.errors import CaseFailed, Reason, RequestError
from harness.core.ids import sha256_of
from harness.core.sweep import Precision, Trial
from harness.store.database import open_read_only
from harness.store.queries import ParameterValue, find_named_query, load_named_queries
from harness.store.reading import QueryLimits, QueryResult, check_names, run_query
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.trials import TrialRows
from harness.store.tables import measurements
from tests.store.examples import TOOL, make_measurement_from, make_outcome, make_sweep, make_trial

BINARY, FLOAT = Precision.BINARY, Precision.FLOAT32
NEWER_TOOL = replace(TOOL, sha256=sha256_of(b"a newer build"))
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"


@pytest.fixture
def reader(url: str, engine: Engine) -> Iterator[Engine]:
    reader = open_read_only(url)
    yield reader
    reader.dispose()


def make_artifact(
    engine: Engine,
    units: int = 64,
    precision: Precision = BINARY,
    accuracy: float = 0.9,
    size: int = 160,
    seed: int = 0,
) -> str:
    """Store a finished trial, and return its artifact's SHA-256."""
    base = make_trial(seed, precision)
    trial: Trial = replace(base, parameters={"units": units}, chosen={"units": units})
    outcome = make_outcome(trial, trial.id.encode().ljust(size, b"x"), accuracy=accuracy)
    rows = TrialRows(engine)
    rows.submit(make_sweep(trial), [])
    rows.finish(outcome)
    return outcome.artifacts[0].sha256


def bench(
    engine: Engine,
    artifact: str,
    latency_us: float,
    device: str = "pi4",
    *,
    tool: Tool = TOOL,
    threads: int = 1,
    at: str = "2026-01-01T00:00:00.000Z",
    energy_uj: float | None = None,
    inputs: tuple[ModelInput, ...] = (),
) -> None:
    protocol = replace(PROTOCOLS["quick"], threads=threads)
    case = Case(artifact, device, tool=tool, protocol=protocol, inputs=inputs)
    measurement = replace(make_measurement_from(case, [latency_us] * 2), measured_at=at)
    summary = replace(measurement.summary, energy_uj=energy_uj, temperature_c=50.0)
    CaseRows(engine).finish("ssh", replace(measurement, summary=summary))


def ask(reader: Engine, name: str, **values: ParameterValue) -> list[dict[str, Any]]:
    query = load_named_queries()[name]
    return run_query(reader, query.sql, values=query.parse_values(values)).records()


def pick(rows: list[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    """Return the values of these columns, row by row."""
    return [tuple(map(row.__getitem__, columns)) for row in rows]


def test_the_pareto_front_has_unbeaten_variants_and_averages_seeds(
    engine: Engine, reader: Engine
) -> None:
    slow_but_good = make_artifact(engine, 256, precision=FLOAT, accuracy=0.95, size=1000)
    fast = make_artifact(engine, 64, precision=BINARY, accuracy=0.85, size=200)
    other_seed = make_artifact(engine, 64, precision=BINARY, accuracy=0.87, size=200, seed=1)
    beaten = make_artifact(engine, 128, precision=BINARY, accuracy=0.80, size=300)
    for artifact, latency in (
        (slow_but_good, 400.0),
        (fast, 100.0),
        (other_seed, 110.0),
        (beaten, 200.0),
    ):
        bench(engine, artifact, latency_us=latency)
    bench(engine, beaten, latency_us=50.0, device="pi5")
    assert pick(ask(reader, "pareto"), "device", "seeds", "accuracy", "latency_us") == [
        ("pi4", 1, pytest.approx(0.95), 400.0),
        ("pi4", 2, pytest.approx(0.86), 105.0),
        ("pi5", 1, pytest.approx(0.80), 50.0),
    ]
    assert pick(ask(reader, "pareto", device="pi5"), "device") == [("pi5",)]
    assert ask(reader, "pareto", dataset="another") == []


def test_trials_lead_to_the_accuracy_of_artifacts_that_nobody_measured(
    engine: Engine, reader: Engine
) -> None:
    better = make_artifact(engine, 64, precision=BINARY, accuracy=0.95, size=300)
    worse = make_artifact(engine, 32, precision=BINARY, accuracy=0.85, size=200)
    bench(engine, worse, latency_us=100.0)
    rows = ask(reader, "trials")
    assert pick(rows, "artifact", "accuracy", "size_bytes", "status") == [
        (better, pytest.approx(0.95), 300, "done"),
        (worse, pytest.approx(0.85), 200, "done"),
    ]
    assert ask(reader, "trials", sweep="another") == []


def test_speedups_are_by_twin_and_by_device(engine: Engine, reader: Engine) -> None:
    for units, times in ((32, 2.0), (64, 3.0), (128, 10.0)):
        bench(engine, make_artifact(engine, units, precision=BINARY), latency_us=100.0)
        bench(engine, make_artifact(engine, units, precision=FLOAT), latency_us=100.0 * times)
    assert sorted(pick(ask(reader, "binary_vs_float"), "times_faster")) == [
        (2.0,),
        (3.0,),
        (10.0,),
    ]
    columns = ("device", "twins", "median_times_faster", "least", "most")
    assert pick(ask(reader, "speedup_by_device"), *columns) == [("pi4", 3, 3.0, 2.0, 10.0)]
    bench(engine, make_artifact(engine, 256, precision=BINARY), latency_us=100.0)
    bench(engine, make_artifact(engine, 256, precision=FLOAT), latency_us=500.0)
    assert pick(ask(reader, "speedup_by_device"), *columns) == [("pi4", 4, 4.0, 2.0, 10.0)]
    assert ask(reader, "speedup_by_device", candidate="int8") == []


def test_the_fastest_variant_is_one_that_is_accurate_enough(engine: Engine, reader: Engine) -> None:
    bench(engine, make_artifact(engine, 64, precision=BINARY, accuracy=0.7), latency_us=100.0)
    bench(engine, make_artifact(engine, 64, precision=FLOAT, accuracy=0.9), latency_us=300.0)
    columns = ("device", "precision", "latency_us")
    assert pick(ask(reader, "fastest_per_device"), *columns) == [("pi4", "binary", 100.0)]
    assert pick(ask(reader, "fastest_per_device", min_accuracy=0.8), *columns) == [
        ("pi4", "float32", 300.0)
    ]
    assert ask(reader, "fastest_per_device", min_accuracy=0.8, precision="binary") == []


def test_a_regression_compares_the_newest_measurement_with_an_older_one(
    engine: Engine, reader: Engine
) -> None:
    worse, same = make_artifact(engine, 64), make_artifact(engine, 128)
    for artifact, now_us in ((worse, 130.0), (same, 100.5)):
        bench(engine, artifact, latency_us=100.0, at="2026-01-01T00:00:00.000Z")
        bench(engine, artifact, latency_us=now_us, tool=NEWER_TOOL, at="2026-02-01T00:00:00.000Z")
    columns = ("artifact", "old_latency_us", "latency_us", "tool_sha256")
    expected = [(worse, 100.0, 130.0, NEWER_TOOL.sha256)]
    assert pick(ask(reader, "regressions"), *columns) == expected
    assert pick(ask(reader, "regressions", date="2026-01-15"), *columns) == expected
    by_tool = {"old_tool": TOOL.sha256[:8], "new_tool": NEWER_TOOL.sha256[:8]}
    assert pick(ask(reader, "regressions", **by_tool), *columns) == expected
    assert ask(reader, "regressions", old_tool=NEWER_TOOL.sha256) == []
    assert ask(reader, "regressions", date="2026-03-01") == []
    assert ask(reader, "regressions", over=0.5) == []
    assert ask(reader, "regressions", device="pi5") == []


def test_measurements_with_other_inputs_are_never_compared(engine: Engine, reader: Engine) -> None:
    artifact = make_artifact(engine)
    small, large = (ModelInput("image", (1, size, size, 3), resized=True) for size in (16, 224))
    bench(engine, artifact, latency_us=10.0, inputs=(small,), at="2026-01-01T00:00:00.000Z")
    bench(engine, artifact, latency_us=500.0, inputs=(large,), at="2026-01-02T00:00:00.000Z")
    bench(engine, artifact, latency_us=100.0, at="2026-01-03T00:00:00.000Z")
    bench(engine, artifact, latency_us=50.0, threads=4, at="2026-01-03T00:00:00.000Z")
    assert ask(reader, "regressions") == []
    assert pick(ask(reader, "scaling"), "threads", "times_one_thread") == [(1, 1.0), (4, 2.0)]

    bench(engine, artifact, latency_us=20.0, inputs=(small,), at="2026-01-04T00:00:00.000Z")
    (slower,) = ask(reader, "regressions")
    assert (slower["ratio"], '"shape": [1, 16, 16, 3]' in slower["inputs"]) == (2.0, True)


def test_twins_and_seeds_are_joined_by_their_inputs(engine: Engine, reader: Engine) -> None:
    batch = (ModelInput("image", (8, 28, 28, 1), resized=True),)
    binary = make_artifact(engine, 64, precision=BINARY)
    twin = make_artifact(engine, 64, precision=FLOAT)
    bench(engine, binary, latency_us=100.0)
    bench(engine, binary, latency_us=500.0, inputs=batch)
    bench(engine, twin, latency_us=300.0)
    bench(engine, twin, latency_us=1000.0, inputs=batch)
    assert sorted(pick(ask(reader, "binary_vs_float"), "times_faster")) == [(2.0,), (3.0,)]
    assert pick(ask(reader, "speedup_by_device"), "twins", "least", "most") == [(2, 2.0, 3.0)]
    assert {100.0, 500.0} <= {row["latency_us"] for row in ask(reader, "pareto")}


@pytest.mark.parametrize(
    ("inputs", "work"),
    [
        ((), 4096),
        ((ModelInput("words", (1, 12), low=0, high=99),), 4096),
        ((ModelInput("image", (8, 28, 28, 1), resized=True),), None),
    ],
)
def test_the_work_for_another_shape_of_the_inputs_is_unknown(
    engine: Engine, reader: Engine, inputs: tuple[ModelInput, ...], work: int | None
) -> None:
    bench(engine, make_artifact(engine), latency_us=10.0, inputs=inputs)
    (row,) = run_query(reader, "SELECT float_macs FROM results").records()
    assert row["float_macs"] == work


def test_coverage_lists_missing_queued_failed_and_stale_artifacts(
    engine: Engine, reader: Engine
) -> None:
    good, missing, failed, stale, queued = (
        make_artifact(engine, units) for units in (1, 2, 3, 4, 5)
    )
    pi4 = LocalDevice(id="pi4")
    bench(engine, stale, latency_us=100.0, at="2026-01-01T00:00:00.000Z")
    bench(engine, good, latency_us=100.0, tool=NEWER_TOOL, at="2026-02-01T00:00:00.000Z")
    for message in ("What failed before.", "Too long."):
        failing = Case(failed, "pi4", tool=TOOL, protocol=PROTOCOLS["quick"])
        CaseRows(engine).fail(failing, "ssh", failure=CaseFailed(Reason.TIMEOUT, message, log=""))
    DeviceRows(engine).set_aside(pi4, CaseFailed(Reason.NO_SPACE, "No space left."))
    DeviceRows(engine).enqueue({"pi4": [(queued, PROTOCOLS["quick"])]})
    states = {row["artifact"]: row["state"].partition(":")[0] for row in ask(reader, "coverage")}
    assert states == {missing: "missing", failed: "failed", stale: "stale", queued: "queued"}
    assert good in {row["artifact"] for row in ask(reader, "coverage", since="2026-03-01")}
    assert ask(reader, "coverage", sweep="another") == []
    assert pick(ask(reader, "coverage", device="pi4"), "message").count(("Too long.",)) == 1
    bench(
        engine, good, latency_us=100.0, device="pi5"
    )  # of which its rows alone are here, as after an import
    assert {row["state"] for row in ask(reader, "coverage", device="pi5")} == {"missing"}


def test_energy_scaling_variance_and_history(engine: Engine, reader: Engine) -> None:
    artifact = make_artifact(engine)
    bench(engine, artifact, latency_us=100.0, energy_uj=300.0)
    bench(engine, artifact, latency_us=40.0, threads=4)
    assert pick(ask(reader, "energy"), "energy_uj", "power_w") == [(300.0, 3.0)]
    scaled = pick(ask(reader, "scaling", model="mlp"), "threads", "times_one_thread", "ns_per_mac")
    assert scaled == [(1, 1.0, pytest.approx(1e5 / 12928)), (4, 2.5, pytest.approx(4e4 / 12928))]
    assert sorted(pick(ask(reader, "variance"), "threads", "spread")) == [(1, 0.0), (4, 0.0)]
    assert len(ask(reader, "history", artifact=artifact[:6])) == 2
    assert ask(reader, "history", device="pi5") == []


def test_results_shows_the_newest_measurement_by_its_time_not_by_its_row(
    engine: Engine, reader: Engine
) -> None:
    artifact = make_artifact(engine)
    bench(engine, artifact, latency_us=100.0, at="2026-02-01T00:00:00.000Z")
    bench(engine, artifact, latency_us=900.0, at="2026-01-01T00:00:00.000Z")
    assert run_query(reader, "SELECT latency_us FROM results").values == ((100.0,),)
    with engine.begin() as connection:
        connection.execute(
            update(measurements).where(measurements.c.latency_us == 100.0).values(valid=False)
        )
    assert run_query(reader, "SELECT latency_us FROM results").values == ((900.0,),)


@pytest.mark.parametrize("name", sorted(load_named_queries()))
def test_every_named_query_runs_with_its_parameters(
    engine: Engine, reader: Engine, name: str
) -> None:
    bench(engine, make_artifact(engine), latency_us=100.0)
    query = load_named_queries()[name]
    defaults = {key: parameter.default for key, parameter in query.parameters.items()}
    assert run_query(reader, query.sql, values=query.parse_values({})) == run_query(
        reader, query.sql, values=query.parse_values(defaults)
    )
    quoted = {
        key: "it's" for key, parameter in query.parameters.items() if parameter.kind == "text"
    }
    assert isinstance(
        run_query(reader, query.sql, values=query.parse_values(quoted)), QueryResult
    ), "values are bound, not pasted"


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    query = load_named_queries()["fastest_per_device"]
    with pytest.raises(RequestError, match=r"^--param colour: .* min_accuracy, precision\.$"):
        query.parse_values({"colour": "blue"})
    with pytest.raises(RequestError, match=r"^--param device: .* It has none\.$"):
        load_named_queries()["queue"].parse_values({"device": "pi4"})


def test_a_query_is_found_by_its_name_and_other_text_is_sql() -> None:
    query = find_named_query("pareto")
    assert query is not None
    assert query.name == "pareto"
    assert find_named_query("SELECT 1") is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("paretto", "Unknown query 'paretto'. Did you mean 'pareto'?"),
        ("zzz", "Unknown query 'zzz'. Known queries: binary_vs_float, canaries, "),
    ],
)
def test_an_unknown_query_is_refused_with_the_closest_name(name: str, message: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(message)}"):
        find_named_query(name)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "fastest_per_device",
            {"min_accuracy": "high"},
            "min_accuracy=high: expected a number from 0 to 1 (",
        ),
        (
            "fastest_per_device",
            {"min_accuracy": "nan"},
            "min_accuracy=nan: expected a number from 0 to 1 (",
        ),
        (
            "fastest_per_device",
            {"min_accuracy": 88.5},
            "min_accuracy=88.5: expected a number from 0 to 1 (",
        ),
        (
            "fastest_per_device",
            {"precision": "bin"},
            "precision=bin: expected binary, float32 or int8 (",
        ),
        (
            "speedup_by_device",
            {"baseline": "float64"},
            "baseline=float64: expected binary, float32 or int8 (",
        ),
        ("coverage", {"since": "rubbish"}, "since=rubbish: expected a date such as 2024-12-31 ("),
        (
            "regressions",
            {"date": "yesterday"},
            "date=yesterday: expected a date such as 2024-12-31 (",
        ),
        ("regressions", {"over": "inf"}, "over=inf: expected a number ("),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(
    name: str, value: dict[str, ParameterValue], message: str
) -> None:
    with pytest.raises(RequestError, match=f"^--param {re.escape(message)}"):
        load_named_queries()[name].parse_values(value)


def test_other_parameters_have_their_defaults() -> None:
    query = load_named_queries()["fastest_per_device"]
    assert query.parse_values({"min_accuracy": "0.5"}) == {"min_accuracy": 0.5, "precision": ""}


def test_an_unknown_name_is_refused_with_the_closest_name(engine: Engine, reader: Engine) -> None:
    bench(engine, make_artifact(engine), latency_us=100.0, device="pi4-kitchen")
    check_names(
        reader,
        {"device": "pi4-kitchen", "sweep": "study", "dataset": "digits", "model": "", "over": 0.1},
    )
    with pytest.raises(
        RequestError,
        match=r"^--param device=pi4-kitchn: unknown device\. Did you mean 'pi4-kitchen'\?$",
    ):
        check_names(reader, {"device": "pi4-kitchn"})
    with pytest.raises(RequestError, match=r"^--param model=resnet: unknown model\. Known: mlp\.$"):
        check_names(reader, {"model": "resnet"})


def test_an_artifact_is_found_by_the_start_of_its_hash_alone(
    engine: Engine, reader: Engine
) -> None:
    artifact = make_artifact(engine)
    bench(engine, artifact, latency_us=100.0)
    assert len(ask(reader, "history", artifact=artifact[:6].upper())) == 1
    for other in ("%", "_" * 64, artifact[1:7]):
        assert ask(reader, "history", artifact=other) == []


def test_numbers_and_booleans_are_the_same_on_both_databases(
    engine: Engine, reader: Engine
) -> None:
    bench(engine, make_artifact(engine), latency_us=100.0)
    (row,) = run_query(
        reader, "SELECT sum(size_bytes) AS total, avg(threads) AS mean, 1.5 AS half FROM results"
    ).records()
    assert {name: (type(value), value) for name, value in row.items()} == {
        "total": (int, 160),
        "mean": (float, 1.0),
        "half": (float, 1.5),
    }
    (measured_once,) = ask(reader, "history")
    assert type(measured_once["valid"]) is int


def test_a_missing_value_is_reported(reader: Engine) -> None:
    with pytest.raises(RequestError, match=r"cannot be run.*device"):
        run_query(reader, "SELECT :device AS device", values={"colour": "blue"})


def test_an_endless_query_is_interrupted_and_the_next_one_runs(reader: Engine) -> None:
    with pytest.raises(RequestError, match=r"longer than 0\.2 s.*--timeout"):
        run_query(reader, ENDLESS.format("count(*)"), limits=QueryLimits(seconds=0.2))
    with pytest.raises(RequestError, match=r"longer than 0\.2 s"):
        run_query(reader, ENDLESS.format("i"), limits=QueryLimits(seconds=0.2))
    assert run_query(reader, "SELECT 1 AS one", limits=QueryLimits(seconds=60)).values == ((1,),)


@pytest.mark.parametrize("rows", [1, 999, 1_000, 2_500])
def test_a_result_over_the_limit_is_truncated(reader: Engine, rows: int) -> None:
    cut = run_query(reader, ENDLESS.format("i"), limits=QueryLimits(rows=rows))
    assert (len(cut.values), cut.is_truncated) == (rows, True)
    whole = run_query(reader, f"{ENDLESS.format('i')} LIMIT {rows}", limits=QueryLimits(rows=rows))
    assert (len(whole.values), whole.is_truncated) == (rows, False)
