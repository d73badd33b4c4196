from collections.abc import Callable, Sequence
from math import comb, log
from statistics import median
from typing import TypeAlias

import numpy as np
import pytest
import scipy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.bench.statistics import (
    ALPHA,
    CHANCE_ALPHA,
    TREND_ALPHA,
    adjust_p_values,
    decide_verdict,
    estimate_accuracy_difference,
    estimate_bridged_ratio,
    estimate_paired_ratio,
    estimate_unpaired_ratio,
    find_outliers,
    find_trend,
    is_better_than_chance,
    is_bimodal,
    median_interval,
)
from harness.core.comparison import Estimate, Verdict

LATENCY = st.floats(1, 1e6)
untimed = settings(deadline=None, max_examples=50)  # the first example waits for scipy.stats
Compare: TypeAlias = Callable[[Sequence[float], Sequence[float]], Estimate]
SAMPLE = st.lists(LATENCY, min_size=6, max_size=30)
each_estimator = pytest.mark.parametrize(
    "compare", [estimate_paired_ratio, estimate_unpaired_ratio, estimate_bridged_ratio]
)


@pytest.mark.parametrize(("confidence", "min_count"), [(0.95, 6), (0.965, 6), (0.99, 8)])
def test_too_few_values_have_no_interval(confidence: float, min_count: int) -> None:
    assert all(median_interval(range(count), confidence) is None for count in range(min_count))
    assert median_interval(range(min_count), confidence) is not None


@pytest.mark.parametrize(
    ("count", "rank"),
    [(6, 1), (7, 1), (8, 1), (9, 2), (10, 2), (12, 3), (20, 6), (40, 14), (100, 40)],
)
def test_the_interval_starts_at_the_published_order_statistic(count: int, rank: int) -> None:
    """Conover, "Practical Nonparametric Statistics", table of the sign test.

    The interval is interpolated between that statistic and the next.
    """
    interval = median_interval(range(1, count + 1), 0.95)
    assert interval is not None
    assert rank <= interval[0] < rank + 1
    assert interval[0] + interval[1] == pytest.approx(count + 1)


@pytest.mark.parametrize(("count", "rank"), [(6, 1), (10, 2), (20, 6), (40, 14)])
def test_nothing_is_interpolated_at_the_exact_confidence_of_an_order_statistic(
    count: int, rank: int
) -> None:
    confidence = 1 - 2 * sum(comb(count, below) for below in range(rank)) / 2**count
    assert median_interval(range(1, count + 1), confidence) == (rank, count + 1 - rank)


def test_the_interpolation_is_the_published_one() -> None:
    """Hettmansperger and Sheather (1986), for 10 values at 95 %.

    I = (0.9785 - 0.95) / (0.9785 - 0.8906).
    """
    share = (0.978515625 - 0.95) / (0.978515625 - 0.890625)
    weight = 8 * share / (2 + 6 * share)
    assert median_interval(range(1, 11), 0.95) == pytest.approx((2 + weight, 9 - weight))


@untimed
@given(SAMPLE)
def test_the_interval_holds_the_median_whatever_the_order(values: list[float]) -> None:
    interval = median_interval(values)
    assert interval is not None
    assert min(values) <= interval[0] <= median(values) <= interval[1] <= max(values)
    assert interval == median_interval(values[::-1])


@untimed
@given(LATENCY, st.integers(6, 100))
def test_equal_values_have_an_interval_of_zero_width(value: float, count: int) -> None:
    assert median_interval([value] * count) == (value, value)


@pytest.mark.parametrize(
    ("values", "indices"),
    [
        ([100.0], ()),
        ([100.0] * 10, ()),
        ([100.0] * 9 + [110.0], (9,)),  # the median absolute deviation is 0
        ([100.0] * 9 + [104.0], ()),
        ([100.0] * 6 + [101.0] * 4, ()),
        ([99, 100, 101, 100.5, 99.5, 130], (5,)),
        ([99, 60, 101, 100.5, 99.5, 130], (1, 5)),
        ([99, 100, 101, 100.5, 99.5, 102], ()),
        ([99, 100, 101, 100.5, 99.5, 0], (5,)),
        ([0.0] * 6, ()),
    ],
)
def test_outliers_are_found_by_index(values: list[float], indices: tuple[int, ...]) -> None:
    assert find_outliers(values) == indices


