import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import compare, query, results
from harness.report.figures import (
    binary_against_float,
    front,
    smaller_for_points,
    trade_offs,
    training_curves,
    variants,
)
from harness.report.health import (
    anatomy,
    canary_trend,
    coverage,
    freshness,
    noise,
    temperature_against_latency,
)
from harness.report.style import MOST_SVG_POINTS, PRECISIONS, Axis, safe
from tests.sample import EPOCHS, MODELS

Frames = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def frames(home: Path) -> Frames:
    named = ("curves", "canaries", "op_profile", "coverage")
    asked = {name: query(name, home) for name in named}
    return {
        **asked,
        "results": results(home),
        "pairs": compare("float32", "binary", workspace=home),
    }


FIGURES: dict[str, Callable[[Frames], go.Figure]] = {
    "accuracy against latency": lambda frames: trade_offs(frames["results"]),
    "accuracy against size": lambda frames: trade_offs(frames["results"], "size_bytes"),
    "accuracy against energy": lambda frames: trade_offs(frames["results"], "energy_uj"),
    "binary against float": lambda frames: binary_against_float(frames["pairs"]),
    "smaller for points": lambda frames: smaller_for_points(frames["pairs"]),
    "accuracy curves": lambda frames: training_curves(frames["curves"]),
    "loss curves": lambda frames: training_curves(frames["curves"], "loss"),
    "coverage": lambda frames: coverage(frames["coverage"], frames["results"]),
    "freshness": lambda frames: freshness(frames["results"]),
    "noise": lambda frames: noise(frames["results"]),
    "canaries": lambda frames: canary_trend(frames["canaries"]),
    "temperature": lambda frames: temperature_against_latency(frames["canaries"]),
    "anatomy": lambda frames: anatomy(frames["op_profile"], frames["results"]),
}
every_figure = pytest.mark.parametrize("name", FIGURES)


def axes(figure: go.Figure) -> Iterator[Any]:
    yield from figure.select_xaxes()
    yield from figure.select_yaxes()


def points(figure: go.Figure) -> list[Any]:
    """The traces that hold data: no lines, and nothing that stands for the legend alone."""
    return [trace for trace in figure.data if trace.mode == "markers" and trace.x[0] is not None]


@every_figure
def test_every_axis_has_a_unit_in_its_title_or_names_as_labels(name: str, frames: Frames) -> None:
    for axis in axes(FIGURES[name](frames)):
        assert axis.type == "category" or re.search(r"\(.+\)$", axis.title.text), axis.title.text


@every_figure
def test_without_rows_a_sentence_says_why_and_what_to_run(name: str, frames: Frames) -> None:
    figure = FIGURES[name]({key: frame.iloc[:0] for key, frame in frames.items()})
    assert not figure.data
    (said,) = figure.layout.annotations
    assert re.search(r"<b>[a-z].+</b>", said.text.replace("<br>", " ")), said.text
    assert said.text.endswith(".")


@every_figure
def test_every_panel_has_data(name: str, frames: Frames) -> None:
    figure = FIGURES[name](frames)
    filled = {(trace.xaxis or "x", trace.yaxis or "y") for trace in figure.data}
    assert len(filled) == len(list(figure.select_xaxes()))


@every_figure
def test_what_a_legend_names_once_has_one_look_and_no_other_has_it(
    name: str, frames: Frames
) -> None:
    entries = [
        trace
        for trace in FIGURES[name](frames).data
        if trace.showlegend is not False and trace.name
    ]
    looks = [(trace.marker.color or trace.line.color, _shape(trace)) for trace in entries]
    assert len({trace.name for trace in entries}) == len(entries)
    for part in zip(*looks, strict=True):  # colour alone tells them apart, and so does shape alone
        assert len(set(map(str, part))) == len(entries)


def _shape(trace: Any) -> Any:
    if trace.type == "bar":
        return trace.marker.pattern.shape
    return (trace.mode, trace.line.dash if trace.mode == "lines" else trace.marker.symbol)


def test_precisions_differ_in_colour_and_in_marker() -> None:
    for part in ("color", "symbol"):
        assert len({getattr(look, part) for look in PRECISIONS.values()}) == len(PRECISIONS)


