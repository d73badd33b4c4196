"""The content of the page of `harness report`: data frames cut down to what a page can show."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.core.errors import RequestError
from harness.core.units import count_noun
from harness.report.frames import find_twins, open_reader, read_results, run_query
from harness.report.searches import SearchResult, read_searches

if TYPE_CHECKING:
    from sqlalchemy import Engine

MAX_DEVICES, MAX_RESULTS, MAX_SWEEPS, MAX_TRIALS = 12, 300, 6, 200
"""Devices and sweeps per page, results per device, trials per sweep; the newest are shown."""
MAX_SEARCHES = 3
"""Searches per page; the last submitted are shown."""
_DEVICES = """
WITH selected AS (SELECT device, measured_at FROM results WHERE :sweep = '' OR sweep = :sweep),
all_devices AS (SELECT id AS device FROM devices UNION SELECT device FROM cases)
SELECT a.device, count(s.device) AS results, max(s.measured_at) AS measured_at
FROM all_devices AS a
LEFT JOIN selected AS s ON s.device = a.device
WHERE :device = '' OR a.device = :device
GROUP BY a.device
ORDER BY coalesce(max(s.measured_at), '') DESC, a.device"""
_FACTS = "SELECT id AS device, kind, state, message, facts, seen_at FROM devices ORDER BY id"
_NO_DEVICE = ""  # an id that no device has: a frame without rows still has its columns
_VERSIONS = "SELECT DISTINCT harness_version FROM measurements ORDER BY harness_version"


@dataclass(frozen=True)
class PageContent:
    """Data of the devices `device_ids`.

    `extremes` are the best of all results of these devices, `results` the newest.
    `measured` lists the artifacts that have a result, `coverage` the state of the others.
    `omissions` are sentences on what is not shown.
    """

    extremes: pd.DataFrame
    results: pd.DataFrame
    pairs: pd.DataFrame
    measured: pd.DataFrame
    coverage: pd.DataFrame
    curves: pd.DataFrame
    searches: tuple[SearchResult, ...]
    first_looks: pd.DataFrame
    canaries: pd.DataFrame
    profile: pd.DataFrame
    devices: pd.DataFrame
    failures: pd.DataFrame
    published: pd.DataFrame
    versions: tuple[str, ...]
    omissions: tuple[str, ...]
    device_ids: tuple[str, ...]


def read_content(
    workspace: Path | str | None, sweep: str | None = None, device: str | None = None
) -> PageContent:
    """Read a workspace's database, or only its results of one sweep or device.

    Raises WorkspaceError if there is no database, and RequestError if nothing was measured for
    the sweep or device.
    """
    with open_reader(workspace) as reader:
        return _read_content(reader, sweep or "", device=device or "")


def _read_content(reader: "Engine", sweep: str, device: str) -> PageContent:
    ask = partial(run_query, reader)
    devices = ask(_DEVICES, sweep=sweep, device=device)
    searches = () if device else read_searches(reader, sweep=sweep or None, newest=MAX_SEARCHES)
    if not devices["results"].sum() and (device or (sweep and not searches)):
        selection = " on ".join(name for name in (sweep, device) if name)
        raise RequestError(
            f"Nothing was measured for {selection}. `harness status` lists sweeps and devices."
        )
    shown_devices = list(devices["device"][:MAX_DEVICES])
    all_results = _read_all_results(reader, sweep, devices=shown_devices)
    results = select_newest(all_results)
    all_curves = ask("curves", sweep=sweep)
    curves = select_newest_curves(all_curves, ask("sweeps"))
    return PageContent(
        extremes=select_extremes(all_results),
        results=results,
        pairs=find_twins(reader, results),
        measured=all_results[["device", "artifact"]],
        coverage=_select_devices(ask("coverage", sweep=sweep, device=device), shown_devices),
        curves=curves,
        searches=tuple(searches),
        first_looks=_select_devices(ask("first_looks", device=device), shown_devices),
        canaries=_select_devices(ask("canaries", device=device), shown_devices),
        profile=_select_profile(ask("op_profile", device=device), results),
        devices=_select_devices(ask(_FACTS), shown_devices),
        failures=ask("failures"),
        published=ask("published"),
        versions=tuple(ask(_VERSIONS)["harness_version"]),
        omissions=(
            *_describe_hidden_results(devices, results, shown_devices=len(shown_devices)),
            *_describe_hidden_curves(all_curves, curves),
        ),
        device_ids=tuple(shown_devices),
    )


def _read_all_results(reader: "Engine", sweep: str, devices: Sequence[str]) -> pd.DataFrame:
    """Read device by device, which uses the index; a single query would also read the others."""
    frames = [
        read_results(reader, sweep=sweep or None, device=device)
        for device in devices or [_NO_DEVICE]
    ]
    return pd.concat(frames, ignore_index=True)


def select_extremes(results: pd.DataFrame) -> pd.DataFrame:
    """Return the most accurate, the fastest and the newest result of each device and data set."""
    groups = results[results["accuracy"].notna()].groupby(["device", "dataset"])
    return results.loc[
        [
            *groups["accuracy"].idxmax(),
            *groups["latency_us"].idxmin(),
            *groups["measured_at"].idxmax(),
        ]
    ]


def select_newest(results: pd.DataFrame) -> pd.DataFrame:
    """Return the results of each device that were measured last; twins stay together."""
    dated = results.assign(twin=results["twin"].fillna(results["artifact"]))
    dated["newest_at"] = dated.groupby(["device", "twin"])["measured_at"].transform("max")
    ordered = dated.sort_values(["newest_at", "twin"], ascending=[False, True], kind="stable")
    newest = results.loc[ordered.groupby("device", sort=False).head(MAX_RESULTS).index]
    order = ["device", "threads", "size_bytes", "artifact"]
    return newest.sort_values(order).reset_index(drop=True)


def select_newest_curves(curves: pd.DataFrame, sweeps: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of the newest trials; `sweeps` lists the newest sweep first."""
    newest = curves[curves["sweep"].isin(list(sweeps["sweep"][:MAX_SWEEPS]))]
    trials = newest[["sweep", "trial"]].drop_duplicates().groupby("sweep").tail(MAX_TRIALS)
    return newest.merge(trials, on=["sweep", "trial"])