@untimed
@given(st.lists(st.floats(90, 110), min_size=6, max_size=30), st.floats(0.001, 1000))
def test_outliers_do_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    logs = np.log(values)
    assume(np.median(np.abs(logs - np.median(logs))) > 1e-6)  # below that, rounding decides
    assert len(find_outliers(values)) == len(find_outliers([factor * value for value in values]))


@pytest.mark.parametrize(
    ("values", "change"),
    [
        ([], None),
        ([100.0], None),
        ([100.0] * 10, None),
        ([1, 2, 3, 4, 5], None),  # too few: five values are in order once in 60 times
        (range(100, 111), 10 / 105),
        (range(110, 99, -1), -10 / 105),
        ([100, 110] * 5, None),
        ([*range(100, 110), 500], 10 / 105),  # a single outlier does not bend the line
    ],
)
def test_a_trend_is_the_change_from_first_to_last(
    values: list[float], change: float | None
) -> None:
    assert find_trend(values) == (None if change is None else pytest.approx(change, rel=0.05))


@pytest.mark.parametrize("rounding_us", [0, 20])
@pytest.mark.parametrize("change", [0.0, 0.03, 0.1])
def test_a_trend_is_that_of_scipy(change: float, rounding_us: float) -> None:
    rng = np.random.default_rng(3)
    for count in (*range(2, 12), 33, 34, 50):
        values = rng.lognormal(7, 0.02, count) * np.linspace(1, 1 + change, count)
        if rounding_us:
            values = np.round(values / rounding_us) * rounding_us
        expected = None
        if scipy.stats.kendalltau(range(count), values).pvalue < TREND_ALPHA:
            slope = scipy.stats.theilslopes(values).slope
            expected = pytest.approx(slope * (count - 1) / median(values))
        assert find_trend(values.tolist()) == expected


def test_noise_rarely_has_a_trend() -> None:
    rng = np.random.default_rng(1)
    trends = [find_trend(rng.lognormal(7, 0.02, 15).tolist()) for _ in range(1000)]
    assert np.mean([trend is not None for trend in trends]) <= 0.02


@pytest.mark.parametrize(
    ("values", "bimodal"),
    [
        ([100, 100.1, 100.2, 100.3, 100.4, 110, 110.1], False),  # too few
        ([100, 100.1, 100.2, 100.3, 100.4, 110, 110.1, 110.2], True),
        ([110, 100, 110, 100, 110, 100, 110, 100], True),
        ([100.0] * 10, False),
        ([100 + 0.1 * step for step in range(19)] + [110], False),  # an outlier is not a group
        ([100 + 0.1 * step for step in range(20)], False),
    ],
)
def test_two_modes_are_two_separate_groups(values: list[float], *, bimodal: bool) -> None:
    assert is_bimodal(values) is bimodal


@pytest.mark.parametrize("count", [8, 10, 20, 40, 100])
def test_one_mode_is_rarely_taken_for_two(count: int) -> None:
    rng = np.random.default_rng(count)
    bimodal = [is_bimodal(rng.lognormal(7, 0.02, count).tolist()) for _ in range(1000)]
    assert np.mean(bimodal) <= 0.02


@pytest.mark.parametrize(("count", "min_share"), [(10, 0.75), (20, 0.85), (40, 0.9), (100, 0.95)])
def test_modes_ten_deviations_apart_are_mostly_found(count: int, min_share: float) -> None:
    """3 in 10 values are slower; a sample of ten often has less than a fifth of them."""
    rng = np.random.default_rng(count)
    modes = [np.where(rng.random(count) < 0.3, 1.1, 1.0) for _ in range(500)]
    samples = [(mode * rng.lognormal(7, 0.01, count)).tolist() for mode in modes]
    assert np.mean([is_bimodal(sample) for sample in samples]) >= min_share


def test_depression_scores_give_the_published_estimate() -> None:
    """Hollander and Wolfe, table 3.1, p = 0.039.

    Their estimate is of differences; here they are differences of logs.
    """
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    estimate = estimate_paired_ratio(np.exp(before), np.exp(after))  # type: ignore[arg-type]
    assert estimate.p is not None
    assert estimate.p <= 0.0391, "the t-test's, 0.017"
    assert log(estimate.value) == pytest.approx(-0.46)
    assert estimate.low is not None
    assert estimate.high is not None
    assert (log(estimate.low), log(estimate.high)) == pytest.approx((-0.786, -0.010))


