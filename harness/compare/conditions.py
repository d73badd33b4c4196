"""Differences between the conditions of two measurements, in words. Pure functions."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from harness.bench.cores import read_policies
from harness.compare.links import CaseLink
from harness.core.bench import Protocol
from harness.core.comparison import Basis, Evidence, Pair, ResultRow
from harness.core.ids import to_plain
from harness.core.units import count_noun

_SYSTEM_FACTS = (
    "os_image",
    "kernel",
    "android",
    "glibc",
    "machine",
    "userland_bits",
    "model",
    "cpu",
)
# Settings that are compared elsewhere, or that leave the runs themselves unchanged.
_IGNORED_SETTINGS = ("name", "threads", "canary", "answers")
# The steps of an idle governor lie farther apart than this; samples of a steady clock lie closer.
_EQUAL_CLOCK_RATIO = 1.05
_TIME_STEPS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)


def list_differences(pair: Pair, baseline: Evidence, candidate: Evidence) -> tuple[str, ...]:
    """Return a few words on each difference between the conditions of a pair's measurements.

    They cover tool, protocol, cores, inputs, governor, system, clock and harness version.
    """
    differences = (
        _compare_tools(pair),
        _compare_column(pair, "interpreter", name="interpreter", missing="none"),
        _compare_protocols(pair),
        _compare_column(pair, "cpus", name="cores", missing="any"),
        _compare_column(pair, "inputs", name="inputs", missing="the tool's own"),
        _compare_fact("governor", baseline, candidate=candidate),
        _compare_systems(baseline, candidate),
        _compare_clocks(pair, baseline, candidate=candidate),
        _describe_change("harness", baseline.harness_version, after=candidate.harness_version),
    )
    return tuple(filter(None, differences))


def _describe_change(name: str, before: object, after: object, missing: str = "unknown") -> str:
    """Return `name before → after`; empty if nothing changed."""
    if before == after:
        return ""
    before, after = (missing if value in (None, "") else value for value in (before, after))
    return f"{name} {before} → {after}"


def _compare_column(pair: Pair, column: str, name: str, missing: str) -> str:
    return _describe_change(
        name, pair.baseline[column], after=pair.candidate[column], missing=missing
    )


def _compare_fact(name: str, baseline: Evidence, candidate: Evidence) -> str:
    return _describe_change(name, baseline.facts.get(name), after=candidate.facts.get(name))


def _compare_tools(pair: Pair) -> str:
    baseline, candidate = pair.baseline, pair.candidate
    if baseline["tool"] != candidate["tool"]:
        return _describe_change("tool", baseline["tool"], after=candidate["tool"])
    before, after = (f"{row['tool_sha256'][:6]}…" for row in (baseline, candidate))
    return _describe_change(f"tool {candidate['tool']}:", before, after=after)


def _compare_protocols(pair: Pair) -> str:
    """Compare the names, or under one name each setting.

    The settings of `custom`, and of another version's `quick`, may differ.
    """
    baseline, candidate = pair.baseline, pair.candidate
    if baseline["protocol"] != candidate["protocol"]:
        return _describe_change("protocol", baseline["protocol"], after=candidate["protocol"])
    before, after = dict(_protocol_settings(baseline)), dict(_protocol_settings(candidate))
    changes = (
        _describe_change(name, before.get(name), after=after.get(name), missing="none")
        for name in {**before, **after}
    )
    text = ", ".join(filter(None, changes))
    return f"protocol {candidate['protocol']}: {text}" if text else ""


def _protocol_settings(row: ResultRow) -> Iterator[tuple[str, object]]:
    """Yield every setting, the gates' too; one that an old version lacked has its default."""
    for name, value in to_plain(Protocol(**json.loads(row["protocol_settings"]))).items():
        if isinstance(value, Mapping):
            yield from value.items()
        elif name not in _IGNORED_SETTINGS:
            yield name, value


def _compare_systems(baseline: Evidence, candidate: Evidence) -> str:
    changes = (_compare_fact(name, baseline, candidate=candidate) for name in _SYSTEM_FACTS)
    text = ", ".join(filter(None, changes))
    return f"system: {text}" if text else ""


def _compare_clocks(pair: Pair, baseline: Evidence, candidate: Evidence) -> str:
    """Compare the clocks sampled during the runs, or the cores' limits if either has no sample."""
    before, after = pair.baseline["frequency_khz"], pair.candidate["frequency_khz"]
    if not before or not after:
        before, after = _max_khz(baseline), _max_khz(candidate)
    if not before or not after or max(before, after) / min(before, after) <= _EQUAL_CLOCK_RATIO:
        return ""
    return _describe_change("clock", f"{before / 1e6:.2f} GHz", after=f"{after / 1e6:.2f} GHz")


def _max_khz(evidence: Evidence) -> int:
    return max((policy.max_khz for policy in read_policies(evidence.facts)), default=0)


def describe_link(pair: Pair, link: CaseLink) -> str:
    """Return how a pair was compared, unless in the blocks of its newest measurements.

    Apart, whatever else the device did in between is in the ratio, too.
    """
    before, after = (
        datetime.fromisoformat(row["measured_at"].replace("Z", "+00:00"))
        for row in (pair.baseline, pair.candidate)
    )
    span = f"measured {_format_span(abs(after - before))} apart"
    if link.basis is Basis.REFERENCE:
        return f"compared through {(link.reference or '')[:12]}, {span}"
    if link.basis is Basis.BLOCKS:
        return f"compared in a batch that both share, newest {span}" if link.is_earlier else ""
    return span


def _format_span(span: timedelta) -> str:
    for step, noun in _TIME_STEPS:
        if span >= step:
            return count_noun(round(span / step), noun)
    return "under a minute"
