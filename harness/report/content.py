"""What the page of `harness report` shows of a workspace: its frames, cut down to what can be looked at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.core.errors import RequestError
from harness.core.units import counted
from harness.pipeline.compare import compared, pairs
from harness.report.figures import records
from harness.report.frames import of_comparisons, query, reading, results
from harness.store.reading import correct_images, evidence

MOST_DEVICES, MOST_RESULTS, MOST_SWEEPS, MOST_TRIALS = 12, 300, 6, 200
"""Devices and sweeps on a page, results a device, trials a sweep: the newest ones."""
_MEASURED = """
SELECT device, count(*) AS results, max(measured_at) AS measured_at
FROM results
WHERE (:sweep = '' OR sweep = :sweep) AND (:device = '' OR device = :device)
GROUP BY device
ORDER BY max(measured_at) DESC, device"""
_WITH_FACTS = "SELECT id AS device, kind, state, message, facts, seen_at FROM devices ORDER BY id"
_MADE_BY = "SELECT DISTINCT harness_version FROM measurements ORDER BY harness_version"


@dataclass(frozen=True)
class Content:
    """`measured` and `troubles` are of these devices, but of all artifacts; `left_out` says what else is not here."""

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


def content(url: str, sweep: str | None = None, device: str | None = None) -> Content:
    """Of the database at `url`, or its results of one sweep or device.

    Raises WorkspaceError where there is none, RequestError where nothing was measured for that sweep or device.
    """
    found = query(_MEASURED, url, sweep=sweep or "", device=device or "")
    if found.empty and (sweep or device):
        asked = " on ".join(word for word in (sweep, device) if word)
        raise RequestError(f"{asked}: nothing was measured; `harness status` tells more.")
    shown = list(found["device"][:MOST_DEVICES]) or [""]  # which no device is called
    everything = pd.concat([results(url, sweep=sweep, device=one) for one in shown])
    rows = newest(everything)
    trained = query("curves", url, sweep=sweep or "")
    curves = newest_curves(trained, query("sweeps", url))
    return Content(
        rows,
        _twins(url, rows),
        _of(everything[["device", "artifact"]], shown),
        _of(query("coverage", url), shown),
        curves,
        _of(query("canaries", url), shown),
        _profiled(query("op_profile", url), rows),
        _of(query(_WITH_FACTS, url), shown),
        query("failures", url),
        query("published", url),
        tuple(query(_MADE_BY, url)["harness_version"]),
        (*_left_out(found, rows), *_untold(trained, curves)),
    )


def newest(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each device, the results that were measured last."""
    kept = (
        rows.sort_values("measured_at", ascending=False, kind="stable").groupby("device", sort=False).head(MOST_RESULTS)
    )
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


def _left_out(found: pd.DataFrame, rows: pd.DataFrame) -> tuple[str, ...]:
    of_all = sum(found["results"])
    if len(rows) == of_all:
        return ()
    return (
        f"This page shows {len(rows):,} of {of_all:,} results, on {rows['device'].nunique()} of "
        f"{counted(len(found), 'device')}: those measured last. `harness report --device ID` and `--sweep NAME` show "
        "others, `harness query leaderboard` all.",
    )


def _untold(trained: pd.DataFrame, curves: pd.DataFrame) -> tuple[str, ...]:
    trials, of_all = curves["trial"].nunique(), trained["trial"].nunique()
    return () if trials == of_all else (f"Curves of {trials} of {of_all} trials are shown, of the newest sweeps.",)


def _twins(url: str, shown: pd.DataFrame) -> pd.DataFrame:
    """Binary against float32 among these rows, as `harness compare float32 binary` finds it."""
    once = shown.drop_duplicates(["case_id", "trial"])
    rows = records(once.assign(measured_at=[at.isoformat() for at in once["measured_at"]]), list(shown.columns))
    held = [row for row in rows if row["precision"] in ("binary", "float32")]
    with reading(url) as reader:
        behind = evidence(reader, {row["measurement_id"] for row in held})
        correct = correct_images(reader, {row["artifact"] for row in held})
    try:
        found = compared(pairs(held, "float32", "binary", behind), behind, correct)
    except RequestError:  # there are no such twins, which the figure says in its own words
        return pd.DataFrame()
    return of_comparisons(found)


def facts_of(devices: pd.DataFrame) -> list[dict[str, str]]:
    """What each device is, in a few words."""
    return [_told(row) for row in devices.to_dict("records")]


def _told(row: dict[Any, Any]) -> dict[str, str]:
    facts = json.loads(row["facts"] or "{}")
    system = facts.get("os_image") or (f"Android {facts['android']}" if "android" in facts else facts.get("kernel", ""))
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
