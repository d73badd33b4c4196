"""Data frames are the same of either database."""

from sqlalchemy import Engine

from harness.report import query, results
from tests.store.examples import fill

KINDS = {
    "precision": "string",
    "size_bytes": "Int64",
    "latency_us": "float64",
    "measured_at": "datetime64[us, UTC]",
    "energy_uj": "float64",
    "classes_agree": "boolean",
}


def test_types_are_those_of_the_columns(url: str, engine: Engine) -> None:
    fill(engine)
    rows = results(url, sweep="study", device="here", model="mlp")
    assert sorted(rows["precision"]) == ["binary", "float32"]
    assert {name: str(kind) for name, kind in rows.dtypes.items() if name in KINDS} == KINDS
    assert sorted(rows["classes_agree"].dropna()) == [True], (
        "of one of the two, the answers were checked"
    )


def test_an_average_of_whole_numbers_is_a_number(url: str, engine: Engine) -> None:
    fill(engine)
    (mean,) = query("SELECT avg(number) AS mean FROM runs", url)["mean"]
    assert mean == 1.5
    assert isinstance(mean, float)