def _select_devices(frame: pd.DataFrame, devices: Sequence[str]) -> pd.DataFrame:
    return frame[frame["device"].isin(devices)]


def _select_profile(profile: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    key = ["device", "artifact"]
    return profile.merge(results[key].drop_duplicates(), on=key)


def _describe_hidden_results(
    devices: pd.DataFrame, results: pd.DataFrame, shown_devices: int
) -> tuple[str, ...]:
    total = sum(devices["results"])
    if len(results) == total and shown_devices == len(devices):
        return ()
    return (
        f"This page shows the newest {len(results):,} of {total:,} results, on {shown_devices} of "
        f"{count_noun(len(devices), 'device')}. `harness report --device ID` and "
        "`harness report --sweep NAME` show others, `harness query leaderboard` lists all.",
    )


def _describe_hidden_curves(all_curves: pd.DataFrame, curves: pd.DataFrame) -> tuple[str, ...]:
    trials, total = curves["trial"].nunique(), all_curves["trial"].nunique()
    if trials == total:
        return ()
    return (f"Training curves are shown for {trials} of {total} trials, from the newest sweeps.",)


def describe_devices(devices: pd.DataFrame) -> list[dict[str, str]]:
    """Return what is known of each device as text, with a key for each column of the page."""
    return [_describe_device(row) for row in devices.to_dict("records")]


def _describe_device(row: dict[Any, Any]) -> dict[str, str]:
    facts = json.loads(row["facts"] or "{}")
    android = f"Android {facts['android']}" if "android" in facts else ""
    return {
        "device": row["device"],
        "kind": row["kind"],
        "state": row["state"] + (f": {row['message']}" if row["message"] else ""),
        "hardware": facts.get("model") or facts.get("cpu") or facts.get("machine") or "unknown",
        "cores": facts.get("cpus", "unknown"),
        "memory": facts.get("memory_bytes", ""),
        "system": facts.get("os_image") or android or facts.get("kernel", "") or "unknown",
        "governor": facts.get("governor", "unknown"),
    }