@untimed
@given(st.lists(st.tuples(LATENCY, LATENCY), min_size=6, max_size=20))
def test_an_interval_excludes_1_exactly_if_the_test_rejects(
    pairs: list[tuple[float, float]],
) -> None:
    baseline, candidate = zip(*pairs, strict=True)
    ratios = np.log(candidate) - np.log(baseline)
    magnitudes = np.sort(np.abs(ratios))
    assume(min(magnitudes) > 1e-6)
    assume(min(np.diff(magnitudes)) > 1e-6)  # ties have no exact test
    exact_p = scipy.stats.wilcoxon(ratios).pvalue
    check_interval(estimate_paired_ratio(baseline, candidate), exact_p)


@untimed
@given(SAMPLE, SAMPLE)
def test_an_interval_of_two_samples_excludes_1_exactly_if_the_test_rejects(
    baseline: list[float], candidate: list[float]
) -> None:
    logs = {*np.log(baseline), *np.log(candidate)}
    assume(len(logs) == len(baseline) + len(candidate))  # ties have no exact test
    assume(min(len(baseline), len(candidate)) <= 8)  # up to there, scipy's p is exact
    exact_p = scipy.stats.mannwhitneyu(np.log(baseline), np.log(candidate)).pvalue
    check_interval(estimate_unpaired_ratio(baseline, candidate), exact_p)


@untimed
@given(SAMPLE, SAMPLE)
def test_a_ratio_through_a_reference_has_the_interval_and_p_of_welch(
    baseline: list[float], candidate: list[float]
) -> None:
    welch = scipy.stats.ttest_ind(np.log(candidate), np.log(baseline), equal_var=False)
    assume(welch.pvalue > 1e-9)  # neither sample is of equal values
    interval = welch.confidence_interval(1 - ALPHA)
    estimate = estimate_bridged_ratio(baseline, candidate)
    assert estimate.low is not None
    assert estimate.high is not None
    assert (estimate.p, log(estimate.low), log(estimate.high)) == pytest.approx(
        (welch.pvalue, interval.low, interval.high), rel=1e-6, abs=1e-9
    )
    assert estimate.low < estimate.value < estimate.high
    assert estimate.samples == min(len(baseline), len(candidate))


def check_interval(estimate: Estimate, exact_p: float) -> None:
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.p is not None
    assert estimate.low <= estimate.value <= estimate.high
    assert (estimate.low > 1 or estimate.high < 1) == (exact_p <= ALPHA)
    assert estimate.p <= exact_p


@each_estimator
@pytest.mark.parametrize("count", [6, 10, 40, 100])
def test_the_same_numbers_have_the_ratio_1(compare: Compare, count: int) -> None:
    estimate = compare([7.0] * count, [7.0] * count)
    assert (estimate.value, estimate.low, estimate.high, estimate.samples) == (1.0, 1.0, 1.0, count)
    assert (estimate.p, estimate.smallest_change, estimate.error) == pytest.approx((1.0, 0.0, 0.0))


@each_estimator
@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_than_six_values_give_the_ratio_alone(compare: Compare, count: int) -> None:
    estimate = compare([10.0] * count, [12.0] * count)
    assert estimate == Estimate(estimate.value, samples=count)
    assert estimate.value == pytest.approx(1.2)


def test_unpaired_samples_may_differ_in_length() -> None:
    baseline = [100.0, 101, 102, 103, 104, 105]
    candidate = [110.0, 111, 112, 113, 114, 115, 116]
    estimate = estimate_unpaired_ratio(baseline, candidate)
    assert estimate.samples == 6
    assert estimate.p is not None
    assert estimate.p <= 2 / comb(13, 6)
    assert estimate.value == pytest.approx(113 / 102.5, abs=0.001)


@untimed
@given(SAMPLE, st.floats(0.5, 2))
def test_a_common_factor_is_the_ratio(values: list[float], factor: float) -> None:
    slower = [factor * value for value in values]
    assert estimate_paired_ratio(values, slower).value == pytest.approx(factor)
    assert estimate_unpaired_ratio(values, slower).value == pytest.approx(factor)
    assert estimate_bridged_ratio(values, slower).value == pytest.approx(factor)


def test_blocks_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="7 and 6 values cannot be paired"):
        estimate_paired_ratio([1.0] * 7, [1.0] * 6)


@untimed
@given(st.lists(st.none() | st.floats(0, 1)))
def test_unknown_p_values_stay_unknown_and_the_others_are_adjusted(ps: list[float | None]) -> None:
    adjusted_ps = adjust_p_values(ps)
    for adjusted_p, p in zip(adjusted_ps, ps, strict=True):
        assert (adjusted_p is None) == (p is None)
        assert adjusted_p is None or p is None or adjusted_p >= p
    known_ps = [p for p in ps if p is not None]
    expected = scipy.stats.false_discovery_control(known_ps).tolist() if known_ps else []
    assert [p for p in adjusted_ps if p is not None] == expected


