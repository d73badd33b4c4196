"""Warnings about shaky measurements: a name, a threshold with its reason, and a remedy each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from harness.bench.schedule import is_wide
from harness.bench.statistics import (
    CHANCE_ALPHA,
    find_outliers,
    find_trend,
    is_bimodal,
    median_interval,
)
from harness.core.bench import Case, Gates, Protocol, Run, SensorSummary
from harness.core.quality import Warning


@dataclass(frozen=True)
class WarningRule:
    """A kind of warning: the condition that raises it, the reason for its threshold, a remedy.

    In the remedy, `{device}` stands for the device's id.
    """

    condition: str
    reason: str
    remedy: str


MIN_RUNS = 6
MAX_SPREAD = 0.10
MAX_DRIFT = 0.02
STEADY_CLOCK = 0.95
SLOWED_CLOCK = 0.90
CANARY_SIGMAS = 4.0
CANARY_CHANGE = 0.05
MIN_CANARY_HISTORY = 5

WARNINGS: Mapping[str, WarningRule] = MappingProxyType(
    {
        "few_runs": WarningRule(
            f"fewer than {MIN_RUNS} processes count",
            "fewer have no 95 % interval: 1 - 2 × 0.5⁵ is 93.8 %",
            remedy="measure with more processes",
        ),
        "below_resolution": WarningRule(
            "the tool's clock shows 0",
            "nothing can be divided by it",
            remedy="measure a larger model",
        ),
        "wide_interval": WarningRule(
            "the 95 % interval is still wider than the protocol's target "
            "after its maximum number of processes",
            "the protocol promised more precision than this device reached",
            remedy="measure with `--protocol thorough`, "
            "or look for disturbances with `harness devices check {device}`",
        ),
        "spread": WarningRule(
            "the slowest and the fastest process differ by more than "
            f"{MAX_SPREAD * 100:.0f} % of the median",
            "idle boards stay under 3 %",
            remedy="something else is running, see `harness devices check {device}`",
        ),
        "outliers": WarningRule(
            "a process is over 5 % off the median and its modified z-score is over 3.5",
            "the limit of Iglewicz and Hoaglin; outliers still count, as the median resists them",
            remedy="look at the `busy` and `temperature_c` of these runs in the table `runs`",
        ),
        "two_modes": WarningRule(
            "the processes fall into two separate groups",
            "the median then belongs to one group, and chance decides which",
            remedy="pin the tool with `cpus`, or fix the clock with `governor`",
        ),
        "drift": WarningRule(
            f"a trend of over {MAX_DRIFT * 100:.0f} % at the 1 % level (Mann-Kendall)",
            "the number depends on when it was taken; ratios within a batch do not",
            remedy="let the device warm up or cool down, or lower `gates.max_temperature_c`",
        ),
        "disturbed": WarningRule(
            "processes were throttled, slowed down, or shared the device with others",
            "they do not count and were repeated, unless too few others remain",
            remedy="stop other programs on the device, or cool it",
        ),
        "not_settled": WarningRule(
            "the gates' longest wait ended before the device was cool and idle",
            "waiting must end at some point",
            remedy="cool the device, stop other programs on it, or raise `gates.max_wait_s`",
        ),
        "unsteady_clock": WarningRule(
            f"the cores' clock fell under {STEADY_CLOCK * 100:.0f} % of its highest value between "
            "processes that count",
            "a latency belongs to a clock; boards with a fixed clock stay within 1 %",
            remedy="set `governor: performance` in the device's entry",
        ),
        "canary": WarningRule(
            f"the canary is over {CANARY_SIGMAS:g} robust standard deviations, and over "
            f"{CANARY_CHANGE * 100:.0f} %, off its own median of {MIN_CANARY_HISTORY} or more",
            "the same model on the same device should not change; "
            "4 sigmas come once in 16,000 times",
            remedy="the device itself has changed, "
            "see its trend with `harness devices check {device}`",
        ),
        "reference_kernels": WarningRule(
            "`harness tools check` found no difference with and without `--use_reference_bconv`",
            "a wrongly built tool silently runs Larq Compute Engine's slow kernels",
            remedy="add a tool that was built with Ruy, such as the released one",
        ),
        "chance": WarningRule(
            "the artifact does not classify significantly more test images correctly than naming "
            f"the most frequent class for each would (binomial test, {CHANCE_ALPHA * 100:.0f} %)",
            "the latency of a network that learned nothing has no meaning",
            remedy="train longer, or look at the loss with `harness query curves`",
        ),
    }
)
"""The catalogue of warnings by name; the manual's table is compared with it."""

_CIRCUMSTANCES = frozenset({"not_settled", "canary", "reference_kernels"})
"""Warnings that cannot be derived from the runs: a later reading keeps them as they are."""


def make_warning(name: str, value: str, device: str = "") -> Warning:
    """Return the warning of that name, with its remedy for the device of that id, if any."""
    return Warning(name, value, remedy=WARNINGS[name].remedy.format(device=device))


