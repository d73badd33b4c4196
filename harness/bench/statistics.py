"""What numbers of one measurement, or of two, say. Pure functions over latencies, which are positive, in any one unit.

Each number is the average of one process of the tool. Latencies are compared as ratios, so on the log scale.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil, comb, exp, expm1, log, sqrt
from statistics import NormalDist, median
from typing import TypeAlias

import numpy as np
import scipy  # its parts, of which `stats` takes seconds, come when they are first used
from numpy.typing import NDArray

from harness.core.comparison import Estimate, Verdict

Floats: TypeAlias = NDArray[np.float64]

ALPHA = 0.04
"""Of a comparison, so that the same artifact is called different in under 5 of 100. A test at 5 % is exact for a number
of blocks that is fixed; where that follows from what the blocks said, it was fooled in up to 5.6 of 100 (two modes, 40
blocks; `tests/bench/test_proofs.py`)."""
POWER = 0.90
NOMINAL = 0.965
"""Of the interval that is called the 95 % interval of the median. Where its own width decides when measuring ends
(`schedule.wants_another`), an interval of 95 % holds the median in only 91 to 95 % of measurements, since one that is
narrow by luck ends it early (Chow and Robbins 1965). One of 96.5 % holds it in 94 to 97 %; `tests/bench/test_proofs.py`
shows it."""
FEWEST_PAIRS = 6  # fewer can't reject: 2 * 0.5**5 = 6.3 %
OUTLYING = 3.5
LEAST_OUTLYING = 0.05  # 3.5 alone flags one value of ten in 13 of 100 clean samples
TREND_ALPHA = 0.01
FEWEST_FOR_MODES = 8
LEAST_MODE = 0.2


def median_interval(
    values: Sequence[float], confidence: float = NOMINAL
) -> tuple[float, float] | None:
    """An interval of the median of whatever distribution the values come from, in any order of theirs.

    It lies between neighbouring order statistics, which alone would hold the median too often (97.9 % for 10 values).
    None where even all of them, from least to most, don't reach the confidence: under 6 values at 95 or 96.5 %.
    Hettmansperger and Sheather, "Confidence intervals based on interpolated order statistics" (1986).
    """
    ends = _interpolation(len(values), confidence)
    if ends is None:
        return None
    rank, weight = ends
    ordered = sorted(values)
    # Written so that equal neighbours give exactly their value.
    low, inner_low = ordered[rank - 1], ordered[rank]
    high, inner_high = ordered[-rank], ordered[-rank - 1]
    return low + weight * (inner_low - low), high + weight * (inner_high - high)


@lru_cache(maxsize=1024)
def _interpolation(count: int, confidence: float) -> tuple[int, float] | None:
    """The rank of the outer order statistic, from 1, and the weight of its inner neighbour."""
    held = [
        1 - 2 * sum(comb(count, i) for i in range(rank)) / 2**count
        for rank in range(1, count // 2 + 2)
    ]
    rank = sum(confidence <= one for one in held)
    if rank == 0:
        return None
    excess = (held[rank - 1] - confidence) / (held[rank - 1] - held[rank])
    return rank, (count - rank) * excess / (rank + (count - 2 * rank) * excess)


def outliers(values: Sequence[float]) -> tuple[int, ...]:
    """Indices of the values over 5 % off the median whose modified z-score on the log scale is over 3.5.

    Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993), section 3.3. Where over half of the values are
    equal, so that their median absolute deviation is 0, the mean one takes its place, as they advise.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # a clock that shows 0 is no error here
        logs = np.log(np.asarray(values, dtype=float))
        away = np.abs(logs - np.median(logs))
        sigma = 1.4826 * np.median(away) or 1.2533 * np.mean(away)
        return tuple(
            int(index)
            for index in np.flatnonzero((away > OUTLYING * sigma) & (away > LEAST_OUTLYING))
        )


def trend(values: Sequence[float]) -> float | None:
    """The relative change from the first value to the last, where the Mann-Kendall test finds one at 1 %; else None.

    The change is along the Theil-Sen line (Sen 1968), as a share of the median. `values` stand in the order of time.
    """
    p = scipy.stats.kendalltau(range(len(values)), values).pvalue if len(values) > 1 else 1.0
    if not p < TREND_ALPHA:  # not a number where all are equal
        return None
    return float(scipy.stats.theilslopes(values).slope) * (len(values) - 1) / median(values)


