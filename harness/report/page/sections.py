"""The sections of the page of `harness report`: their figures, and how to read them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from plotly.io import from_json

from harness.core.comparison import Basis
from harness.core.units import count_noun
from harness.report import figures, health, search_figures
from harness.report.page.content import PageContent
from harness.report.searches import SearchResult

RowGroups = list[tuple[str, pd.DataFrame]]


@dataclass(frozen=True)
class Plot:
    """A figure with its caption, and the devices it shows; none if it concerns all devices."""

    caption: str
    figure: go.Figure
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of the page; `id` is its anchor, and `lead` says how to read its plots."""

    id: str
    title: str
    lead: str
    plots: tuple[Plot, ...]


def build_sections(content: PageContent) -> list[Section]:
    """Return all sections of figures, in the order of the page."""
    return [
        _build_trade_offs(content),
        *_build_searches(content),
        _build_binary_against_float(content),
        _build_training(content),
        _build_fleet(content),
        _build_device_health(content),
        _build_anatomy(content),
    ]


def _build_trade_offs(content: PageContent) -> Section:
    by_device = figures.split_panels(content.results)
    models = content.results.drop_duplicates(["artifact", "trial"]).assign(device="all devices")
    sizes = _plot_groups(
        figures.split_panels(models),
        "Accuracy against size",
        draw=lambda rows: figures.trade_offs(rows, "size_bytes"),
    )
    return Section(
        "trade-offs",
        "Trade-offs",
        lead="Each marker is a trained network; the best ones are at the top left. "
        "The dashed line is the Pareto front: "
        "no other network is at once more accurate and cheaper. "
        "Bars are 95 % intervals. A hollow marker stands for a result with a warning.",
        plots=(
            *(Plot(plot.caption, plot.figure) for plot in sizes),
            *_plot_groups(by_device, "Accuracy against latency", draw=figures.trade_offs),
            *_plot_groups(
                by_device,
                "Accuracy against energy",
                draw=lambda rows: figures.trade_offs(rows, "energy_uj"),
            ),
        ),
    )


def _build_searches(content: PageContent) -> Iterator[Section]:
    """Yield the section of the searches, if there is one."""
    if not content.searches:
        return
    plots: list[Plot] = []
    for result in content.searches:
        plots += _plot_search(result)
    looks = search_figures.first_looks(content.first_looks)
    if looks.data:
        caption = "First looks: how far the latency of untrained networks was off"
        plots.append(_make_plot(caption, looks))
    yield Section(
        "search",
        "Search",
        lead="Each circle is a feasible point of the search, from the first that was tried to the "
        "last. Crosses are infeasible; the thin ones at the bottom were never trained. "
        "The dashed line is the front: no other feasible point is better in both respects. "
        "Dotted lines are the front after a quarter, half and three quarters of the points. "
        "The hypervolume is the share of the space of objectives that the front beats.",
        plots=tuple(plots),
    )


def _plot_search(result: SearchResult) -> Iterator[Plot]:
    name, reference = result.sweep, result.reference
    yield _make_plot(
        f"The front of {name}: {_count_points(result)}", search_figures.search_front(result)
    )
    if reference is not None:
        for over, title in (("worker_s", "work of trainings"), ("wall_s", "time")):
            caption = f"Hypervolume by {title}: {name}; it is 0 at {reference}"
            yield _make_plot(caption, search_figures.search_hypervolume(result, over))
    for objective in result.names:
        caption = f"What decides {objective}: {name}"
        yield _make_plot(caption, search_figures.search_importance(result, objective))


def _count_points(result: SearchResult) -> str:
    """Return text such as `24 points, 9 infeasible, 5 on the front`."""
    states = result.points["state"]
    counts = [(f"{state}", (states == state).sum()) for state in _OTHER_STATES]
    parts = [f"{count} {state}" for state, count in counts if count]
    front = f"{result.points['on_front'].sum()} on the front"
    return ", ".join([count_noun(len(states), "point"), *parts, front])


_OTHER_STATES = ("infeasible", "failed", "stopped", "open", "planned")


def _build_binary_against_float(content: PageContent) -> Section:
    pairs = content.pairs
    sizes = _make_plot("Accuracy given up for a smaller network", figures.smaller_for_points(pairs))
    return Section(
        "binary-against-float",
        "Binary against float",
        lead="Each marker compares a binary network with its float32 twin on the same device. "
        "Twins are trained in the same way and differ only in precision. "
        "Above 1 × the binary network is faster. "
        "Bars are 95 % intervals, computed as by `harness compare float32 binary`."
        + _describe_bases(pairs),
        plots=(
            sizes,
            *_plot_groups(
                _group_by_device(content),
                "Speed-up",
                draw=lambda rows: figures.binary_against_float(select_twins(pairs, rows)),
            ),
        ),
    )


