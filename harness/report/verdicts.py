"""Sentences that sum up a comparison: the same in a terminal, in JUnit XML and in Markdown."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.compare.regression import find_regression, is_undetectable
from harness.core.comparison import Comparison, Estimate, Verdict
from harness.core.units import count_noun, format_percent
from harness.report.terminal.tables import format_ratio


@dataclass(frozen=True)
class ComparisonRequest:
    """A comparison as the user asked for it.

    `limit` is the share of 1 by which the candidate may be worse; None sets no limit.
    """

    baseline: str
    candidate: str
    metrics: tuple[str, ...]
    limit: float | None = None

    @property
    def title(self) -> str:
        return f"{self.candidate} compared with {self.baseline}"


LEGEND = "Ratios are candidate / baseline; below 1 means faster or smaller."


def describe_comparison(comparisons: Sequence[Comparison], request: ComparisonRequest) -> list[str]:
    """Return sentences on which side is faster on each device, and on what else differed."""
    sentences = []
    if "latency" in request.metrics:
        sentences += summarize_verdicts(comparisons, request.candidate)
    return [*sentences, *describe_differences(comparisons)]


def describe_regressions(comparison: Comparison, request: ComparisonRequest) -> Iterator[str]:
    """Yield a sentence for each metric that is worse by more than the limit."""
    if request.limit is None:
        return
    for metric in request.metrics:
        change = find_regression(comparison, metric, limit=request.limit)
        if change is not None:
            artifact = comparison.pair.candidate["artifact"][:12]
            location = describe_location(comparison)
            yield (
                f"{metric} on {location}: {artifact} is {change:.1%} worse, "
                f"more than the limit of {request.limit:.1%}."
            )


def describe_undetectable(
    comparisons: Sequence[Comparison], request: ComparisonRequest
) -> Iterator[str]:
    """Yield a sentence on the pairs that pass only because their data are too noisy.

    A change over the limit would not have been detected in these data.
    """
    if request.limit is None or "latency" not in request.metrics:
        return
    undetectable = [
        comparison for comparison in comparisons if is_undetectable(comparison, request.limit)
    ]
    if undetectable:
        locations = dict.fromkeys(map(describe_location, undetectable))
        total = count_noun(len(comparisons), "comparison")
        yield (
            f"latency on {'; '.join(locations)}: a change of {request.limit:.1%} would not have "
            f"been detected in {len(undetectable)} of {total}. "
            "Measure both sides again with `--protocol thorough`."
        )


def describe_location(comparison: Comparison) -> str:
    """Return the device and the thread count, such as `pi4, 1 thread`."""
    row = comparison.pair.candidate
    return f"{row['device']}, {count_noun(row['threads'], 'thread')}"


def summarize_verdicts(comparisons: Sequence[Comparison], candidate: str) -> list[str]:
    """Return a sentence for each device and thread count.

    It counts the variants of which the candidate is faster, slower, or neither.
    """
    groups: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault(describe_location(comparison), []).append(comparison)
    return [f"{location}: {_summarize(group, candidate)}." for location, group in groups.items()]


def _summarize(group: Sequence[Comparison], candidate: str) -> str:
    """Return text such as `binary is faster in 5 of 6 variants (× 0.21 to × 0.84), …`."""
    parts, total = [], f" of {count_noun(len(group), 'variant')}"
    for verdict, describe in _DETAILS.items():
        latencies = [comparison.latency for comparison in group if comparison.verdict is verdict]
        if latencies:
            parts.append(f"{verdict} in {len(latencies)}{total}{describe(latencies)}")
            total = ""
    decided = any(comparison.verdict in (Verdict.FASTER, Verdict.SLOWER) for comparison in group)
    return (f"{candidate} is " if decided else "") + ", ".join(parts)


def _describe_range(ratios: Sequence[Estimate]) -> str:
    values = [ratio.value for ratio in ratios]
    ends = dict.fromkeys(format_ratio(Estimate(end)) for end in (min(values), max(values)))
    return f" ({' to '.join(ends)})"


def _describe_detectable(ratios: Sequence[Estimate]) -> str:
    changes = [ratio.smallest_change for ratio in ratios if ratio.smallest_change is not None]
    if not changes:
        return ""
    return f" (a change of {format_percent(max(changes))} would have been detected)"


def _describe_too_little(_: Sequence[Estimate]) -> str:
    return " (too few or too short runs to tell)"


_DETAILS: dict[Verdict, Callable[[Sequence[Estimate]], str]] = {
    Verdict.FASTER: _describe_range,
    Verdict.SLOWER: _describe_range,
    Verdict.NO_DIFFERENCE: _describe_detectable,
    Verdict.UNKNOWN: _describe_too_little,
}


def describe_differences(comparisons: Sequence[Comparison]) -> list[str]:
    """Return each condition that differed between the sides of a pair, and on which devices."""
    pair_counts = Counter(comparison.pair.candidate["device"] for comparison in comparisons)
    devices_of: dict[str, Counter[str]] = {}
    for comparison in comparisons:
        for difference in comparison.pair.differences:
            devices = devices_of.setdefault(difference, Counter())
            devices[comparison.pair.candidate["device"]] += 1
    return [
        f"{_list_devices(devices, pair_counts)}: {difference}"
        for difference, devices in devices_of.items()
    ]


def _list_devices(devices: Counter[str], pair_counts: Counter[str]) -> str:
    """Return the device ids, with a count where not all pairs of the device are concerned."""
    return ", ".join(
        device if count == pair_counts[device] else f"{device} ({count} of {pair_counts[device]})"
        for device, count in devices.items()
    )
