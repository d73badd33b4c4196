"""What makes a number shaky: each warning has a name, a threshold with a reason, and a remedy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from harness.bench.schedule import is_wide
from harness.bench.statistics import is_bimodal, median_interval, outliers, trend
from harness.core.bench import Case, Gates, Protocol, Run, Watched


@dataclass(frozen=True)
class Rule:
    """`when` and `why` are for the manual, which a test holds against this table; `remedy` goes with the warning.

    In it, `{device}` stands for the device's id.
    """

    when: str
    why: str
    remedy: str


LEAST_RUNS = 6
WIDEST_SPREAD = 0.10
LARGEST_DRIFT = 0.02
STEADY_CLOCK = 0.95
SLOWED_CLOCK = 0.90
CANARY_SIGMAS = 4.0
CANARY_CHANGE = 0.05
CANARY_HISTORY = 5
OK = "ok"

RULES = {
    "few_runs": Rule(
        f"under {LEAST_RUNS} processes count",
        "fewer have no 95 % interval: 1 - 2 × 0.5⁵ is 93.8 %",
        remedy="measure with more processes",
    ),
    "below_resolution": Rule(
        "the tool's clock shows 0", "nothing can be divided by it", remedy="measure a larger model"
    ),
    "wide_interval": Rule(
        "the 95 % interval is wider than the protocol's target when its most processes are done",
        "the protocol promised more than this device could hold",
        remedy="measure with `--protocol thorough`, or find what disturbs it with `harness devices check {device}`",
    ),
    "spread": Rule(
        f"the slowest process took over {WIDEST_SPREAD:.0%} longer than the fastest, as a share of the median",
        "idle boards stay under 3 %",
        remedy="something else is running, see `harness devices check {device}`",
    ),
    "outliers": Rule(
        "a process over 5 % off the median with a modified z-score over 3.5",
        "Iglewicz and Hoaglin's; they count all the same, and the median bears them",
        remedy="look at these runs' `busy` and `temperature_c` in the table `runs`",
    ),
    "two_modes": Rule(
        "the processes fall into two groups apart",
        "the median then is one group's, and which may be chance",
        remedy="pin the tool with `cpus`, or fix the clock with `governor`",
    ),
    "drift": Rule(
        f"a trend at the 1 % level (Mann-Kendall) of over {LARGEST_DRIFT:.0%}",
        "the number depends on when it was taken; ratios within a batch do not",
        remedy="let it warm up or cool down, or lower `gates.max_temperature_c`",
    ),
    "disturbed": Rule(
        "processes were throttled, slowed down, or shared the device with others",
        "they do not count and were repeated, unless too few would be left",
        remedy="end what else runs there, or cool it",
    ),
    "not_settled": Rule(
        "the gates' longest wait was over before the device was cool and idle",
        "waiting has to end some time",
        remedy="cool it, end what else runs there, or raise `gates.max_wait_s`",
    ),
    "unsteady_clock": Rule(
        f"the cores' clock fell under {STEADY_CLOCK:.0%} of its highest between processes that count",
        "a latency belongs to a clock; boards with a fixed one stay within 1 %",
        remedy="set `governor: performance` in its entry",
    ),
    "canary": Rule(
        f"the canary is over {CANARY_SIGMAS:g} robust standard deviations, and {CANARY_CHANGE:.0%}, off its own median "
        f"of {CANARY_HISTORY} or more",
        "the same model on the same device should not change; 4 sigmas come once in 16,000 times",
        remedy="the device itself has changed, see its trend with `harness devices check {device}`",
    ),
    "reference_kernels": Rule(
        "`harness tools check` found no difference with and without `--use_reference_bconv`",
        "a wrongly built tool runs Larq Compute Engine's slow kernels without a word",
        remedy="add a tool that was built with Ruy, such as the released one",
    ),
}
# Those that no process tells: a reading of the past keeps them as they were found.
_OF_CIRCUMSTANCES = ("not_settled", "canary", "reference_kernels")


def warning(name: str, found: str, device: str) -> str:
    return f"{name}: {found}: {RULES[name].remedy.format(device=device)}"


def names(quality: str) -> list[str]:
    return [one.partition(":")[0] for one in quality.split("; ")]


def circumstances(quality: str) -> list[str]:
    """The warnings of an earlier reading that do not come from its processes."""
    return [one for one in quality.split("; ") if one.partition(":")[0] in _OF_CIRCUMSTANCES]


def disturbance(watched: Watched, gates: Gates | None, usual_khz: float | None) -> str:
    """Why a process does not count; empty where it does. `usual_khz`: the clock of the batch's other processes."""
    if gates is None:
        return ""
    if watched.throttled:
        return "throttled"
    if watched.busy is not None and watched.busy > gates.max_busy:
        return f"others used {watched.busy:.0%} of its CPU time"
    if (
        usual_khz is not None
        and watched.frequency_khz is not None
        and watched.frequency_khz < SLOWED_CLOCK * usual_khz
    ):
        return f"slowed down to {watched.frequency_khz / usual_khz:.0%} of its clock"
    return ""


