from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import Engine, select

from harness.core.errors import RequestError
from harness.core.published import PublishedLatency
from harness.store.rows.published import PublishedRows
from harness.store.tables import published

NUMBER = PublishedLatency(
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
    replace(NUMBER, device="Pixel 2"),
    replace(NUMBER, threads=1, latency_ms=25.5),
    replace(NUMBER, source="another paper", latency_ms=13.0),
    replace(NUMBER, dated=date(2022, 1, 1), latency_ms=12.0),
)


def latencies(engine: Engine) -> list[float]:
    with engine.connect() as connection:
        return list(connection.scalars(select(published.c.latency_us).order_by(published.c.id)))


def test_numbers_are_kept_in_microseconds_with_source_and_day(engine: Engine) -> None:
    assert PublishedRows(engine).add([NUMBER]) == 1
    with engine.connect() as connection:
        (row,) = connection.execute(select(published)).mappings()
    assert row["latency_us"] == 12_600
    assert (row["model"], row["accuracy"], row["size_bytes"]) == ("QuickNet", 0.633, None)
    assert (row["source"], row["dated"]) == ("a paper", "2021-06-11")


def test_importing_twice_makes_no_doubles(engine: Engine) -> None:
    rows = PublishedRows(engine)
    assert rows.add([NUMBER, NUMBER]) == 1
    assert rows.add([NUMBER, *OTHERS]) == len(OTHERS)
    assert rows.add([NUMBER, *OTHERS]) == 0
    assert latencies(engine) == [12_600, 12_600, 25_500, 13_000, 12_000]


def test_another_number_of_the_same_source_and_day_is_refused_whole(engine: Engine) -> None:
    rows = PublishedRows(engine)
    rows.add([NUMBER])
    with pytest.raises(
        RequestError,
        match=r"latency_us is 10000\.0, but 12600\.0 was imported before\. Nothing was imported",
    ):
        rows.add([*OTHERS, replace(NUMBER, latency_ms=10.0)])
    assert latencies(engine) == [12_600]
