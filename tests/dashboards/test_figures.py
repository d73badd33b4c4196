import re
from collections.abc import Callable, Iterator
from itertools import chain, pairwise, product
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import compare, figures, query, results
from harness.report.figures import (
    binary_against_float,
    find_pareto_front,
    name_variants,
    smaller_for_points,
    split_panels,
    trade_offs,
    training_curves,
)
from harness.report.health import (
    anatomy,
    canary_trend,
    coverage,
    freshness,
    noise,
    temperature_against_latency,
)
from harness.report.style import MAX_SVG_POINTS, PRECISIONS, Axis, escape_name
from tests.sample import DEVICES, EPOCHS

Frames = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def frames(home: Path) -> Frames:
    queries = ("curves", "canaries", "op_profile", "coverage")
    return {
        **{name: query(name, home) for name in queries},
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


def all_axes(figure: go.Figure) -> Iterator[Any]:
    yield from figure.select_xaxes()
    yield from figure.select_yaxes()


def list_point_traces(figure: go.Figure) -> list[Any]:
    """Return the traces with data points: no lines, and no trace that only serves the legend."""
    return [trace for trace in figure.data if trace.mode == "markers" and trace.x[0] is not None]


@every_figure
def test_every_axis_has_a_unit_in_its_title_or_names_as_labels(name: str, frames: Frames) -> None:
    for axis in all_axes(FIGURES[name](frames)):
        assert axis.type == "category" or re.search(r"\(.+\)$", axis.title.text), axis.title.text


@every_figure
def test_without_rows_a_sentence_gives_the_reason_and_a_command(name: str, frames: Frames) -> None:
    figure = FIGURES[name]({key: frame.iloc[:0] for key, frame in frames.items()})
    assert not figure.data
    (message,) = figure.layout.annotations
    assert re.search(r"<b>[a-z].+</b>", message.text.replace("<br>", " ")), message.text
    assert message.text.endswith(".")


@every_figure
def test_every_panel_has_data(name: str, frames: Frames) -> None:
    figure = FIGURES[name](frames)
    panels = {(trace.xaxis or "x", trace.yaxis or "y") for trace in figure.data}
    assert len(panels) == len(list(figure.select_xaxes()))


@every_figure
def test_each_name_in_a_legend_has_a_colour_and_a_shape_of_its_own(
    name: str, frames: Frames
) -> None:
    entries = [
        trace
        for trace in FIGURES[name](frames).data
        if trace.showlegend is not False and trace.name
    ]
    styles = [(trace.marker.color or trace.line.color, _shape_of(trace)) for trace in entries]
    assert len({trace.name for trace in entries}) == len(entries)
    for colors_or_shapes in zip(*styles, strict=True):
        assert len(set(map(str, colors_or_shapes))) == len(entries)


def _shape_of(trace: Any) -> Any:
    if trace.type == "bar":
        return trace.marker.pattern.shape
    return (trace.mode, trace.line.dash if trace.mode == "lines" else trace.marker.symbol)


def test_precisions_differ_in_colour_and_in_marker() -> None:
    for attribute in ("color", "symbol"):
        values = {getattr(style, attribute) for style in PRECISIONS.values()}
        assert len(values) == len(PRECISIONS)


@pytest.mark.parametrize("against", ["latency_us", "size_bytes", "energy_uj"])
def test_every_result_with_an_accuracy_is_a_point_with_its_interval(
    against: str, frames: Frames
) -> None:
    rows = frames["results"].dropna(subset=[against])
    traces = list_point_traces(trade_offs(frames["results"], against))
    drawn = np.concatenate([trace.x for trace in traces])
    scale = 1 if against == "size_bytes" else 1e-6
    assert sorted(drawn) == pytest.approx(sorted(rows[against].astype(float) * scale))
    if against != "size_bytes":
        high = rows[against.replace("_uj", "_high_uj").replace("_us", "_high_us")]
        bars = np.concatenate([trace.error_x.array for trace in traces])
        assert sorted(bars) == pytest.approx(sorted((high - rows[against]) * scale))


def test_a_panel_is_of_one_device_and_one_data_set(frames: Frames) -> None:
    rows = frames["results"]
    twice = pd.concat([rows, rows.assign(dataset="digits")])
    titles = [annotation.text for annotation in trade_offs(twice).layout.annotations]
    panels = product(sorted(set(rows["device"])), ("digits", "fashion_mnist"))
    assert titles == [f"{device}, {dataset}" for device, dataset in panels]


def read_hover_texts(figure: go.Figure) -> str:
    return "\n".join(chain.from_iterable(trace.text for trace in list_point_traces(figure)))


def test_hovering_shows_trial_variant_interval_and_quality(frames: Frames) -> None:
    rows = frames["results"].query("device == 'pi5' and threads == 1 and precision == 'binary'")
    texts = read_hover_texts(trade_offs(rows))
    for trial, quality in zip(rows["trial"], rows["quality"], strict=True):
        assert trial in texts
        assert f"quality: {quality.partition(':')[0]}" in texts
    assert "<b>mlp units=4096 seed=0</b> binary" in texts
    assert re.search(r"723 µs|72\d µs \(7\d\d µs … 7\d\d µs\)", texts)


def test_a_measured_value_with_a_warning_has_a_hollow_marker(frames: Frames) -> None:
    rows = frames["results"]
    for against, warned in (("latency_us", (rows["quality"] != "ok").sum()), ("size_bytes", 0)):
        traces = list_point_traces(trade_offs(rows, against))
        symbols = chain.from_iterable(trace.marker.symbol for trace in traces)
        assert sum(symbol.endswith("-open") for symbol in symbols) == warned


numbers = st.floats(0.1, 1e6)
costs_and_gains = st.lists(
    st.tuples(numbers | st.sampled_from([1.0, 2.0]), numbers | st.just(3.0)), min_size=1
)


@given(costs_and_gains)
def test_the_front_has_the_points_that_no_other_beats(points: list[tuple[float, float]]) -> None:
    costs, gains = (np.array(part) for part in zip(*points, strict=True))
    positions = find_pareto_front(costs, gains)
    front = {(costs[position], gains[position]) for position in positions}
    assert front == {point for point in points if not is_beaten(point, points)}
    assert list(costs[positions]) == sorted(costs[positions])


def is_beaten(point: tuple[float, float], points: list[tuple[float, float]]) -> bool:
    cost, gain = point
    return any(
        other_cost <= cost and other_gain >= gain and (other_cost, other_gain) != point
        for other_cost, other_gain in points
    )


def test_each_panel_shows_its_own_front(frames: Frames) -> None:
    rows = frames["results"].query("device == 'pixel6'")
    (line,) = [trace for trace in trade_offs(rows).data if trace.name == "Pareto front"]
    drawn = set(zip(line.x, line.y, strict=True))
    front = find_pareto_front(rows["latency_us"].to_numpy(), rows["accuracy"].to_numpy())
    points = rows.iloc[front][["latency_us", "accuracy"]].to_numpy()
    assert drawn == {(latency_us * 1e-6, 100 * accuracy) for latency_us, accuracy in points}


@given(st.floats(1e-9, 1e9), st.floats(1, 1e6))
def test_a_log_axis_has_labels_in_its_unit_within_its_range(lowest: float, factor: float) -> None:
    values = np.array([lowest, np.nan, lowest * factor])
    axis = Axis("x", "x", unit="s", si=True, log=True).fit(values)
    ticks, (low, high) = [log10(tick) for tick in axis["tickvals"]], axis["range"]
    assert low < log10(lowest) <= log10(lowest * factor) < high
    assert high - low <= 1.2 * log10(factor) + 0.05, "the range follows the data"
    assert 1 <= len(ticks) <= 5
    assert low - 1e-9 <= ticks[0]
    assert ticks[-1] <= high + 1e-9
    distances = [(following - tick) / (high - low) for tick, following in pairwise(ticks)]
    assert all(distance > 0.2 for distance in distances), "50 of 250 px for each label"
    assert all(text.endswith("s") for text in axis["ticktext"])
    assert len(set(axis["ticktext"])) == len(ticks)


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
    axis = Axis("x", "x", unit="B", si=True, log=True).fit(np.array(sizes))
    assert axis["ticktext"] == labels


@pytest.mark.parametrize("against", ["latency_us", "energy_uj"])
def test_intervals_are_within_the_range_of_their_axis(against: str, frames: Frames) -> None:
    rows = frames["results"].query("device == 'pi5'")
    low, high = trade_offs(rows, against).layout.xaxis.range
    ends = [
        rows[against.replace("_u", f"_{end}_u")].astype(float) * 1e-6 for end in ("low", "high")
    ]
    assert low < log10(ends[0].min()) < log10(ends[1].max()) < high


def test_a_hundred_thousand_results_are_all_drawn_by_webgl(frames: Frames) -> None:
    rows = frames["results"]
    repeated = pd.concat([rows] * (100_000 // len(rows) + 1), ignore_index=True)
    traces = list_point_traces(trade_offs(repeated))
    assert sum(len(trace.x) for trace in traces) == len(repeated)
    assert {trace.type for trace in traces} == {"scattergl"}
    assert len(rows) < MAX_SVG_POINTS
    assert {trace.type for trace in list_point_traces(trade_offs(rows))} == {"scatter"}


def test_speed_ups_are_inverse_ratios_within_their_intervals(frames: Frames) -> None:
    pairs = frames["pairs"]
    traces = list_point_traces(binary_against_float(pairs))
    speed_ups = np.concatenate([trace.y for trace in traces])
    low = speed_ups - np.concatenate([trace.error_y.arrayminus for trace in traces])
    high = speed_ups + np.concatenate([trace.error_y.array for trace in traces])
    assert sorted(speed_ups) == pytest.approx(sorted(1 / pairs["ratio"]))
    assert sorted(low) == pytest.approx(sorted(1 / pairs["ratio_high"]))
    assert all(low <= speed_ups)
    assert all(speed_ups <= high)


def test_each_pair_is_drawn_once_where_devices_do_not_matter(frames: Frames) -> None:
    (trace,) = smaller_for_points(frames["pairs"]).data
    assert len(trace.x) == frames["pairs"]["candidate_artifact"].nunique()


def test_each_trial_has_its_own_line_in_the_trace_of_its_precision(frames: Frames) -> None:
    curves = frames["curves"]
    for trace in training_curves(curves).data:
        trials = curves[curves["precision"] == trace.name]["trial"].nunique()
        lines = "".join("|" if np.isnan(y) else "." for y in trace.y).split("|")
        assert [len(line) for line in lines] == [EPOCHS] * trials + [0]


def test_coverage_counts_every_artifact_on_every_device_once(frames: Frames) -> None:
    figure = coverage(frames["coverage"], frames["results"])
    bars = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data}
    artifacts = frames["results"]["artifact"].nunique()
    for sample in DEVICES:
        assert sum(bar[sample.device.id] for bar in bars.values()) == artifacts
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
    assert (last - first) / axis.nticks > pd.Timedelta(hours=12), (
        "plotly labels hours on a shorter axis"
    )


def test_a_single_canary_has_minutes_around_it(frames: Frames) -> None:
    canary = frames["canaries"].head(1)
    first, last = (pd.Timestamp(end) for end in canary_trend(canary).layout.xaxis.range)
    assert first < canary["measured_at"].iloc[0] < last
    assert last - first == pd.Timedelta(hours=1)


@pytest.mark.parametrize("name", ["coverage", "freshness", "noise"])
def test_devices_with_long_names_have_distinct_rows_and_short_lines(
    name: str, frames: Frames
) -> None:
    ids = [f"board-{'x' * 180}-rack-7", f"board-{'x' * 90}y{'x' * 90}-rack-7"]
    renamed = {
        key: frame.assign(device=frame["device"].replace(["pi4-a", "pi4-b"], ids))
        if "device" in frame
        else frame
        for key, frame in frames.items()
    }
    axis = FIGURES[name](renamed).layout.yaxis
    assert set(ids) < set(axis.tickvals)
    assert len(axis.tickvals) == len(DEVICES)
    for text in axis.ticktext:
        assert len(text.split("<br>")) <= 2
        assert all(len(line) <= 20 for line in text.split("<br>"))


def test_noise_is_shown_as_quantiles_of_each_device(frames: Frames) -> None:
    rows = frames["results"].query("device == 'pi4-b'")
    (box,) = noise(rows).data
    widths = 100 * (rows["latency_high_us"] - rows["latency_low_us"]) / rows["latency_us"]
    assert (box.q1[0], box.median[0], box.q3[0]) == pytest.approx(
        tuple(np.quantile(widths, [0.25, 0.5, 0.75]))
    )


def test_a_canary_is_compared_with_its_own_device(frames: Frames) -> None:
    canaries = frames["canaries"]
    figure = canary_trend(canaries)
    assert sum(len(trace.x) for trace in list_point_traces(figure)) == len(canaries)
    slowing = canary_trend(canaries[canaries["device"] == "pi4-b"])
    changes = np.concatenate([trace.y for trace in list_point_traces(slowing)])
    assert max(changes) > 5, "it left the band"


def test_temperatures_are_shown_for_the_devices_that_report_them(frames: Frames) -> None:
    figure = temperature_against_latency(frames["canaries"])
    titles = {annotation.text for annotation in figure.layout.annotations}
    assert titles == {sample.device.id for sample in DEVICES if sample.rest_c is not None}
    silent = frames["canaries"].query("device == 'workstation'")
    assert "no temperature" in temperature_against_latency(silent).layout.annotations[0].text


@pytest.mark.parametrize(
    "columns", [{}, {"model": "m" * 60, "parameters": "{}"}], ids=["names", "names cut alike"]
)
def test_the_shares_of_an_inference_add_up_to_100_percent(
    columns: dict[str, str], frames: Frames
) -> None:
    profile = frames["op_profile"].query("device == 'pi5'")
    figure = anatomy(profile, frames["results"].assign(**columns))
    parts = pd.DataFrame({trace.name: pd.Series(trace.x, trace.y) for trace in figure.data})
    totals = parts.sum(axis=1)
    assert len(totals) == profile["artifact"].nunique()
    assert totals.to_list() == pytest.approx([100.0] * len(totals))


def test_a_name_is_shown_as_text_even_if_it_is_html(frames: Frames) -> None:
    rows = (
        frames["results"]
        .query("device == 'pi5'")
        .assign(device="<b>pi</b> & co", model="<script>alert(1)</script>")
    )
    figure = trade_offs(rows)
    assert figure.layout.annotations[0].text == "&lt;b&gt;pi&lt;/b&gt; &amp; co"
    assert "<script" not in figure.to_json()


def test_a_very_long_name_keeps_its_ends() -> None:
    assert escape_name("a" * 100 + "z" * 100) == "a" * 19 + "…" + "z" * 19


def test_a_users_own_model_is_named_by_its_file(frames: Frames) -> None:
    columns = ("trial", "model", "parameters", "recipe", "seed", "dataset")
    rows = frames["results"].head(1).assign(**dict.fromkeys(columns), file="mine.tflite")
    assert list(name_variants(rows)) == ["mine.tflite"]


def test_names_of_earlier_versions_can_be_imported() -> None:
    earlier = (figures.panels, figures.variants, figures.front)
    assert earlier == (split_panels, name_variants, find_pareto_front)