def _describe_bases(pairs: pd.DataFrame) -> str:
    """Return a sentence on each way of comparing that is less trustworthy than block by block."""
    counts = pairs["basis"].value_counts() if len(pairs) else {}
    total = count_noun(len(pairs), "pair")
    sentences = {
        Basis.REFERENCE: "compared through a reference that both batches measured",
        Basis.SEPARATE: "measured apart, so a drift of the device is in the ratio",
    }
    return "".join(
        f" {counts[str(basis)]} of {total}: {text}."
        for basis, text in sentences.items()
        if counts.get(str(basis), 0)
    )


def select_twins(pairs: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs whose binary network is among these rows of `results`."""
    if pairs.empty:
        return pairs
    return pairs[
        pairs["device"].isin(rows["device"]) & pairs["candidate_artifact"].isin(rows["artifact"])
    ]


def _build_training(content: PageContent) -> Section:
    plots = []
    for sweep, curves in content.curves.groupby("sweep", sort=False):
        for measure in ("accuracy", "loss"):
            caption = f"{measure.capitalize()} by epoch: {sweep}"
            plots.append(_make_plot(caption, figures.training_curves(curves, measure)))
    if not plots:
        message = figures.training_curves(content.curves)
        plots = [_make_plot("Accuracy and loss by epoch", message)]
    lead = "Each line is a trial: one training run."
    return Section("training", "Training", lead=lead, plots=tuple(plots))


def _build_fleet(content: PageContent) -> Section:
    return Section(
        "fleet",
        "Fleet",
        lead="What has been measured on each device, when, and how precisely.",
        plots=(
            _make_plot(
                "Coverage: which networks have a result on each device",
                health.coverage(content.coverage, content.measured),
            ),
            _make_plot(
                "Freshness: on which days the results were measured",
                health.freshness(content.results),
            ),
            _make_plot(
                "Noise: how wide the 95 % intervals are; the box holds half of them",
                health.noise(content.results),
            ),
        ),
    )


def _build_device_health(content: PageContent) -> Section:
    groups = _group_by_device(content)

    def draw_trend(rows: pd.DataFrame) -> go.Figure:
        return health.canary_trend(_select_devices(content.canaries, rows))

    def draw_temperature(rows: pd.DataFrame) -> go.Figure:
        return health.temperature_against_latency(_select_devices(content.canaries, rows))

    return Section(
        "device-health",
        "Device health",
        lead="The canary is a small network that is measured before and after each batch. "
        "Its latency should stay in the grey band, within 5 % of the device's own median. "
        "A device that leaves the band has changed. "
        "A hollow marker stands for a disturbed measurement.",
        plots=(
            *_plot_groups(groups, "Canary over time", draw=draw_trend),
            *_plot_groups(groups, "Canary by temperature", draw=draw_temperature),
        ),
    )


def _build_anatomy(content: PageContent) -> Section:
    def draw(rows: pd.DataFrame) -> go.Figure:
        return health.anatomy(_select_devices(content.profile, rows), content.results)

    return Section(
        "anatomy",
        "Anatomy",
        lead="How the time of one inference is divided among the network's operators.",
        plots=tuple(_plot_groups(_group_by_device(content), "Time by operator", draw=draw)),
    )


def _group_by_device(content: PageContent) -> RowGroups:
    return [(str(device), rows) for device, rows in content.results.groupby("device", sort=True)]


def _select_devices(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["device"].isin(rows["device"])]


def _make_plot(caption: str, figure: go.Figure, devices: tuple[str, ...] = ()) -> Plot:
    """Return a plot; its caption replaces the title of the figure's only panel."""
    if figure.data:
        figure.layout.annotations = ()
    return Plot(caption, figure, devices=devices)


def _plot_groups(
    groups: RowGroups, title: str, draw: Callable[[pd.DataFrame], go.Figure]
) -> Iterator[Plot]:
    """Yield a plot for each group of rows, all of which are of one device.

    Groups without data share a plot of the sentence that gives the reason.
    """
    without_data: dict[str, list[tuple[str, str]]] = {}
    for name, rows in groups:
        figure, device = draw(rows), str(rows["device"].iloc[0])
        if figure.data:
            yield _make_plot(f"{title}: {name}", figure, devices=(device,))
        else:
            without_data.setdefault(figure.to_json(), []).append((name, device))
    for message, members in without_data.items():
        names, devices = zip(*members, strict=True)
        yield Plot(f"{title}: {', '.join(names)}", from_json(message), devices=devices)
