"""The figures of a search, and its section of the page."""

from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from harness.report import query, search
from harness.report.page.content import read_content
from harness.report.page.page import render_page
from harness.report.search_figures import (
    first_looks,
    search_front,
    search_hypervolume,
    search_importance,
)
from harness.report.searches import SearchResult
from tests.dashboards.conftest import MADE_AT
from tests.sample_search import LIMIT_ON_PI4, POINTS


@pytest.fixture(scope="module")
def result(searched_home: Path) -> SearchResult:
    return search("search", searched_home)


def get_trace(figure: go.Figure, name: str) -> Any:
    """Return the trace of this name that has points; the legend's has none."""
    return next(trace for trace in figure.data if trace.name == name and trace.x[0] is not None)


def test_the_front_has_every_point_with_a_latency(result: SearchResult) -> None:
    figure = search_front(result)
    states = result.points["state"]
    feasible = get_trace(figure, "tried last")
    assert len(feasible.x) == (states == "done").sum()
    assert list(feasible.marker.color) == sorted(feasible.marker.color)
    never_trained = get_trace(figure, "infeasible, never trained")
    assert 0 < len(never_trained.x) <= (states == "infeasible").sum()
    assert max(never_trained.y) < min(feasible.y)
    front = get_trace(figure, "front")
    assert len(front.x) == result.points["on_front"].sum()
    assert {trace.name for trace in figure.data if trace.showlegend is not False} >= {
        "tried first",
        "tried last",
        "front",
        "front so far",
    }
    (limit,) = figure.layout.shapes
    assert limit.x0 == pytest.approx(LIMIT_ON_PI4.at_most / 1e6)


@pytest.mark.parametrize(("over", "unit"), [("worker_s", "min"), ("wall_s", "min")])
def test_the_hypervolume_starts_at_0_and_never_falls(
    result: SearchResult, over: str, unit: str
) -> None:
    (trace,) = search_hypervolume(result, over).data
    assert trace.y[0] == trace.x[0] == 0.0
    assert list(trace.y) == sorted(trace.y)
    assert 0.5 < trace.y[-1] <= 1.0
    assert f"({unit})" in search_hypervolume(result, over).layout.xaxis.title.text


def test_importance_has_a_panel_for_each_objective(result: SearchResult) -> None:
    accuracy, latency = search_importance(result).data
    assert accuracy.y[0] == "train.learning_rate"
    assert latency.y[0] == "model.units"
    assert latency.x[0] > 95
    assert len(search_importance(result, "accuracy").data) == 1


def test_first_looks_have_a_row_for_each_device(searched_home: Path) -> None:
    looks = query("first_looks", searched_home)
    figure = first_looks(looks[looks["model"] == "mlp"])
    assert set(get_trace(figure, "worst").y) == {"pi4, mlp", "pixel6, mlp"}
    assert max(get_trace(figure, "median").x) < 6


def test_without_a_search_each_figure_is_a_sentence() -> None:
    for figure in (search_front(None), search_hypervolume(None), search_importance(None)):
        assert "No search" in figure.layout.annotations[0].text
    assert "both before" in first_looks(pd.DataFrame()).layout.annotations[0].text


def test_the_page_has_a_section_for_the_search(searched_home: Path, html: str) -> None:
    page = render_page(read_content(searched_home, sweep="search"), "sample", made_at=MADE_AT)
    assert f"The front of search: {POINTS} points" in page
    for caption in ("What decides accuracy", "What decides latency on pi4", "First looks"):
        assert caption in page
    assert "it is 0 at accuracy" in page
    assert 'id="search"' not in html, "a page without a search has no such section"