def counting(runs: Sequence[Run]) -> list[Run]:
    """The undisturbed ones; all of them where those are too few to say anything, which the quality then tells."""
    undisturbed = [run for run in runs if not run.disturbed]
    return undisturbed if len(undisturbed) >= min(LEAST_RUNS, len(runs)) else list(runs)


def quality(case: Case, runs: Sequence[Run], found_around: Iterable[str] = ()) -> str:
    """Warnings, each `name: what was found: what to do`, with `; ` between them; or `ok`. `runs` holds at least one."""
    return "; ".join([*_of_runs(case, runs), *found_around]) or OK


def _of_runs(case: Case, runs: Sequence[Run]) -> list[str]:
    counted = counting(runs)
    averages = [run.log.inference.avg_us for run in counted]
    found = {
        "few_runs": _few(averages),
        "below_resolution": "the tool's clock shows 0" if median(averages) == 0 else "",
        "disturbed": _disturbed(runs, counted),
    }
    if median(averages) > 0:
        found |= {
            "wide_interval": _wide(case.protocol, averages),
            "spread": _spread(averages),
            "outliers": _outliers(counted, averages),
            "two_modes": "the processes fall into two groups" if is_bimodal(averages) else "",
            "drift": _drift(averages),
            "unsteady_clock": _clock(counted),
        }
    return [warning(name, words, device=case.device) for name, words in found.items() if words]


def _few(averages: Sequence[float]) -> str:
    return f"{len(averages)} processes give no 95 % interval" if len(averages) < LEAST_RUNS else ""


def _wide(protocol: Protocol, averages: Sequence[float]) -> str:
    interval = median_interval(averages)
    if interval is None or not is_wide(protocol, averages):
        return ""
    width = (interval[1] - interval[0]) / median(averages)
    return f"the interval is {width:.2g} of the median wide after {len(averages)} processes, over {protocol.target:g}"


def _spread(averages: Sequence[float]) -> str:
    spread = (max(averages) - min(averages)) / median(averages)
    return f"run-to-run spread {spread:.0%}" if spread > WIDEST_SPREAD else ""


def _outliers(runs: Sequence[Run], averages: Sequence[float]) -> str:
    numbers = [str(runs[index].process.number) for index in outliers(averages)]
    return f"{'run' if len(numbers) == 1 else 'runs'} {', '.join(numbers)}" if numbers else ""


def _drift(averages: Sequence[float]) -> str:
    change = trend(averages)
    return (
        f"{change:+.1%} from the first process to the last"
        if change and abs(change) > LARGEST_DRIFT
        else ""
    )


def _clock(runs: Sequence[Run]) -> str:
    clocks = [run.watched.frequency_khz for run in runs if run.watched.frequency_khz is not None]
    if not clocks or min(clocks) >= STEADY_CLOCK * max(clocks):
        return ""
    return f"{min(clocks) / 1e6:.2f} to {max(clocks) / 1e6:.2f} GHz"


def _disturbed(runs: Sequence[Run], counted: Sequence[Run]) -> str:
    disturbed = [run for run in runs if run.disturbed]
    if not disturbed:
        return ""
    used = (
        "all count, as too few would be left" if len(counted) == len(runs) else "these do not count"
    )
    return f"{len(disturbed)} of {len(runs)} processes ({disturbed[-1].disturbed}), {used}"


def canary_warning(device: str, latest_us: float, history_us: Sequence[float]) -> str:
    """Whether the device has changed against its own past; empty where not, or where too little is known of it.

    1.4826 times the median absolute deviation is a normal distribution's standard deviation (Rousseeuw and Croux 1993).
    """
    if len(history_us) < CANARY_HISTORY:
        return ""
    usual = median(history_us)
    sigma = 1.4826 * median(abs(one - usual) for one in history_us)
    change = latest_us / usual - 1
    if abs(change) <= CANARY_CHANGE or abs(latest_us - usual) <= CANARY_SIGMAS * sigma:
        return ""
    found = f"the canary took {change:+.0%} against the median of {len(history_us)} earlier ones"
    return warning("canary", found, device=device)