def is_bimodal(values: Sequence[float]) -> bool:
    """Whether the values fall into two groups apart, each of at least a fifth of them; under 8 values can't tell.

    They are split at the largest gap that leaves such groups. It counts where it is over 1, and over 45 / n, standard
    deviations within the groups: the largest gap of one group falls with n as the distance of neighbours does. By
    simulation, one lognormal group is taken for two in under 1 of 100 samples.
    """
    count = len(values)
    if count < FEWEST_FOR_MODES:
        return False
    ordered = np.sort(np.asarray(values, dtype=float))
    least = max(2, int(np.ceil(LEAST_MODE * count)))
    gaps = np.diff(ordered)[least - 1 : count - least]
    groups = np.split(ordered, [least + int(np.argmax(gaps))])
    within = sqrt(sum(float(np.sum((group - group.mean()) ** 2)) for group in groups) / (count - 2))
    return float(np.max(gaps)) > max(1.0, 45 / count) * within


def ratio_in_blocks(baseline: Sequence[float], candidate: Sequence[float]) -> Estimate:
    """How many times as long the candidate takes, where the i-th of both come from the same block.

    On the logs of the ratios: the Hodges-Lehmann estimate, and the interval of all ratios that Wilcoxon's signed-rank
    test does not reject. The order in a block is shuffled, so if both take equally long, each log ratio is as likely as
    its negative, whatever the noise, drift or modes of the device: that test is exact (Fisher's randomisation;
    Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 3.1 to 3.3). Few blocks can't give it a small p,
    though (2 / 64 for 6), and among many devices it takes one: so `p` is the paired t-test's where that is less.
    Under 6 blocks say nothing but the ratio. Raises ValueError where the lengths differ.
    """
    if len(baseline) != len(candidate):
        raise ValueError(
            f"{len(baseline)} and {len(candidate)} values are no pairs; give both of each block"
        )
    ratios = np.log(candidate) - np.log(baseline)
    above, below = np.triu_indices(len(ratios))
    walsh = np.sort((ratios[above] + ratios[below]) / 2)
    if len(ratios) < FEWEST_PAIRS:
        return Estimate(exp(np.median(walsh)), samples=len(ratios))
    error = float(np.std(ratios, ddof=1)) / sqrt(len(ratios))
    by_t = _t_test(ratios.mean(), error, samples=len(ratios))
    return _ratio(
        walsh, _signed_rank_chances(len(ratios)), by_t=by_t, error=error, samples=len(ratios)
    )


def ratio_of_samples(baseline: Sequence[float], candidate: Sequence[float]) -> Estimate:
    """How many times as long the candidate takes, where the two were not measured in the same blocks.

    The Hodges-Lehmann shift of the logs, and the interval of all ratios that the Mann-Whitney test does not reject
    (Hollander, Wolfe and Chicken, 4.1 to 4.3); `p` is its, or Welch's where that is less. It takes the values of each
    for independent: what changes between the two measurements, such as a drift of the device, it can't tell from a
    difference. `samples`: of the smaller one.
    """
    logs = np.log(baseline), np.log(candidate)
    shifts = np.sort(np.subtract.outer(logs[1], logs[0]).ravel())
    fewest, most = sorted((len(baseline), len(candidate)))
    if fewest < FEWEST_PAIRS:
        return Estimate(exp(np.median(shifts)), samples=fewest)
    error = sqrt(sum(float(np.var(one, ddof=1)) / len(one) for one in logs))
    by_t = _t_test(logs[1].mean() - logs[0].mean(), error, samples=fewest)
    return _ratio(shifts, _rank_sum_chances(fewest, most), by_t=by_t, error=error, samples=fewest)


def _t_test(change: float, error: float, samples: int) -> float:
    """Two-sided p. Values that don't vary at all leave no doubt."""
    if error == 0:
        return 1.0 if change == 0 else 0.0
    return float(2 * scipy.special.stdtr(samples - 1, -abs(change) / error))  # of Student's t


def _ratio(contrasts: Floats, chances: Floats, by_t: float, error: float, samples: int) -> Estimate:
    """`contrasts`: the sorted log ratios of all pairs, whose counts on either side of a shift are what is tested."""
    up_to = np.cumsum(chances)
    outside = int(np.searchsorted(up_to, ALPHA / 2, side="right"))
    low, high = exp(contrasts[outside - 1]), exp(contrasts[-outside])
    p = min(_two_sided(contrasts, up_to), by_t)
    estimate = Estimate(
        exp(np.median(contrasts)), low, high=high, p=p, samples=samples, error=error
    )
    return replace(estimate, smallest_change=smallest_change(estimate, 1))


