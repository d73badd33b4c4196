"""How two rows of `results` were measured unlike each other, in words. Pure functions."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from harness.bench.sensors import policies
from harness.core.bench import Protocol
from harness.core.comparison import Evidence, Pair
from harness.core.ids import to_plain
from harness.core.units import count_noun

Row = Mapping[str, Any]
_SYSTEM = ("os_image", "kernel", "android", "glibc", "machine", "userland_bits", "model", "cpu")
# Of a protocol: what is told or matched elsewhere, and what is measured beside the runs.
_BESIDE = ("name", "threads", "canary", "answers")
_CLOCKS_ALIKE = (
    1.05  # an idle governor's steps are farther apart, the noise of sampling a steady clock is less
)


def describe_differences(pair: Pair, was: Evidence, is_now: Evidence) -> tuple[str, ...]:
    """Tool, protocol, cores, governor, system, clock, version and time: each in a few words where it differs."""
    old, new = pair.baseline, pair.candidate
    told = (
        _tool(old, new),
        _change("interpreter", old["interpreter"], new=new["interpreter"], nothing="none"),
        _protocol(old, new),
        _change("cores", old["cpus"], new=new["cpus"], nothing="any"),
        _fact("governor", was, is_now=is_now),
        _system(was, is_now),
        _clock(old, new, was=was, is_now=is_now),
        _change("harness", was.harness_version, new=is_now.harness_version),
        _apart(old, new, was=was, is_now=is_now),
    )
    return tuple(filter(None, told))


def _change(name: str, old: object, new: object, nothing: str = "unknown") -> str:
    if old == new:
        return ""
    before, after = (nothing if value in (None, "") else value for value in (old, new))
    return f"{name} {before} → {after}"


def _fact(name: str, was: Evidence, is_now: Evidence) -> str:
    return _change(name, was.facts.get(name), new=is_now.facts.get(name))


def _tool(old: Row, new: Row) -> str:
    if old["tool"] != new["tool"]:
        return _change("tool", old["tool"], new=new["tool"])
    return _change(f"tool {new['tool']}:", *(f"{row['tool_sha256'][:6]}…" for row in (old, new)))


def _protocol(old: Row, new: Row) -> str:
    """By name; under one name, by each setting, as what `custom` or an older version's `quick` means is in those."""
    if old["protocol"] != new["protocol"]:
        return _change("protocol", old["protocol"], new=new["protocol"])
    before, after = (dict(_settings(row)) for row in (old, new))
    changes = (
        _change(name, before.get(name), new=after.get(name), nothing="none")
        for name in {**before, **after}
    )
    told = ", ".join(filter(None, changes))
    return f"protocol {new['protocol']}: {told}" if told else ""


def _settings(row: Row) -> Iterator[tuple[str, object]]:
    """Flat, and whole: what a version did not know yet is at its default."""
    for name, value in to_plain(Protocol(**json.loads(row["protocol_settings"]))).items():
        if isinstance(value, Mapping):
            yield from value.items()
        elif name not in _BESIDE:
            yield name, value


def _system(was: Evidence, is_now: Evidence) -> str:
    told = ", ".join(filter(None, (_fact(name, was, is_now=is_now) for name in _SYSTEM)))
    return f"system: {told}" if told else ""


def _clock(old: Row, new: Row, was: Evidence, is_now: Evidence) -> str:
    """By what was sampled during the runs; where that is not known of both, by the most that the cores may do."""
    before, after = old["frequency_khz"], new["frequency_khz"]
    if not before or not after:
        before, after = _most_khz(was), _most_khz(is_now)
    if not before or not after or max(before, after) / min(before, after) <= _CLOCKS_ALIKE:
        return ""
    return _change("clock", *(f"{khz / 1e6:.2f} GHz" for khz in (before, after)))


def _most_khz(evidence: Evidence) -> int:
    return max((policy.max_khz for policy in policies(evidence.facts)), default=0)


def _apart(old: Row, new: Row, was: Evidence, is_now: Evidence) -> str:
    """Where no block of a batch holds a run of both: what else the device did meanwhile is in the ratio too."""
    if was.by_block.keys() & is_now.by_block.keys():
        return ""
    before, after = (
        datetime.fromisoformat(row["measured_at"].replace("Z", "+00:00")) for row in (old, new)
    )
    return f"measured apart: {_roughly(abs(after - before))}"


def _roughly(span: timedelta) -> str:
    for step, noun in (
        (timedelta(days=1), "day"),
        (timedelta(hours=1), "hour"),
        (timedelta(minutes=1), "minute"),
    ):
        if span >= step:
            return count_noun(round(span / step), noun)
    return "under a minute"
