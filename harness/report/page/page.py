"""The HTML of `harness report`: one file without external resources."""

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
from harness.report.frames import to_records
from harness.report.page.content import PageContent, describe_devices
from harness.report.page.sections import build_sections, select_twins
from harness.report.reproduce import format_bench_command, format_submit_command

MAX_ROWS = 300
"""Rows in the table of results: the most accurate ones."""
MAX_FAILURES = 50
"""Rows in the table of failures: the newest ones."""
_COLUMNS = (
    "sweep",
    "trial",
    "model",
    "parameters",
    "recipe",
    "precision",
    "dataset",
    "seed",
    "accuracy",
    "artifact",
    "device",
    "threads",
    "latency_us",
    "latency_low_us",
    "latency_high_us",
    "size_bytes",
    "energy_uj",
    "quality",
    "measured_at",
    "protocol",
    "protocol_settings",
    "inputs",
    "variant",
)


def render_page(content: PageContent, workspace: str, made_at: datetime) -> str:
    """Return the page as HTML; `workspace` is the name in its title."""
    template = _make_environment().get_template("report.html.j2")
    failures = content.failures.head(MAX_FAILURES)
    return template.render(
        workspace=workspace,
        made_at=made_at,
        content=content,
        glance=list(_summarize_devices(content)),
        sections=build_sections(content),
        rows=list(_list_results(content.results)),
        total_results=len(content.results),
        devices=describe_devices(content.devices),
        tools=_list_tools(content.results),
        protocols=_list_protocols(content.results),
        failures=to_records(failures, list(failures.columns)),
        published=to_records(content.published, list(content.published.columns)),
        plotly=Markup(get_plotlyjs()),  # noqa: S704  (plotly's own code)
    )


def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "us": format_us,
        "bytes": format_bytes,
        "percent": format_percent,
        "count_noun": count_noun,
        "warnings": parse_quality,
        "embedded": _embed,
        "with_code": _mark_code,
    }
    environment.filters.update(filters)
    return environment


def _embed(figure: go.Figure) -> Markup:
    """Return the figure as JSON that cannot end a script element, whatever the names in it."""
    text = figure.to_json().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)  # noqa: S704  (made safe in the line above)


def _mark_code(text: str) -> Markup:
    """Return the text as HTML in which text between backticks is code."""
    html = re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text)))
    return Markup(html)  # noqa: S704  (escaped in the line above)


def _summarize_devices(content: PageContent) -> Iterator[dict[str, Any]]:
    """Yield the best variants and the gain of binary, for each device and data set."""
    if content.extremes.empty:
        return
    extremes = content.extremes.assign(variant=figures.name_variants(content.extremes))
    results = content.results
    for (device, dataset), group in extremes.groupby(["device", "dataset"], sort=True):
        rows = results[(results["device"] == device) & (results["dataset"] == dataset)]
        pairs = select_twins(content.pairs, rows)
        yield {
            "device": device,
            "dataset": dataset,
            "best": group.iloc[group["accuracy"].argmax()],
            "fastest": group.iloc[group["latency_us"].argmin()],
            "speed_up": (1 / pairs["ratio"]).describe() if len(pairs) else None,
            "measured_at": group["measured_at"].max(),
        }


def _list_results(results: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the most accurate results with the commands that reproduce them."""
    if results.empty:
        return
    named = results.assign(variant=figures.name_variants(results))
    ordered = named.sort_values("accuracy", ascending=False, kind="stable")
    for row in to_records(ordered.head(MAX_ROWS), _COLUMNS):
        commands = (format_submit_command(row), format_bench_command(row))
        yield {**row, "commands": [command for command in commands if command]}


def _list_tools(results: pd.DataFrame) -> list[dict[str, Any]]:
    groups = results.groupby(["tool", "tool_sha256", "interpreter"], dropna=False)["device"]
    return [
        {
            "tool": tool,
            "sha256": sha256,
            "interpreter": interpreter or "",
            "devices": sorted(devices.unique()),
        }
        for (tool, sha256, interpreter), devices in groups
    ]


def _list_protocols(results: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the name and the settings of each protocol once, whatever its threads."""
    rows = results[["protocol", "protocol_settings"]].drop_duplicates()
    protocols = [
        (name, _format_settings(json.loads(settings)))
        for name, settings in rows.itertuples(index=False)
    ]
    return list(dict.fromkeys(protocols))


def _format_settings(settings: Mapping[str, Any]) -> str:
    """Return text such as `processes 10, target 0.02, gates (max_busy 0.1, unplugged off)`."""
    return ", ".join(
        f"{key} {_format_setting(value)}"
        for key, value in settings.items()
        if key not in ("name", "threads")
    )


def _format_setting(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_format_settings(value)})"
    return "on" if value is True else "off" if value is False or value is None else str(value)
