"""The front of a search, from the rows that another process writes."""

from pathlib import Path
from typing import Any

from harness.cli.actions.session import Session
from harness.cli.actions.watch import read_searches
from harness.report.terminal.front_rows import SearchSnapshot
from harness.report.terminal.work_view import FrontPoint
from harness.store.database import open_database
from harness.store.files.workspace import Workspace
from tests.store.searches import StoredSearch


def make_row(number: int, point: str, **columns: Any) -> dict[str, Any]:
    row = {"number": number, "point": point, "accuracy": 0.9, "size_bytes": 100.0}
    return {**row, "metric": None, "value": None, "on_front": 1, **columns}


def test_the_front_of_a_search_is_read_from_its_rows(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'harness.db'}")
    stored = StoredSearch(engine)
    stored.submit()
    for units, accuracy, latency_us in ((64, 0.6, 1000.0), (128, 0.9, 3000.0), (192, 0.8, 3500.0)):
        (trial,) = stored.begin(units, 0.001)
        stored.measure(stored.finish(trial, accuracy), "pi4", latency_us=latency_us)
        stored.look(trial, "pixel6", latency_us=900.0)
    stored.begin(256)
    session = Session(Workspace(tmp_path))
    (search,) = read_searches(session, ["another", "search"])
    session.close()
    engine.dispose()
    assert search.objectives == {"accuracy": "accuracy", "latency on pi4": "latency"}
    assert search.list_front() == (
        FrontPoint("model.units=128 train.learning_rate=0.001", ("90.0 %", "3.00 ms")),
        FrontPoint("model.units=64 train.learning_rate=0.001", ("60.0 %", "1.00 ms")),
    )


def test_points_of_a_grid_are_told_apart_by_what_differs() -> None:
    search = SearchSnapshot(
        "grid",
        {"size": "size"},
        rows=[
            make_row(1, '{"model": {"layers": 1, "units": 8}, "train": {"epochs": 2}}'),
            make_row(2, '{"model": {"layers": 2, "units": 8}, "train": {"epochs": 2}}', on_front=0),
        ],
    )
    assert search.list_front() == (FrontPoint("model.layers=1", ("100 B",)),)


def test_a_single_point_is_described_in_full() -> None:
    search = SearchSnapshot("one", {"size": "size"}, rows=[make_row(1, '{"model.units": 8}')])
    assert search.list_front() == (FrontPoint("model.units=8", ("100 B",)),)