@pytest.mark.parametrize("against", ["latency_us", "size_bytes", "energy_uj"])
def test_every_result_with_an_accuracy_is_a_point_with_its_interval(
    against: str, frames: Frames
) -> None:
    known = frames["results"].dropna(subset=[against])
    figure = trade_offs(frames["results"], against)
    drawn = [x for trace in points(figure) for x in trace.x]
    scale = 1 if against == "size_bytes" else 1e-6
    assert sorted(drawn) == pytest.approx(sorted(known[against].astype(float) * scale))
    if against != "size_bytes":
        bounds = (
            known[against.replace("_uj", "_high_uj").replace("_us", "_high_us")] - known[against]
        )
        bars = [bar for trace in points(figure) for bar in trace.error_x.array]
        assert sorted(bars) == pytest.approx(sorted(bounds * scale))


def test_a_panel_is_of_one_device_and_one_data_set(frames: Frames) -> None:
    rows = frames["results"]
    twice = pd.concat([rows, rows.assign(dataset="digits")])
    titles = [one.text for one in trade_offs(twice).layout.annotations]
    assert titles == [
        f"{model}, {data}"
        for model in sorted(set(rows["device"]))
        for data in ("digits", "fashion_mnist")
    ]


def test_the_hover_tells_trial_variant_interval_and_quality(frames: Frames) -> None:
    rows = frames["results"].query("device == 'pi5' and threads == 1 and precision == 'binary'")
    told = "\n".join(text for trace in points(trade_offs(rows)) for text in trace.text)
    for trial, quality in zip(rows["trial"], rows["quality"], strict=True):
        assert trial in told
        assert f"quality: {quality.partition(':')[0]}" in told
    assert "<b>mlp units=4096 seed=0</b> binary" in told
    assert re.search(r"723 µs|72\d µs \(7\d\d µs … 7\d\d µs\)", told)


def test_a_result_with_a_warning_is_hollow_where_it_was_measured(frames: Frames) -> None:
    rows = frames["results"]
    for against, warned in (("latency_us", (rows["quality"] != "ok").sum()), ("size_bytes", 0)):
        symbols = [
            symbol for trace in points(trade_offs(rows, against)) for symbol in trace.marker.symbol
        ]
        assert sum(symbol.endswith("-open") for symbol in symbols) == warned


numbers = st.floats(0.1, 1e6)
costs_and_gains = st.lists(
    st.tuples(numbers | st.sampled_from([1.0, 2.0]), numbers | st.just(3.0)), min_size=1
)


@given(costs_and_gains)
def test_the_front_is_what_no_other_point_beats(found: list[tuple[float, float]]) -> None:
    costs, gains = (np.array(part) for part in zip(*found, strict=True))
    on = {(costs[at], gains[at]) for at in front(costs, gains)}
    beaten = {
        one
        for one in found
        if any(cost <= one[0] and gain >= one[1] and (cost, gain) != one for cost, gain in found)
    }
    assert on == set(found) - beaten
    assert len(front(costs, gains)) == len(on), "each once"


def test_the_drawn_front_is_that_of_its_panel(frames: Frames) -> None:
    rows = frames["results"].query("device == 'pixel6'")
    (line,) = [trace for trace in trade_offs(rows).data if trace.name == "Pareto front"]
    drawn = set(zip(line.x, line.y, strict=True))
    on = front(rows["latency_us"].to_numpy(), rows["accuracy"].to_numpy())
    assert drawn == {
        (x * 1e-6, 100 * y) for x, y in rows.iloc[on][["latency_us", "accuracy"]].to_numpy()
    }


@given(st.floats(1e-9, 1e9), st.floats(1, 1e6))
def test_a_log_axis_has_labels_in_its_unit_within_its_range(least: float, times: float) -> None:
    axis = Axis("x", "x", unit="s", si=True, log=True).around(
        np.array([least, np.nan, least * times])
    )
    marks, (low, high) = [log10(mark) for mark in axis["tickvals"]], axis["range"]
    assert low < log10(least) <= log10(least * times) < high
    assert high - low <= 1.2 * log10(times) + 0.05, "it follows the data"
    assert 1 <= len(marks) <= 5
    assert low - 1e-9 <= marks[0]
    assert marks[-1] <= high + 1e-9
    assert all((other - one) / (high - low) > 0.2 for one, other in pairwise(marks)), (
        "50 of 250 px for each label"
    )
    assert all(text.endswith("s") for text in axis["ticktext"])
    assert len(set(axis["ticktext"])) == len(marks)


