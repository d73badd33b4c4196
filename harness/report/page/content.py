"""What the page of `harness report` shows of a workspace: its frames, cut down to what can be looked at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.core.errors import RequestError
from harness.core.units import count_noun
from harness.report.frames import answer, reading, results_of, twins_among

if TYPE_CHECKING:
    from sqlalchemy import Engine

MOST_DEVICES, MOST_RESULTS, MOST_SWEEPS, MOST_TRIALS = 12, 300, 6, 200
"""Devices and sweeps on a page, results a device, trials a sweep: the newest ones."""
_KNOWN = """
WITH wanted AS (SELECT device, measured_at FROM results WHERE :sweep = '' OR sweep = :sweep),
known AS (SELECT id AS device FROM devices UNION SELECT device FROM cases)
SELECT k.device, count(w.device) AS results, max(w.measured_at) AS measured_at
FROM known AS k
LEFT JOIN wanted AS w ON w.device = k.device
WHERE :device = '' OR k.device = :device
GROUP BY k.device
ORDER BY coalesce(max(w.measured_at), '') DESC, k.device"""
_WITH_FACTS = "SELECT id AS device, kind, state, message, facts, seen_at FROM devices ORDER BY id"
_NOBODY = ""  # which no device is called: a frame without rows has its columns all the same
_MADE_BY = "SELECT DISTINCT harness_version FROM measurements ORDER BY harness_version"


@dataclass(frozen=True)
class Content:
    """Of the devices `names`; `left_out` says what else is not here.

    `extremes` are of all their results, `results` the newest; `measured` are the artifacts that have a number on them,
    `troubles` what the others wait for.
    """

    extremes: pd.DataFrame
    results: pd.DataFrame
    pairs: pd.DataFrame
    measured: pd.DataFrame
    troubles: pd.DataFrame
    curves: pd.DataFrame
    canaries: pd.DataFrame
    profile: pd.DataFrame
    devices: pd.DataFrame
    failures: pd.DataFrame
    published: pd.DataFrame
    versions: tuple[str, ...]
    left_out: tuple[str, ...]
    names: tuple[str, ...]


def content(url: str, sweep: str | None = None, device: str | None = None) -> Content:
    """Of the database at `url`, or its results of one sweep or device.

    Raises WorkspaceError where there is none, RequestError where nothing was measured for that sweep or device.
    """
    with reading(url) as reader:
        return _content(reader, sweep or "", device=device or "")


def _content(reader: "Engine", sweep: str, device: str) -> Content:
    ask = partial(answer, reader)
    known = ask(_KNOWN, sweep=sweep, device=device)
    if not known["results"].sum() and (sweep or device):
        asked = " on ".join(word for word in (sweep, device) if word)
        raise RequestError(f"{asked}: nothing was measured; `harness status` tells more.")
    shown = list(known["device"][:MOST_DEVICES])
    everything = _everything(reader, sweep, devices=shown)
    rows = newest(everything)
    trained = ask("curves", sweep=sweep)
    curves = newest_curves(trained, ask("sweeps"))
    return Content(
        extremes=extremes(everything),
        results=rows,
        pairs=twins_among(reader, rows),
        measured=everything[["device", "artifact"]],
        troubles=_of(ask("coverage", sweep=sweep, device=device), shown),
        curves=curves,
        canaries=_of(ask("canaries", device=device), shown),
        profile=_profiled(ask("op_profile", device=device), rows),
        devices=_of(ask(_WITH_FACTS), shown),
        failures=ask("failures"),
        published=ask("published"),
        versions=tuple(ask(_MADE_BY)["harness_version"]),
        left_out=(*_left_out(known, rows, devices=len(shown)), *_untold(trained, curves)),
        names=tuple(shown),
    )


def _everything(reader: "Engine", sweep: str, devices: Sequence[str]) -> pd.DataFrame:
    """One question a device: it goes by the index, where one question about all would read those left out, too."""
    of_each = [results_of(reader, sweep=sweep or None, device=one) for one in devices or [_NOBODY]]
    return pd.concat(of_each, ignore_index=True)


def extremes(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each device and data set, the result that is the most accurate, the fastest and the newest."""
    places = rows[rows["accuracy"].notna()].groupby(["device", "dataset"])
    return rows.loc[
        [
            *places["accuracy"].idxmax(),
            *places["latency_us"].idxmin(),
            *places["measured_at"].idxmax(),
        ]
    ]


def newest(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each device, the results that were measured last; those of twins stay together."""
    last = rows.assign(twin=rows["twin"].fillna(rows["artifact"]))
    last["last_at"] = last.groupby(["device", "twin"])["measured_at"].transform("max")
    order = last.sort_values(["last_at", "twin"], ascending=[False, True], kind="stable")
    kept = rows.loc[order.groupby("device", sort=False).head(MOST_RESULTS).index]
    return kept.sort_values(["device", "threads", "size_bytes", "artifact"]).reset_index(drop=True)


def newest_curves(curves: pd.DataFrame, sweeps: pd.DataFrame) -> pd.DataFrame:
    """`sweeps` is the query of that name, the newest first."""
    of_sweeps = curves[curves["sweep"].isin(list(sweeps["sweep"][:MOST_SWEEPS]))]
    trials = of_sweeps[["sweep", "trial"]].drop_duplicates().groupby("sweep").tail(MOST_TRIALS)
    return of_sweeps.merge(trials, on=["sweep", "trial"])


def _of(frame: pd.DataFrame, devices: Sequence[str]) -> pd.DataFrame:
    return frame[frame["device"].isin(devices)]


def _profiled(profile: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    return profile.merge(rows[["device", "artifact"]].drop_duplicates(), on=["device", "artifact"])


def _left_out(known: pd.DataFrame, rows: pd.DataFrame, devices: int) -> tuple[str, ...]:
    of_all = sum(known["results"])
    if len(rows) == of_all and devices == len(known):
        return ()
    return (
        f"This page shows {len(rows):,} of {of_all:,} results, on {devices} of "
        f"{count_noun(len(known), 'device')}: those measured last. `harness report --device ID` and `--sweep NAME` show "
        "others, `harness query leaderboard` all.",
    )


def _untold(trained: pd.DataFrame, curves: pd.DataFrame) -> tuple[str, ...]:
    trials, of_all = curves["trial"].nunique(), trained["trial"].nunique()
    return (
        ()
        if trials == of_all
        else (f"Curves of {trials} of {of_all} trials are shown, of the newest sweeps.",)
    )


def facts_of(devices: pd.DataFrame) -> list[dict[str, str]]:
    """What each device is, in a few words."""
    return [_told(row) for row in devices.to_dict("records")]


def _told(row: dict[Any, Any]) -> dict[str, str]:
    facts = json.loads(row["facts"] or "{}")
    system = facts.get("os_image") or (
        f"Android {facts['android']}" if "android" in facts else facts.get("kernel", "")
    )
    return {
        "device": row["device"],
        "kind": row["kind"],
        "state": row["state"] + (f": {row['message']}" if row["message"] else ""),
        "what": facts.get("model") or facts.get("cpu") or facts.get("machine") or "unknown",
        "cores": facts.get("cpus", "unknown"),
        "memory": facts.get("memory_bytes", ""),
        "system": system or "unknown",
        "governor": facts.get("governor", "unknown"),
    }
