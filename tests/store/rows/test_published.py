from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import Engine, select

from harness.core.errors import RequestError
from harness.core.published import PublishedLatency
from harness.store.rows.published import PublishedRows
from harness.store.tables import published

LATENCY = PublishedLatency(
    "QuickNet",
    "binary",
    device="Pixel 1",
    threads=4,
    latency_ms=12.6,
    source="a paper",
    dated=date(2021, 6, 11),
    accuracy=0.633,
)
OTHERS = (
    replace(LATENCY, device="Pixel 2"),
    replace(LATENCY, threads=1, latency_ms=25.5),
    replace(LATENCY, source="another paper", latency_ms=13.0),
    replace(LATENCY, dated=date(2022, 1, 1), latency_ms=12.0),
)


def latencies(engine: Engine) -> list[float]:
    with engine.connect() as connection:
        return list(connection.scalars(select(published.c.latency_us).order_by(published.c.id)))


def test_latencies_are_stored_in_microseconds_with_source_and_day(engine: Engine) -> None:
    assert PublishedRows(engine).add([LATENCY]) == 1
    with engine.connect() as connection:
        (row,) = connection.execute(select(published)).mappings()
    assert row["latency_us"] == 12_600
    assert (row["model"], row["accuracy"], row["size_bytes"]) == ("QuickNet", 0.633, None)
    assert (row["source"], row["dated"]) == ("a paper", "2021-06-11")


def test_importing_twice_stores_nothing_twice(engine: Engine) -> None:
    rows = PublishedRows(engine)
    assert rows.add([LATENCY, LATENCY]) == 1
    assert rows.add([LATENCY, *OTHERS]) == len(OTHERS)
    assert rows.add([LATENCY, *OTHERS]) == 0
    assert latencies(engine) == [12_600, 12_600, 25_500, 13_000, 12_000]


def test_a_contradiction_of_an_earlier_import_is_refused_whole(engine: Engine) -> None:
    rows = PublishedRows(engine)
    rows.add([LATENCY])
    with pytest.raises(
        RequestError,
        match=r"latency_us is 10000\.0, but 12600\.0 was imported before\. Nothing was imported",
    ):
        rows.add([*OTHERS, replace(LATENCY, latency_ms=10.0)])
    assert latencies(engine) == [12_600]