@pytest.mark.parametrize(
    ("sizes", "labels"),
    [
        ([38e6], ["37 MB", "38 MB", "39 MB"]),
        ([34e6, 40e6], ["35 MB", "40 MB"]),
        ([1.2e3, 9e3], ["2 kB", "5 kB", "10 kB"]),
        ([1e3, 1e8], ["10 kB", "1 MB", "100 MB"]),
    ],
)
def test_a_log_axis_has_a_few_round_labels(sizes: list[float], labels: list[str]) -> None:
    assert Axis("x", "x", unit="B", si=True, log=True).around(np.array(sizes))["ticktext"] == labels


@pytest.mark.parametrize("against", ["latency_us", "energy_uj"])
def test_intervals_are_within_the_range_of_their_axis(against: str, frames: Frames) -> None:
    rows = frames["results"].query("device == 'pi5'")
    low, high = trade_offs(rows, against).layout.xaxis.range
    ends = [
        rows[against.replace("_u", f"_{end}_u")].astype(float) * 1e-6 for end in ("low", "high")
    ]
    assert low < log10(ends[0].min()) < log10(ends[1].max()) < high


def test_a_hundred_thousand_results_are_all_there_and_drawn_by_webgl(frames: Frames) -> None:
    rows = frames["results"]
    many = pd.concat([rows] * (100_000 // len(rows) + 1), ignore_index=True)
    traces = points(trade_offs(many))
    assert sum(len(trace.x) for trace in traces) == len(many)
    assert {trace.type for trace in traces} == {"scattergl"}
    assert len(rows) < MOST_SVG_POINTS
    assert {trace.type for trace in points(trade_offs(rows))} == {"scatter"}


def test_speed_ups_are_the_ratios_the_other_way_round_within_their_intervals(
    frames: Frames,
) -> None:
    pairs = frames["pairs"]
    traces = points(binary_against_float(pairs))
    drawn = [
        (y, y - less, y + more)
        for t in traces
        for y, less, more in zip(t.y, t.error_y.arrayminus, t.error_y.array, strict=True)
    ]
    assert sorted(y for y, _, _ in drawn) == pytest.approx(sorted(1 / pairs["ratio"]))
    assert sorted(low for _, low, _ in drawn) == pytest.approx(sorted(1 / pairs["ratio_high"]))
    assert all(low <= y <= high for y, low, high in drawn)


def test_a_pair_stands_once_where_devices_do_not_matter(frames: Frames) -> None:
    (trace,) = smaller_for_points(frames["pairs"]).data
    assert len(trace.x) == frames["pairs"]["candidate_artifact"].nunique()


def test_each_trial_has_a_line_of_its_own_in_the_trace_of_its_precision(frames: Frames) -> None:
    curves = frames["curves"]
    for trace in training_curves(curves).data:
        of_precision = curves[curves["precision"] == trace.name]
        lines = "".join("|" if np.isnan(y) else "." for y in trace.y).split("|")
        assert [len(line) for line in lines] == [EPOCHS] * of_precision["trial"].nunique() + [0]


def test_coverage_counts_every_artifact_on_every_device_once(frames: Frames) -> None:
    figure = coverage(frames["coverage"], frames["results"])
    bars = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data}
    artifacts = frames["results"]["artifact"].nunique()
    for model in MODELS:
        assert sum(bar[model.device.id] for bar in bars.values()) == artifacts
    assert bars["queued"]["galaxy-s21"] == 7
    assert bars["failed"]["pi4-b"] == 2


def test_freshness_counts_every_result_on_its_day(frames: Frames) -> None:
    (trace,) = freshness(frames["results"]).data
    assert sum(trace.customdata) == len(frames["results"])


def test_a_single_day_has_whole_days_around_it(frames: Frames) -> None:
    rows = frames["results"].query("device == 'pi5'")
    axis = freshness(rows).layout.xaxis
    first, last = (pd.Timestamp(end) for end in axis.range)
    assert rows["measured_at"].dt.floor("D").nunique() == 1
    assert last - first == pd.Timedelta(days=3)
    assert first < rows["measured_at"].min() < last
    assert (last - first) / axis.nticks > pd.Timedelta(hours=12), "below which plotly marks hours"


def test_a_single_canary_has_minutes_around_it(frames: Frames) -> None:
    one = frames["canaries"].head(1)
    first, last = (pd.Timestamp(end) for end in canary_trend(one).layout.xaxis.range)
    assert first < one["measured_at"].iloc[0] < last
    assert last - first == pd.Timedelta(hours=1)


@pytest.mark.parametrize("name", ["coverage", "freshness", "noise"])
def test_devices_with_long_names_stay_apart_in_short_lines(name: str, frames: Frames) -> None:
    ids = [f"board-{'x' * 180}-rack-7", f"board-{'x' * 90}y{'x' * 90}-rack-7"]
    long = {
        key: frame.assign(device=frame["device"].replace(["pi4-a", "pi4-b"], ids))
        if "device" in frame
        else frame
        for key, frame in frames.items()
    }
    axis = FIGURES[name](long).layout.yaxis
    assert set(ids) < set(axis.tickvals)
    assert len(axis.tickvals) == len(MODELS)
    for text in axis.ticktext:
        assert len(text.split("<br>")) <= 2
        assert all(len(line) <= 20 for line in text.split("<br>"))


def test_noise_is_five_numbers_a_device(frames: Frames) -> None:
    rows = frames["results"].query("device == 'pi4-b'")
    (box,) = noise(rows).data
    widths = 100 * (rows["latency_high_us"] - rows["latency_low_us"]) / rows["latency_us"]
    assert (box.q1[0], box.median[0], box.q3[0]) == pytest.approx(
        tuple(np.quantile(widths, [0.25, 0.5, 0.75]))
    )


def test_a_canary_is_held_against_its_own_device(frames: Frames) -> None:
    canaries = frames["canaries"]
    figure = canary_trend(canaries)
    assert sum(len(trace.x) for trace in points(figure)) == len(canaries)
    tired = canary_trend(canaries[canaries["device"] == "pi4-b"])
    assert max(y for trace in points(tired) for y in trace.y) > 5, "it left the band"


def test_temperature_is_of_the_devices_that_tell_it(frames: Frames) -> None:
    titles = {
        one.text for one in temperature_against_latency(frames["canaries"]).layout.annotations
    }
    assert titles == {model.device.id for model in MODELS if model.rest_c is not None}
    silent = frames["canaries"].query("device == 'workstation'")
    assert "no temperature" in temperature_against_latency(silent).layout.annotations[0].text


@pytest.mark.parametrize(
    "named", [{}, {"model": "m" * 60, "parameters": "{}"}], ids=["names", "names cut alike"]
)
def test_the_parts_of_an_inference_make_a_whole(named: dict[str, str], frames: Frames) -> None:
    profile = frames["op_profile"].query("device == 'pi5'")
    figure = anatomy(profile, frames["results"].assign(**named))
    whole = pd.DataFrame({trace.name: pd.Series(trace.x, trace.y) for trace in figure.data}).sum(
        axis=1
    )
    assert len(whole) == profile["artifact"].nunique()
    assert whole.to_list() == pytest.approx([100.0] * len(whole))


def test_a_name_is_text_whatever_it_looks_like(frames: Frames) -> None:
    rows = (
        frames["results"]
        .query("device == 'pi5'")
        .assign(device="<b>pi</b> & co", model="<script>alert(1)</script>")
    )
    figure = trade_offs(rows)
    assert figure.layout.annotations[0].text == "&lt;b&gt;pi&lt;/b&gt; &amp; co"
    assert "<script" not in figure.to_json()


def test_a_very_long_name_keeps_its_ends() -> None:
    assert safe("a" * 100 + "z" * 100) == "a" * 19 + "…" + "z" * 19


def test_a_model_of_the_users_own_is_called_by_its_file(frames: Frames) -> None:
    rows = frames["results"].head(1).assign(
        trial=None, model=None, parameters=None, recipe=None, seed=None, dataset=None, file="mine.tflite"
    )  # fmt: skip
    assert list(variants(rows)) == ["mine.tflite"]