def select_circumstances(warnings: Iterable[Warning]) -> list[Warning]:
    """Return the warnings that were not derived from the runs themselves."""
    return [warning for warning in warnings if warning.name in _CIRCUMSTANCES]


def describe_disturbance(
    sensors: SensorSummary, gates: Gates | None, usual_khz: float | None
) -> str:
    """Return the reason why a process does not count, or an empty string if it does.

    `usual_khz` is the clock of the batch's other processes.
    """
    if gates is None:
        return ""
    if sensors.throttled:
        return "throttled"
    if sensors.busy is not None and sensors.busy > gates.max_busy:
        return f"others used {sensors.busy:.0%} of its CPU time"
    if (
        usual_khz is not None
        and sensors.frequency_khz is not None
        and sensors.frequency_khz < SLOWED_CLOCK * usual_khz
    ):
        return f"slowed down to {sensors.frequency_khz / usual_khz:.0%} of its clock"
    return ""


def select_counted(runs: Sequence[Run]) -> list[Run]:
    """Return the undisturbed runs, or all of them if the undisturbed are too few to be of use."""
    undisturbed = [run for run in runs if not run.disturbed]
    return undisturbed if len(undisturbed) >= min(MIN_RUNS, len(runs)) else list(runs)


def find_warnings(case: Case, runs: Sequence[Run]) -> list[Warning]:
    """Return the warnings that a case's runs give rise to. At least one run is needed."""
    counted = select_counted(runs)
    averages = [run.log.inference.avg_us for run in counted]
    values = {
        "few_runs": _describe_few_runs(averages),
        "below_resolution": "the tool's clock shows 0" if median(averages) == 0 else "",
        "disturbed": _describe_disturbed(runs, counted),
    }
    if median(averages) > 0:
        values |= {
            "wide_interval": _describe_width(case.protocol, averages),
            "spread": _describe_spread(averages),
            "outliers": _describe_outliers(counted, averages),
            "two_modes": "the processes fall into two groups" if is_bimodal(averages) else "",
            "drift": _describe_drift(averages),
            "unsteady_clock": _describe_clock(counted),
        }
    return [
        make_warning(name, value, device=case.device) for name, value in values.items() if value
    ]


def _describe_few_runs(averages: Sequence[float]) -> str:
    return f"{len(averages)} processes give no 95 % interval" if len(averages) < MIN_RUNS else ""


def _describe_width(protocol: Protocol, averages: Sequence[float]) -> str:
    interval = median_interval(averages)
    if interval is None or not is_wide(protocol, averages):
        return ""
    width = (interval[1] - interval[0]) / median(averages)
    return (
        f"the interval is {width:.2g} of the median wide after {len(averages)} processes, "
        f"over {protocol.target:g}"
    )


def _describe_spread(averages: Sequence[float]) -> str:
    spread = (max(averages) - min(averages)) / median(averages)
    return f"run-to-run spread {spread:.0%}" if spread > MAX_SPREAD else ""


def _describe_outliers(runs: Sequence[Run], averages: Sequence[float]) -> str:
    numbers = [str(runs[index].process.number) for index in find_outliers(averages)]
    return f"{'run' if len(numbers) == 1 else 'runs'} {', '.join(numbers)}" if numbers else ""


def _describe_drift(averages: Sequence[float]) -> str:
    change = find_trend(averages)
    if not change or abs(change) <= MAX_DRIFT:
        return ""
    return f"{change:+.1%} from the first process to the last"


def _describe_clock(runs: Sequence[Run]) -> str:
    clocks = [run.sensors.frequency_khz for run in runs if run.sensors.frequency_khz is not None]
    if not clocks or min(clocks) >= STEADY_CLOCK * max(clocks):
        return ""
    return f"{min(clocks) / 1e6:.2f} to {max(clocks) / 1e6:.2f} GHz"


def _describe_disturbed(runs: Sequence[Run], counted: Sequence[Run]) -> str:
    disturbed = [run for run in runs if run.disturbed]
    if not disturbed:
        return ""
    consequence = (
        "all count, as too few others remain" if len(counted) == len(runs) else "these do not count"
    )
    return f"{len(disturbed)} of {len(runs)} processes ({disturbed[-1].disturbed}), {consequence}"


def check_canary(device: str, latest_us: float, history_us: Sequence[float]) -> Warning | None:
    """Return a warning if the device has changed compared with its own past.

    1.4826 times the median absolute deviation estimates a normal distribution's standard deviation
    (Rousseeuw and Croux 1993). A history shorter than `MIN_CANARY_HISTORY` gives no warning.
    """
    if len(history_us) < MIN_CANARY_HISTORY:
        return None
    usual_us = median(history_us)
    sigma_us = 1.4826 * median(abs(latency_us - usual_us) for latency_us in history_us)
    change = latest_us / usual_us - 1
    if abs(change) <= CANARY_CHANGE or abs(latest_us - usual_us) <= CANARY_SIGMAS * sigma_us:
        return None
    value = f"the canary took {change:+.0%} against the median of {len(history_us)} earlier ones"
    return make_warning("canary", value, device=device)
