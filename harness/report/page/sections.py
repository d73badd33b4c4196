"""The sections of the page of `harness report`: which figures it has, and how to read them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from plotly.io import from_json

from harness.report import figures, health
from harness.report.page.content import Content

Groups = list[tuple[str, pd.DataFrame]]


@dataclass(frozen=True)
class Plot:
    """A figure and what it shows; `devices` are those that it is of, none where it is of all."""

    caption: str
    figure: go.Figure
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """`id` is the anchor; `lead` says how to read its plots."""

    id: str
    title: str
    lead: str
    plots: tuple[Plot, ...]


def sections(shown: Content) -> list[Section]:
    makers = (_trade_offs, _binary_against_float, _training, _fleet, _device_health, _anatomy)
    return [make(shown) for make in makers]


def _trade_offs(shown: Content) -> Section:
    rows = shown.results
    everywhere = rows.drop_duplicates(["artifact", "trial"]).assign(device="all devices")
    sizes = _each(
        figures.panels(everywhere),
        "Accuracy against size",
        draw=lambda same: figures.trade_offs(same, "size_bytes"),
    )
    return Section(
        "trade-offs",
        "Trade-offs",
        lead="Up and to the left is better. The dashed line is the Pareto front: what no other variant beats in both. "
        "Bars are 95 % intervals; hollow markers carry a warning.",
        plots=(
            *(Plot(one.caption, one.figure) for one in sizes),
            *_each(figures.panels(rows), "Accuracy against latency", draw=figures.trade_offs),
            *_each(
                figures.panels(rows),
                "Accuracy against energy",
                draw=lambda same: figures.trade_offs(same, "energy_uj"),
            ),
        ),
    )


def _binary_against_float(shown: Content) -> Section:
    pairs = shown.pairs
    cost = _plot(
        "What binary costs in accuracy, for how much less size", figures.smaller_for_points(pairs)
    )
    return Section(
        "binary-against-float",
        "Binary against float",
        lead="Each marker is a binary network beside its float32 twin on the same device; over 1 × binary is faster. "
        "Bars are 95 % intervals, as `harness compare float32 binary` finds them.",
        plots=(
            cost,
            *_each(
                _by_device(shown),
                "Speed-up",
                draw=lambda same: figures.binary_against_float(twins_of(pairs, same)),
            ),
        ),
    )


def twins_of(pairs: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Those whose binary one is among the rows."""
    if pairs.empty:
        return pairs
    return pairs[
        pairs["device"].isin(rows["device"]) & pairs["candidate_artifact"].isin(rows["artifact"])
    ]


def _training(shown: Content) -> Section:
    plots = [
        _plot(f"{what} by epoch: {name}", figures.training_curves(same, what.lower()))
        for name, same in shown.curves.groupby("sweep", sort=False)
        for what in ("Accuracy", "Loss")
    ]
    if not plots:
        plots = [_plot("Accuracy and loss by epoch", figures.training_curves(shown.curves))]
    return Section("training", "Training", lead="A line for each trial.", plots=tuple(plots))


def _fleet(shown: Content) -> Section:
    return Section(
        "fleet",
        "Fleet",
        lead="What has been measured where, when, and how sure it is.",
        plots=(
            _plot(
                "Coverage: artifacts on each device",
                health.coverage(shown.troubles, shown.measured),
            ),
            _plot(
                "Freshness: the newest valid results, by the day of their measurement",
                health.freshness(shown.results),
            ),
            _plot(
                "Noise: how wide the intervals are; the box holds half of them",
                health.noise(shown.results),
            ),
        ),
    )


def _device_health(shown: Content) -> Section:
    over_time, warmth = health.canary_trend, health.temperature_against_latency
    return Section(
        "device-health",
        "Device health",
        lead="The same small model before and after each batch. It should stay in the band, ± 5 % of its own median: a "
        "device that leaves it has changed. Hollow markers were disturbed.",
        plots=(
            *_each(
                _by_device(shown),
                "Canary over time",
                draw=lambda same: over_time(_of(shown.canaries, same)),
            ),
            *_each(
                _by_device(shown),
                "Canary by temperature",
                draw=lambda same: warmth(_of(shown.canaries, same)),
            ),
        ),
    )


def _anatomy(shown: Content) -> Section:
    return Section(
        "anatomy",
        "Anatomy",
        lead="Where one inference's time goes, by what its operators are for.",
        plots=tuple(
            _each(
                _by_device(shown),
                "Time by operator",
                draw=lambda same: health.anatomy(_of(shown.profile, same), shown.results),
            )
        ),
    )


def _by_device(shown: Content) -> Groups:
    return [(str(device), same) for device, same in shown.results.groupby("device", sort=True)]


def _of(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["device"].isin(rows["device"])]


def _plot(caption: str, figure: go.Figure, devices: tuple[str, ...] = ()) -> Plot:
    """The caption has what would be the title of the figure's only panel."""
    if figure.data:
        figure.layout.annotations = ()
    return Plot(caption, figure, devices=devices)


def _each(groups: Groups, what: str, draw: Callable[[pd.DataFrame], go.Figure]) -> Iterator[Plot]:
    """A plot for each group of rows, which are of one device; those without one share the sentence that says why."""
    without: dict[str, list[tuple[str, str]]] = {}
    for title, same in groups:
        figure, device = draw(same), str(same["device"].iloc[0])
        if figure.data:
            yield _plot(f"{what}: {title}", figure, devices=(device,))
        else:
            without.setdefault(figure.to_json(), []).append((title, device))
    for figure, found in without.items():
        titles, devices = zip(*found, strict=True)
        yield Plot(f"{what}: {', '.join(titles)}", from_json(figure), devices=devices)