def _two_sided(contrasts: Floats, up_to: Floats) -> float:
    """The exact test's p, by how many lie on the rarer side of no change; one that shows none lies half on each.

    `up_to`: the chance of each count or fewer.
    """
    below, not_above = (
        int(np.searchsorted(contrasts, 0.0, side=side)) for side in ("left", "right")
    )
    even = (not_above - below) / 2
    return min(1.0, 2 * float(up_to[ceil(min(below, len(contrasts) - not_above) + even)]))


def smallest_change(estimate: Estimate, comparisons: int) -> float | None:
    """The share by which a ratio would have to change to be found 9 times in 10, among so many comparisons at once.

    It is found where it is over half the interval's width, for the exact test, and, if it alone differs among
    `comparisons`, over t(alpha / (2 comparisons)) standard errors; 9 in 10 estimates are over the change less t(0.9)
    of them. A slowdown by that share is as large on the log scale; a speed-up by it is larger there.
    """
    if estimate.error is None or estimate.low is None or estimate.high is None:
        return None
    alone, found = scipy.special.stdtrit(
        estimate.samples - 1, [ALPHA / (2 * comparisons), POWER]
    )  # of Student's t
    reach = max(log(estimate.high / estimate.low) / 2, -float(alone) * estimate.error)
    return expm1(reach + float(found) * estimate.error)


@lru_cache(maxsize=256)
def _signed_rank_chances(count: int) -> Floats:
    """Of each sum of the positive ranks where every sign is as likely as the other (Hollander et al., 3.1)."""
    chances = np.zeros(count * (count + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, count + 1):
        chances[rank:] += chances[:-rank].copy()
        chances /= 2
    return chances


@lru_cache(maxsize=256)
def _rank_sum_chances(fewest: int, most: int) -> Floats:
    """Of each Mann-Whitney count, from 0 to `fewest * most`, where every order is as likely (Hollander et al., 4.1)."""
    least = fewest * (fewest + 1) // 2
    ways = np.zeros((fewest + 1, least + fewest * most + 1))  # how many ranks, their sum
    ways[0, 0] = 1.0
    for rank in range(1, fewest + most + 1):
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    chances: Floats = ways[fewest, least:] / comb(fewest + most, fewest)
    return chances


def adjusted(ps: Sequence[float | None]) -> list[float | None]:
    """Each p for how many comparisons were made at once (Benjamini and Hochberg 1995); None stays None.

    Where nothing differs at all, a false alarm anywhere is as rare as under Holm's method; where something does, at
    most 5 % of the findings are false. And it finds more: 10 blocks can't give less than p = 2 / 1024, which Holm would
    never let pass among 50 devices (50 * 2 / 1024 > 5 %), and this does as soon as two of them show it.
    """
    known = [p for p in ps if p is not None]
    found = iter(scipy.stats.false_discovery_control(known).tolist() if known else [])
    return [None if p is None else next(found) for p in ps]


def verdict(estimate: Estimate, adjusted_p: float | None, alpha: float = ALPHA) -> Verdict:
    """Of a ratio of latencies: a change has to pass the exact test by itself, as its interval tells, and among all."""
    if adjusted_p is None or estimate.low is None or estimate.high is None:
        return Verdict.UNKNOWN
    if adjusted_p > alpha or estimate.low <= 1 <= estimate.high:
        return Verdict.NO_DIFFERENCE
    return Verdict.FASTER if estimate.value < 1 else Verdict.SLOWER


def accuracy_difference(baseline: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> Estimate:
    """Candidate minus baseline, in shares of 1; the i-th of each says whether it got the same i-th image right.

    p is McNemar's, exact. The interval is the adjusted Wald one of Bonett and Price, "Adjusted Wald confidence interval
    for a difference of binomial proportions based on paired data" (2012). Raises ValueError for different lengths.
    """
    if len(baseline) != len(candidate) or len(baseline) == 0:
        raise ValueError(
            f"{len(baseline)} and {len(candidate)} images are no pairs; give both of the same test set"
        )
    lost, won = int(np.sum(baseline & ~candidate)), int(np.sum(~baseline & candidate))
    images = len(baseline)
    worse, better = (lost + 1) / (images + 2), (won + 1) / (images + 2)
    error = sqrt((worse + better - (better - worse) ** 2) / (images + 2))
    reach = NormalDist().inv_cdf(0.975) * error
    return Estimate(
        value=(won - lost) / images,
        low=better - worse - reach,
        high=better - worse + reach,
        p=float(scipy.stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0,
        smallest_change=reach + NormalDist().inv_cdf(POWER) * error,
        samples=images,
    )
