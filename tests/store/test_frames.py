"""Data frames are the same from either database."""

from sqlalchemy import Engine

from harness.report import query, results
from tests.store.examples import fill

DTYPES = {
    "precision": "string",
    "size_bytes": "Int64",
    "latency_us": "float64",
    "measured_at": "datetime64[us, UTC]",
    "energy_uj": "float64",
    "classes_agree": "boolean",
}


def test_dtypes_follow_the_columns_types(url: str, engine: Engine) -> None:
    fill(engine)
    rows = results(url, sweep="study", device="here", model="mlp")
    assert sorted(rows["precision"]) == ["binary", "float32"]
    assert {name: str(dtype) for name, dtype in rows.dtypes.items() if name in DTYPES} == DTYPES
    assert sorted(rows["classes_agree"].dropna()) == [True], (
        "one of the two had its answers checked"
    )


def test_an_average_of_integers_is_a_float(url: str, engine: Engine) -> None:
    fill(engine)
    (mean,) = query("SELECT avg(number) AS mean FROM runs", url)["mean"]
    assert mean == 1.5
    assert isinstance(mean, float)
