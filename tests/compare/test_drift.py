from statistics import median

import pytest

from harness.bench.statistics import median_interval
from harness.compare.drift import correct_latency
from harness.core.comparison import Evidence
from tests.compare.test_links import STEADY, in_batch

REFERENCE = (in_batch("b1"), in_batch("b2", 1.5), in_batch("b3"))
AVERAGES_US = (*STEADY, *REFERENCE[1].averages_us, *STEADY)
TYPICAL_US = median(AVERAGES_US)


def corrected_us(evidence: Evidence) -> float:
    latency = correct_latency([evidence], REFERENCE)
    assert latency is not None
    return latency.value


def test_the_same_artifact_has_the_same_latency_in_every_batch() -> None:
    """The device takes half as long again in the second batch."""
    assert corrected_us(in_batch("b1", 4.0)) == pytest.approx(4 * TYPICAL_US)
    assert corrected_us(in_batch("b2", 6.0)) == pytest.approx(4 * TYPICAL_US)


def test_the_interval_is_that_of_the_ratio_to_the_reference() -> None:
    noisy = in_batch("b1", 2.0, averages=(100.0, 103.0, 97.0, 104.0, 96.0, 101.0, 99.0))
    latency = correct_latency([noisy], REFERENCE)
    assert latency is not None
    assert latency.low is not None
    assert latency.high is not None
    assert 190.0 < latency.low < latency.value < latency.high < 210.0


def test_all_measurements_of_a_case_count() -> None:
    latency = correct_latency([in_batch("b1", 4.0), in_batch("b2", 6.0)], REFERENCE)
    assert latency is not None
    assert latency.samples == 2 * len(STEADY)


def test_the_reference_has_its_own_median() -> None:
    latency = correct_latency(REFERENCE, REFERENCE)
    assert latency is not None
    assert (latency.low, latency.high) == median_interval(AVERAGES_US)


def test_few_blocks_give_a_value_alone() -> None:
    latency = correct_latency([in_batch("b1", 4.0, averages=STEADY[:3])], REFERENCE)
    assert latency is not None
    assert latency.value == pytest.approx(4 * TYPICAL_US)
    assert (latency.low, latency.high) == (None, None)


@pytest.mark.parametrize(
    ("evidence", "reference"),
    [
        pytest.param(in_batch("b9"), REFERENCE, id="no common block"),
        pytest.param(Evidence(STEADY), REFERENCE, id="no blocks"),
        pytest.param(in_batch("b1", 0.0), REFERENCE, id="under the clock's resolution"),
        pytest.param(in_batch("b1"), (in_batch("b1", 0.0),), id="a reference under it"),
        pytest.param(in_batch("b1"), (), id="no reference"),
    ],
)
def test_a_latency_that_cannot_be_corrected_is_unknown(
    evidence: Evidence, reference: tuple[Evidence, ...]
) -> None:
    assert correct_latency([evidence], reference) is None
