"""Statistics of one measurement, or of two: pure functions over positive latencies in any one unit.

Each number is the average of one process of the tool. Latencies are compared as ratios, that is on
the log scale.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil, comb, exp, expm1, log, sqrt
from statistics import NormalDist, median
from typing import TypeAlias

import numpy as np
import scipy  # its parts load when first used; `stats` would take a second
from numpy.typing import NDArray

from harness.core.comparison import Estimate, Verdict

Floats: TypeAlias = NDArray[np.float64]

ALPHA = 0.04
"""The level of a comparison: an artifact is called different from itself in under 5 of 100.

A test at 5 % is exact for a fixed number of blocks. If the blocks' own values decide that number,
it was fooled in up to 5.6 of 100 (two modes, 40 blocks; `tests/bench/test_proofs.py`)."""
POWER = 0.90
NOMINAL = 0.965
"""The confidence of the interval that is called the 95 % interval of the median.

If its own width decides when measuring ends (`schedule.needs_another_process`), an interval of 95 %
holds the median in only 91 to 95 % of measurements: one that is narrow by luck ends it early (Chow
and Robbins 1965). An interval of 96.5 % holds it in 94 to 97 %, as `tests/bench/test_proofs.py`
shows."""
MIN_PAIRS = 6  # fewer can't reject: 2 * 0.5**5 = 6.3 %
OUTLIER_Z_SCORE = 3.5
MIN_OUTLIER_DEVIATION = 0.05  # 3.5 alone flags one value of ten in 13 of 100 clean samples
TREND_ALPHA = 0.01
_MAX_EXACT_TREND = 33
CHANCE_ALPHA = 0.01
MIN_VALUES_FOR_MODES = 8
MIN_MODE_SHARE = 0.2


def median_interval(
    values: Sequence[float], confidence: float = NOMINAL
) -> tuple[float, float] | None:
    """Return a confidence interval of the median, whatever distribution the values come from.

    The order of the values does not matter. Each end lies between neighbouring order statistics,
    which alone would hold the median too often (97.9 % for 10 values). The result is None if even
    the range of all values does not reach the confidence. That is so for under 6 values at 95 or
    96.5 %.

    Hettmansperger and Sheather, "Confidence intervals based on interpolated order statistics"
    (1986).
    """
    interpolation = _interpolate_rank(len(values), confidence)
    if interpolation is None:
        return None
    rank, weight = interpolation
    ordered = sorted(values)
    # Written so that equal neighbours give exactly their value.
    low, inner_low = ordered[rank - 1], ordered[rank]
    high, inner_high = ordered[-rank], ordered[-rank - 1]
    return low + weight * (inner_low - low), high + weight * (inner_high - high)


@lru_cache(maxsize=1024)
def _interpolate_rank(count: int, confidence: float) -> tuple[int, float] | None:
    """Return the outer order statistic's rank, from 1, and the weight of its inner neighbour."""
    coverages = [
        1 - 2 * _lower_tail_ways(count, rank) / 2**count for rank in range(1, count // 2 + 2)
    ]
    rank = sum(confidence <= coverage for coverage in coverages)
    if rank == 0:
        return None
    outer, inner = coverages[rank - 1], coverages[rank]
    excess = (outer - confidence) / (outer - inner)
    return rank, (count - rank) * excess / (rank + (count - 2 * rank) * excess)


def _lower_tail_ways(count: int, rank: int) -> int:
    """Return in how many ways fewer than `rank` of `count` values lie below the median."""
    return sum(comb(count, below) for below in range(rank))


def find_outliers(values: Sequence[float]) -> tuple[int, ...]:
    """Return the indices of the outliers.

    An outlier is over 5 % off the median, and its modified z-score on the log scale is over 3.5.
    The median absolute deviation is 0 if over half of the values are equal. Then the mean absolute
    deviation takes its place.

    Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993), section 3.3.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # a clock may show 0
        logs = np.log(np.asarray(values, dtype=float))
        deviations = np.abs(logs - np.median(logs))
        sigma = 1.4826 * np.median(deviations) or 1.2533 * np.mean(deviations)
        is_outlier = (deviations > OUTLIER_Z_SCORE * sigma) & (deviations > MIN_OUTLIER_DEVIATION)
        return tuple(int(index) for index in np.flatnonzero(is_outlier))


def find_trend(values: Sequence[float]) -> float | None:
    """Return the relative change from the first value to the last, or None without a trend.

    `values` are in the order of time. A trend is significant at 1 % in the Mann-Kendall test. The
    change is along the Theil-Sen line (Sen 1968), as a share of the median.
    """
    if _mann_kendall_p(values) >= TREND_ALPHA:
        return None
    first, second = np.triu_indices(len(values), k=1)
    averages = np.asarray(values, dtype=float)
    slope = np.median((averages[second] - averages[first]) / (second - first))
    return float(slope) * (len(values) - 1) / median(values)


def _mann_kendall_p(values: Sequence[float]) -> float:
    """Return the two-sided p of a trend: the same as that of Kendall's tau with the time.

    It is exact for up to 33 values that all differ. For others the count of rising pairs is taken
    to be normal, with the variance that ties leave.

    Kendall, "Rank Correlation Methods" (1970), chapters 4 and 5.
    """
    count = len(values)
    first, second = np.triu_indices(count, k=1)
    averages = np.asarray(values, dtype=float)
    rising = np.sign(averages[second] - averages[first])
    _, groups = np.unique(averages, return_counts=True)
    if len(groups) <= 1:
        return 1.0
    if len(groups) == count <= _MAX_EXACT_TREND:
        falls = int(np.sum(rising < 0))
        rarer = min(falls, len(rising) - falls)
        return min(1.0, 2 * float(np.sum(_inversion_probabilities(count)[: rarer + 1])))
    pairs = [size * (size - 1) * (2 * size + 5) for size in (count, *groups.tolist())]
    deviation = sqrt((pairs[0] - sum(pairs[1:])) / 18)
    return float(2 * scipy.special.ndtr(-abs(float(np.sum(rising))) / deviation))


@lru_cache(maxsize=64)
def _inversion_probabilities(count: int) -> Floats:
    """Return the probability of each number of falling pairs if all orders are equally likely."""
    probabilities = np.ones(1)
    for earlier in range(1, count):
        # How many of the earlier values exceed the next one: each number is as likely.
        probabilities = np.convolve(probabilities, np.full(earlier + 1, 1 / (earlier + 1)))
    return probabilities


def is_bimodal(values: Sequence[float]) -> bool:
    """Return True if the values fall into two separate groups, each at least a fifth of them.

    The values are split at the largest gap that leaves such groups. With s the standard deviation
    within the groups, the gap must exceed both s and 45 s / n. The factor 1 / n is there because
    the largest gap of a single group shrinks with n, as the distance between neighbours does. By
    simulation, one lognormal group is taken for two in under 1 of 100 samples. Under 8 values are
    too few to tell.
    """
    count = len(values)
    if count < MIN_VALUES_FOR_MODES:
        return False
    ordered = np.sort(np.asarray(values, dtype=float))
    min_size = max(2, int(np.ceil(MIN_MODE_SHARE * count)))
    gaps = np.diff(ordered)[min_size - 1 : count - min_size]
    groups = np.split(ordered, [min_size + int(np.argmax(gaps))])
    squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups)
    deviation = sqrt(squares / (count - 2))
    return float(np.max(gaps)) > max(1.0, 45 / count) * deviation


def is_better_than_chance(correct: int, count: int, chance: float) -> bool:
    """Return whether `correct` of `count` answers are significantly more than guesses would be.

    Each guess is correct with the probability `chance`, 0 to 1. The exact one-sided binomial test
    is used, at 1 %: with few answers, even all of them may be correct by chance.
    """
    if correct == 0:
        return False
    # The probability of at least as many, as a regularized incomplete beta function
    p = scipy.special.betainc(correct, count - correct + 1, chance)
    return bool(p < CHANCE_ALPHA)


def estimate_paired_ratio(baseline: Sequence[float], candidate: Sequence[float]) -> Estimate:
    """Estimate how many times as long the candidate takes, from pairs measured in the same block.

    The i-th values of both come from the same block. The estimate is the Hodges-Lehmann estimate of
    the log ratios. The interval holds all ratios that Wilcoxon's signed-rank test does not reject.

    The order in a block is shuffled. So if both take equally long, each log ratio is as likely as
    its negative, whatever the noise, drift or modes of the device. The test is therefore exact by
    Fisher's randomisation. See Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods",
    3.1 to 3.3.

    A rank test on few blocks has no small p, however (2 / 64 for 6), and a comparison among many
    devices needs one. So `p` is the paired t-test's if that is smaller.

    Under 6 blocks give the ratio alone. Raises ValueError if the lengths differ.
    """
    if len(baseline) != len(candidate):
        raise ValueError(
            f"{len(baseline)} and {len(candidate)} values cannot be paired; "
            "give one of each per block."
        )
    ratios = np.log(candidate) - np.log(baseline)
    first, second = np.triu_indices(len(ratios))
    walsh_averages = np.sort((ratios[first] + ratios[second]) / 2)
    if len(ratios) < MIN_PAIRS:
        return Estimate(exp(np.median(walsh_averages)), samples=len(ratios))
    error = float(np.std(ratios, ddof=1)) / sqrt(len(ratios))
    return _estimate_ratio(
        walsh_averages,
        _signed_rank_probabilities(len(ratios)),
        t_test_p=_t_test_p(ratios.mean(), error, freedom=len(ratios) - 1),
        error=error,
        samples=len(ratios),
    )


def estimate_unpaired_ratio(baseline: Sequence[float], candidate: Sequence[float]) -> Estimate:
    """Estimate how many times as long the candidate takes, from samples that share no blocks.

    The estimate is the Hodges-Lehmann shift of the logs. The interval holds all ratios that the
    Mann-Whitney test does not reject (Hollander, Wolfe and Chicken, 4.1 to 4.3). `p` is that
    test's, or Welch's if that is smaller. `samples` is the size of the smaller sample.

    The values of each sample are assumed to be independent. A change between the two measurements,
    such as a drift of the device, looks the same as a difference.
    """
    log_baseline, log_candidate = np.log(baseline), np.log(candidate)
    shifts = np.sort(np.subtract.outer(log_candidate, log_baseline).ravel())
    smaller, larger = sorted((len(baseline), len(candidate)))
    if smaller < MIN_PAIRS:
        return Estimate(exp(np.median(shifts)), samples=smaller)
    variances = (float(np.var(logs, ddof=1)) / len(logs) for logs in (log_baseline, log_candidate))
    error = sqrt(sum(variances))
    return _estimate_ratio(
        shifts,
        _rank_sum_probabilities(smaller, larger),
        t_test_p=_t_test_p(log_candidate.mean() - log_baseline.mean(), error, freedom=smaller - 1),
        error=error,
        samples=smaller,
    )


def estimate_bridged_ratio(baseline: Sequence[float], candidate: Sequence[float]) -> Estimate:
    """Estimate how many times as long the candidate takes, through a reference in both batches.

    `baseline` holds the baseline's latency divided by the reference's, for each block of one batch.
    `candidate` holds the candidate's, for each block of another batch. What slows the device down
    between the batches, by the same factor for all, is in both parts of each quotient. So it
    cancels out. A change that affects one of the sides more than the reference does not.

    The estimate is the quotient of the geometric means. Interval and `p` are Welch's for the logs:
    the two variances may differ, as may the numbers of blocks. The Mann-Whitney test, which
    `estimate_unpaired_ratio` inverts, assumes equal shapes. With 6 noisy and 12 quiet blocks its
    interval held the true ratio in only 87 of 100 simulations, Welch's in 96.

    Under 6 blocks on either side give the ratio alone. `samples` is the smaller number of blocks.

    Welch, "The generalization of 'Student's' problem when several different population variances
    are involved" (1947).
    """
    # Relative to the first one, equal values are exactly 0, and so is their variance.
    origin = log(baseline[0])
    logs = [np.log(ratios) - origin for ratios in (baseline, candidate)]
    change = float(logs[1].mean() - logs[0].mean())
    samples = min(len(baseline), len(candidate))
    if samples < MIN_PAIRS:
        return Estimate(exp(change), samples=samples)
    variances = [float(np.var(log_ratios, ddof=1)) / len(log_ratios) for log_ratios in logs]
    error = sqrt(sum(variances))
    freedom = _count_freedom(variances, [len(log_ratios) for log_ratios in logs])
    half_width = -float(scipy.special.stdtrit(freedom, ALPHA / 2)) * error
    estimate = Estimate(
        exp(change),
        exp(change - half_width),
        high=exp(change + half_width),
        p=_t_test_p(change, error, freedom=freedom),
        samples=samples,
        error=error,
    )
    return replace(estimate, smallest_change=estimate_smallest_change(estimate, 1))


def _count_freedom(variances: Sequence[float], counts: Sequence[int]) -> float:
    """Return the degrees of freedom of a sum of the variances of means (Satterthwaite 1946).

    They lie between those of the smaller sample and those of both samples together.
    """
    if not any(variances):
        return min(counts) - 1
    parts = (variance**2 / (count - 1) for variance, count in zip(variances, counts, strict=True))
    return sum(variances) ** 2 / sum(parts)


def _t_test_p(change: float, error: float, freedom: float) -> float:
    """Return the two-sided p of Student's t. Values that do not vary at all leave no doubt."""
    if error == 0:
        return 1.0 if change == 0 else 0.0
    return float(2 * scipy.special.stdtr(freedom, -abs(change) / error))


def _estimate_ratio(
    contrasts: Floats, probabilities: Floats, t_test_p: float, error: float, samples: int
) -> Estimate:
    """Return the estimate of a ratio from the sorted log ratios of all pairs.

    The exact test counts the `contrasts` on either side of a shift; `probabilities` are those of
    each count if nothing differs.
    """
    cumulative = np.cumsum(probabilities)
    outside = int(np.searchsorted(cumulative, ALPHA / 2, side="right"))
    estimate = Estimate(
        exp(np.median(contrasts)),
        exp(contrasts[outside - 1]),
        high=exp(contrasts[-outside]),
        p=min(_exact_p(contrasts, cumulative), t_test_p),
        samples=samples,
        error=error,
    )
    return replace(estimate, smallest_change=estimate_smallest_change(estimate, 1))


def _exact_p(contrasts: Floats, cumulative: Floats) -> float:
    """Return the exact two-sided p from the number of contrasts on the rarer side of no change.

    A contrast of exactly 0 counts half on each side. `cumulative` holds the probability of each
    count or fewer.
    """
    below, not_above = (
        int(np.searchsorted(contrasts, 0.0, side=side)) for side in ("left", "right")
    )
    half_ties = (not_above - below) / 2
    rarer = ceil(min(below, len(contrasts) - not_above) + half_ties)
    return min(1.0, 2 * float(cumulative[rarer]))


def estimate_smallest_change(estimate: Estimate, comparisons: int) -> float | None:
    """Return the share by which a ratio must change to be detected 9 times in 10.

    `comparisons` is the number of comparisons made at once. The exact test detects a change over
    half the interval's width. If this ratio alone differs among all `comparisons`, the change must
    also exceed t(alpha / (2 comparisons)) standard errors. 9 in 10 estimates exceed the true change
    less t(0.9) standard errors.

    A slowdown by the returned share is exactly as large on the log scale; a speed-up by that share
    is larger there.
    """
    if estimate.error is None or estimate.low is None or estimate.high is None:
        return None
    alpha_quantile, power_quantile = scipy.special.stdtrit(
        estimate.samples - 1, [ALPHA / (2 * comparisons), POWER]
    )  # of Student's t
    half_width = log(estimate.high / estimate.low) / 2
    threshold = max(half_width, -float(alpha_quantile) * estimate.error)
    return expm1(threshold + float(power_quantile) * estimate.error)


@lru_cache(maxsize=256)
def _signed_rank_probabilities(count: int) -> Floats:
    """Return the probability of each sum of positive ranks if both signs are equally likely.

    Hollander, Wolfe and Chicken, 3.1.
    """
    probabilities = np.zeros(count * (count + 1) // 2 + 1)
    probabilities[0] = 1.0
    for rank in range(1, count + 1):
        probabilities[rank:] += probabilities[:-rank].copy()
        probabilities /= 2
    return probabilities


@lru_cache(maxsize=1024)
def _rank_sum_probabilities(smaller: int, larger: int) -> Floats:
    """Return the probability of each Mann-Whitney count if all orders are equally likely.

    The counts run from 0 to `smaller * larger`. Hollander, Wolfe and Chicken, 4.1.
    """
    min_sum = smaller * (smaller + 1) // 2
    ways = np.zeros((smaller + 1, min_sum + smaller * larger + 1))  # number of ranks, their sum
    ways[0, 0] = 1.0
    for rank in range(1, smaller + larger + 1):
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    probabilities: Floats = ways[smaller, min_sum:] / comb(smaller + larger, smaller)
    return probabilities


def adjust_p_values(ps: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for the number of comparisons made at once; None stays None.

    Benjamini and Hochberg (1995). If nothing differs at all, a false alarm anywhere is as rare as
    under Holm's method. If something does, at most 5 % of the findings are false.

    The method also detects more. 10 blocks cannot give less than p = 2 / 1024, which Holm would
    never let pass among 50 devices (50 * 2 / 1024 > 5 %). This method does as soon as two of them
    show it.
    """
    known_ps = np.array([p for p in ps if p is not None])
    order = np.argsort(known_ps)
    scaled_ps = known_ps[order] * (len(known_ps) / np.arange(1, len(known_ps) + 1))
    known_ps[order] = np.minimum.accumulate(scaled_ps[::-1])[::-1]
    adjusted_ps = iter(np.minimum(known_ps, 1.0).tolist())
    return [None if p is None else next(adjusted_ps) for p in ps]


def decide_verdict(estimate: Estimate, adjusted_p: float | None, alpha: float = ALPHA) -> Verdict:
    """Return the verdict on a ratio of latencies.

    A change must pass the exact test by itself, that is its interval excludes 1, and the test among
    all comparisons.
    """
    if adjusted_p is None or estimate.low is None or estimate.high is None:
        return Verdict.UNKNOWN
    if adjusted_p > alpha or estimate.low <= 1 <= estimate.high:
        return Verdict.NO_DIFFERENCE
    return Verdict.FASTER if estimate.value < 1 else Verdict.SLOWER


def estimate_accuracy_difference(
    baseline: NDArray[np.bool_], candidate: NDArray[np.bool_]
) -> Estimate:
    """Estimate the candidate's accuracy minus the baseline's, as a share of 1.

    The i-th values say whether each classified the same i-th image correctly. `p` is McNemar's,
    exact. The interval is the adjusted Wald interval.

    Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial proportions
    based on paired data" (2012).

    Raises ValueError if the lengths differ or are 0.
    """
    if len(baseline) != len(candidate) or len(baseline) == 0:
        raise ValueError(
            f"{len(baseline)} and {len(candidate)} images cannot be paired; "
            "give both of the same test set."
        )
    lost, won = int(np.sum(baseline & ~candidate)), int(np.sum(~baseline & candidate))
    images = len(baseline)
    share_lost, share_won = (lost + 1) / (images + 2), (won + 1) / (images + 2)
    center = share_won - share_lost
    error = sqrt((share_lost + share_won - center**2) / (images + 2))
    half_width = NormalDist().inv_cdf(0.975) * error
    return Estimate(
        value=(won - lost) / images,
        low=center - half_width,
        high=center + half_width,
        p=min(1.0, 2 * float(scipy.special.bdtr(min(won, lost), won + lost, 0.5))),
        smallest_change=half_width + NormalDist().inv_cdf(POWER) * error,
        samples=images,
    )