def test_the_adjustment_is_the_published_one() -> None:
    """Benjamini and Hochberg (1995), their example of 15: the first four are significant at 5 %."""
    ps = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.324,
        0.4262,
        0.5719,
        0.6528,
        0.759,
        1,
    ]
    assert sum(p <= 0.05 for p in adjust_p_values(ps) if p is not None) == 4


@pytest.mark.parametrize(
    ("value", "p", "expected"),
    [
        (0.9, 0.01, Verdict.FASTER),
        (1.1, ALPHA, Verdict.SLOWER),
        (1.1, ALPHA + 0.001, Verdict.NO_DIFFERENCE),
        (1.1, None, Verdict.UNKNOWN),
    ],
)
def test_a_verdict_follows_from_the_ratio_and_its_p(
    value: float, p: float | None, expected: Verdict
) -> None:
    assert decide_verdict(Estimate(value, value - 0.05, high=value + 0.05), p) is expected


def test_a_verdict_requires_the_exact_test_too() -> None:
    assert decide_verdict(Estimate(1.1, 0.99, high=1.2), 0.0001) is Verdict.NO_DIFFERENCE
    assert decide_verdict(Estimate(1.1), 0.0001) is Verdict.UNKNOWN, (
        "with too few blocks for an interval"
    )


def test_accuracy_is_compared_image_by_image() -> None:
    """Both classify 60 of 100 images correctly, the baseline alone 12, the candidate alone 3."""
    baseline = np.array([True] * 72 + [False] * 28)
    candidate = np.array([True] * 60 + [False] * 12 + [True] * 3 + [False] * 25)
    estimate = estimate_accuracy_difference(baseline, candidate)
    error = ((13 + 4) / 102 - (9 / 102) ** 2) ** 0.5 / 102**0.5
    assert estimate.value == pytest.approx(-0.09)
    assert (estimate.low, estimate.high) == pytest.approx(
        (-9 / 102 - 1.96 * error, -9 / 102 + 1.96 * error), abs=1e-5
    )
    assert estimate.p == pytest.approx(2 * sum(comb(15, won) for won in range(4)) / 2**15)
    assert estimate.smallest_change == pytest.approx(3.2415 * error, abs=1e-5)
    assert estimate.samples == 100


def test_identical_answers_show_no_difference_but_leave_doubt() -> None:
    right = np.array([True, False] * 50)
    estimate = estimate_accuracy_difference(right, right)
    assert (estimate.value, estimate.p) == (0, 1)
    assert estimate.low is not None
    assert estimate.low < 0


@pytest.mark.parametrize(("baseline", "candidate"), [(3, 2), (0, 0)])
def test_images_that_cannot_be_paired_are_refused(baseline: int, candidate: int) -> None:
    with pytest.raises(ValueError, match=f"{baseline} and {candidate} images cannot be paired"):
        estimate_accuracy_difference(np.ones(baseline, dtype=bool), np.ones(candidate, dtype=bool))


@untimed
@given(st.integers(1, 500), st.floats(0.01, 0.99))
def test_guessing_is_taken_for_more_in_no_more_cases_than_promised(
    count: int, chance: float
) -> None:
    verdicts = [is_better_than_chance(right, count, chance=chance) for right in range(count + 1)]
    assert verdicts == sorted(verdicts), "more correct answers are never less convincing"
    limit = verdicts.index(True) if any(verdicts) else count + 1
    p_values = scipy.stats.binom.sf([limit - 1, limit - 2], count, chance)
    assert p_values[0] < CHANCE_ALPHA
    assert limit == 0 or p_values[1] >= CHANCE_ALPHA or limit == count + 1


@pytest.mark.parametrize(
    ("correct", "count", "chance", "expected"),
    [
        (6, 6, 0.5, False),  # 0.5 ** 6 = 1.6 %
        (7, 7, 0.5, True),  # 0.8 %
        (1000, 10_000, 0.1, False),
        (1100, 10_000, 0.1, True),  # 3.3 standard deviations above
        (0, 10, 0.1, False),
        (990, 1000, 0.99, False),  # names the class that 99 % of the images have
    ],
)
def test_whether_answers_are_better_than_chance(
    correct: int, count: int, chance: float, *, expected: bool
) -> None:
    assert is_better_than_chance(correct, count, chance=chance) is expected
