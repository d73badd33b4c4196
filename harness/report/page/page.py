"""`harness report`: one HTML page that needs nothing else, with the figures of the notebooks."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from harness.core.quality import parse_quality
from harness.core.units import count_noun, format_bytes, format_percent, format_us
from harness.report import figures
from harness.report.frames import records
from harness.report.page.content import Content, facts_of
from harness.report.page.sections import sections, twins_of
from harness.report.reproduce import bench_command, submit_command

MOST_ROWS = 300
"""In the table of results: the most accurate ones."""
MOST_FAILURES = 50
"""The newest ones."""
_COLUMNS = (
    "sweep", "trial", "model", "parameters", "recipe", "precision", "dataset", "seed", "accuracy", "artifact", "device",
    "threads", "latency_us", "latency_low_us", "latency_high_us", "size_bytes", "energy_uj", "quality", "measured_at",
    "protocol", "protocol_settings", "variant",
)  # fmt: skip


def page(shown: Content, workspace: str, made_at: datetime) -> str:
    """The whole page. `workspace` is its name for people; nothing on the page is asked for elsewhere."""
    return _environment().get_template("report.html.j2").render(
        workspace=workspace,
        made_at=made_at,
        content=shown,
        glance=list(_glance(shown)),
        sections=sections(shown),
        rows=list(_table(shown.results)),
        of_rows=len(shown.results),
        devices=facts_of(shown.devices),
        tools=_tools(shown.results),
        protocols=_protocols(shown.results),
        failures=records(shown.failures.head(MOST_FAILURES), list(shown.failures.columns)),
        published=records(shown.published, list(shown.published.columns)),
        plotly=Markup(get_plotlyjs()),  # noqa: S704  (plotly's own code)
    )  # fmt: skip


def _environment() -> Environment:
    loader = PackageLoader("harness.report.page")
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown: dict[str, Callable[[Any], Any]] = {
        "us": format_us,
        "bytes": format_bytes,
        "percent": format_percent,
        "warnings": parse_quality,
    }
    made.filters.update(
        {**shown, "count_noun": count_noun, "embedded": _embedded, "with_code": _with_code}
    )
    return made


def _embedded(figure: go.Figure) -> Markup:
    """JSON that ends no script element, whatever the names in it are."""
    text = figure.to_json().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)  # noqa: S704  (made safe in the line above)


def _with_code(text: str) -> Markup:
    """What stands between backticks as code."""
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  (escaped in this line)


def _glance(shown: Content) -> Iterator[dict[str, Any]]:
    """A line a device and data set: its best variants, and how binary does there."""
    if shown.extremes.empty:
        return
    named = shown.extremes.assign(variant=figures.variants(shown.extremes))
    rows = shown.results
    for (device, dataset), same in named.groupby(["device", "dataset"], sort=True):
        pairs = twins_of(
            shown.pairs, rows[(rows["device"] == device) & (rows["dataset"] == dataset)]
        )
        yield {
            "device": device,
            "dataset": dataset,
            "best": same.iloc[same["accuracy"].argmax()],
            "fastest": same.iloc[same["latency_us"].argmin()],
            "speed_up": (1 / pairs["ratio"]).describe() if len(pairs) else None,
            "measured_at": same["measured_at"].max(),
        }


def _table(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Each with the commands that make it again."""
    if rows.empty:
        return
    best = rows.assign(variant=figures.variants(rows)).sort_values(
        "accuracy", ascending=False, kind="stable"
    )
    for row in records(best.head(MOST_ROWS), _COLUMNS):
        yield {**row, "commands": [one for one in (submit_command(row), bench_command(row)) if one]}


def _tools(rows: pd.DataFrame) -> list[dict[str, Any]]:
    used = rows.groupby(["tool", "tool_sha256", "interpreter"], dropna=False)["device"]
    return [
        {
            "tool": tool,
            "sha256": sha256,
            "interpreter": interpreter or "",
            "devices": sorted(devices.unique()),
        }
        for (tool, sha256, interpreter), devices in used
    ]


def _protocols(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """The name and the settings of each, once, whatever its threads."""
    pairs = rows[["protocol", "protocol_settings"]].drop_duplicates().itertuples(index=False)
    return list(dict.fromkeys((name, _settings(json.loads(settings))) for name, settings in pairs))


def _settings(known: Mapping[str, Any]) -> str:
    """`processes 10, target 0.02, gates (max_busy 0.1, unplugged off)`."""
    return ", ".join(
        f"{key} {_setting(value)}" for key, value in known.items() if key not in ("name", "threads")
    )


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_settings(value)})"
    return "on" if value is True else "off" if value is False or value is None else str(value)
