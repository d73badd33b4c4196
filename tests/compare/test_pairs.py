from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.compare.pairs import CorrectImages, compare_pairs, pair_rows
from harness.conversion.evaluate import pack_correct, unpack_correct
from harness.core.comparison import Comparison, Estimate, Evidence, Pair, Verdict
from harness.core.errors import RequestError
from tests.rows import own_model_row, result_row

BINARY = result_row()
FLOAT = result_row(
    trial="ffff000000000002",
    precision="float32",
    artifact="f" * 64,
    size_bytes=4000,
    latency_us=400.0,
    latency_low_us=380.0,
    latency_high_us=440.0,
    accuracy=0.95,
)
OWN_MODEL = own_model_row()


def pair_similar(rows: Sequence[dict[str, Any]], baseline: str, candidate: str) -> tuple[Pair, ...]:
    """Pair rows that were all measured under the same conditions."""
    evidence = Evidence((100.0,), {("b1", 0): 100.0})
    return pair_rows(
        rows,
        baseline,
        candidate=candidate,
        evidence={row["measurement_id"]: evidence for row in rows},
    )


def other_twin(row: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a row of the same precision with other hyperparameters."""
    return {
        **row,
        "trial": f"{number}{row['trial'][1:]}",
        "artifact": f"{number}" + row["artifact"][1:],
        "twin": f"twin {number}",
    }


def test_precisions_are_compared_twin_by_twin() -> None:
    binary, floats = other_twin(BINARY, 1), other_twin(FLOAT, 1)
    lonely = other_twin(BINARY, 2)
    assert pair_similar([BINARY, floats, lonely, FLOAT, binary], "float32", candidate="binary") == (
        Pair(floats, binary),
        Pair(FLOAT, BINARY),
    )


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        pytest.param(FLOAT["trial"], BINARY["trial"], id="trials"),
        pytest.param(FLOAT["trial"][:4], BINARY["trial"][:4], id="shortest prefixes of trials"),
        pytest.param(FLOAT["artifact"], BINARY["artifact"], id="artifacts"),
        pytest.param(FLOAT["artifact"][:12], BINARY["artifact"][:12], id="prefixes of artifacts"),
        pytest.param("float32", BINARY["trial"], id="precision and trial"),
    ],
)
def test_rows_are_selected_by_trial_or_artifact(baseline: str, candidate: str) -> None:
    assert pair_similar([BINARY, FLOAT, OWN_MODEL], baseline, candidate=candidate) == (
        Pair(FLOAT, BINARY),
    )


@pytest.mark.parametrize("name", ["own.tflite", "m"])
def test_a_model_file_is_selected_by_its_name(name: str) -> None:
    model = {**OWN_MODEL, "file": name}
    assert pair_similar([BINARY, FLOAT, model], name, candidate="binary") == (Pair(model, BINARY),)


def test_every_device_and_thread_count_is_a_pair() -> None:
    conditions = [("pi4", 1), ("pi4", 4), ("pi5", 1), ("pi5", 4)]
    rows = []
    for device, threads in conditions:
        rows += [{**row, "device": device, "threads": threads} for row in (BINARY, FLOAT)]
    pairs = pair_similar(rows, "float32", candidate="binary")
    assert [(pair.candidate["device"], pair.candidate["threads"]) for pair in pairs] == conditions
    assert all(pair.baseline["device"] == pair.candidate["device"] for pair in pairs)


@pytest.mark.parametrize("selector", ["binary", "aaaa", "model"])
def test_a_selector_of_several_artifacts_on_one_device_is_refused(selector: str) -> None:
    rows = [
        FLOAT,
        {**BINARY, "file": "model", "trial": "aaaa1"},
        {**BINARY, "file": "model", "trial": "aaaa2", "artifact": "c" * 64},
    ]
    with pytest.raises(
        RequestError,
        match=f"'{selector}' selects several artifacts on pi4.*name one of them",
    ):
        pair_similar(rows, FLOAT["trial"], candidate=selector)


@pytest.mark.parametrize(
    "selector", ["", "int8", "aaa", "99999999", "nowhere.tflite", "b" * 63 + "c"]
)
def test_a_selector_of_nothing_is_refused(selector: str) -> None:
    message = f"^'{selector}' selects no measured precision, trial, artifact or model file"
    with pytest.raises(RequestError, match=message):
        pair_similar([BINARY, FLOAT, OWN_MODEL], "float32", candidate=selector)


@pytest.mark.parametrize(
    "columns",
    [{"device": "pi5"}, {"threads": 4}, {"twin": "another"}, {"format": "another"}],
    ids=str,
)
def test_rows_without_a_match_are_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"^No twins of float32 and binary share a device"):
        pair_similar([FLOAT, {**BINARY, **columns}], "float32", candidate="binary")


def test_trials_on_different_devices_are_refused() -> None:
    with pytest.raises(
        RequestError, match=r"^No measurements of float32 and aaaa0.* share a device"
    ):
        pair_similar([FLOAT, {**BINARY, "device": "pi5"}], "float32", candidate=BINARY["trial"])


def test_precisions_without_twins_are_refused() -> None:
    with pytest.raises(RequestError, match=r"^No twins of float32 and binary"):
        pair_similar([FLOAT, other_twin(BINARY, 1)], "float32", candidate="binary")


def blocks(batch: str, averages: Sequence[float]) -> dict[tuple[str, int], float]:
    return {(batch, number): average for number, average in enumerate(averages)}


def in_batch(batch: str, *averages: float) -> Evidence:
    return Evidence(averages, blocks(batch, averages))


TOOL = {"tool": "lce_benchmark_model", "interpreter": ""}
LATER = {"measured_at": "2024-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("first", "second", "batches", "expected"),
    [
        pytest.param(TOOL, LATER, "b1 b1 b1", 3, id="same conditions before the oldest"),
        pytest.param({}, TOOL | LATER, "b1 b1 b1", 2, id="same conditions before the newest"),
        pytest.param({}, LATER, "b1 b1 b1", 3, id="the newest of equals"),
        pytest.param({}, LATER, "b1 b1 b2", 2, id="a common batch before the newest"),
        pytest.param(TOOL, TOOL | LATER, "b1 b1 b1", 3, id="one even without the same conditions"),
    ],
)
def test_the_most_similar_of_several_measurements_are_paired(
    first: dict[str, Any], second: dict[str, Any], batches: str, expected: int
) -> None:
    rows = [
        FLOAT,
        {**BINARY, "measurement_id": 2, **first},
        {**BINARY, "measurement_id": 3, **second},
    ]
    evidence = {number: in_batch(batch, 1.0) for number, batch in enumerate(batches.split(), 1)}
    (pair,) = pair_rows(rows, "float32", candidate="binary", evidence=evidence)
    assert pair.candidate["measurement_id"] == expected


def compare(
    baseline: Evidence,
    candidate: Evidence,
    correct_images: CorrectImages | None = None,
    **changed: Any,
) -> Comparison:
    """Compare float with binary; `changed` are columns of the binary row."""
    pair = Pair(FLOAT, {**BINARY, "measurement_id": 2, **changed})
    evidence = {1: baseline, 2: candidate}
    (comparison,) = compare_pairs([pair], evidence, correct_images=correct_images or {})
    return comparison


STEADY = (100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8)


def test_a_pair_lists_its_differences() -> None:
    side = in_batch("b1", *STEADY)
    (comparison,) = compare_pairs([Pair(FLOAT, {**BINARY, **TOOL})], {1: side}, correct_images={})
    assert comparison.pair.differences == (
        "tool python_runner → lce_benchmark_model",
        "interpreter an interpreter 1.0 → none",
    )


def test_runs_of_the_same_blocks_are_compared_in_pairs() -> None:
    """Each block takes half as long again as the last; the candidate takes 2 % longer in each."""
    drifting = [100.0 * 1.5**number for number in range(7)]
    slower = [1.02 * average * noise / 100 for average, noise in zip(drifting, STEADY, strict=True)]
    one_batch = compare(in_batch("b1", *drifting), in_batch("b1", *slower))
    assert one_batch.latency.value == pytest.approx(1.02, rel=0.01)
    assert one_batch.verdict is Verdict.SLOWER
    two_batches = compare(in_batch("b1", *drifting), in_batch("b2", *slower))
    assert two_batches.verdict is Verdict.NO_DIFFERENCE


@pytest.mark.parametrize(
    "baseline",
    [in_batch("b2", *STEADY), in_batch("b1", *STEADY[:5]), Evidence(STEADY)],
    ids=["another batch", "too few blocks", "no blocks"],
)
def test_runs_that_share_too_few_blocks_are_compared_as_samples(baseline: Evidence) -> None:
    comparison = compare(baseline, in_batch("b1", *(average / 2 for average in STEADY)))
    assert comparison.latency.value == pytest.approx(0.5, rel=0.02)


def test_only_common_blocks_are_paired_whatever_their_order() -> None:
    baseline = Evidence(STEADY, blocks("b1", STEADY))
    averages = [average / 4 for average in (*STEADY, 1e6)]
    reordered = dict(reversed(blocks("b1", averages).items()))
    comparison = compare(baseline, Evidence(tuple(reordered.values()), reordered))
    assert comparison.latency.value == pytest.approx(0.25)
    assert comparison.verdict is Verdict.FASTER


def test_too_few_runs_have_a_ratio_and_no_verdict() -> None:
    comparison = compare(Evidence((100.0, 101.0)), Evidence((50.0, 51.0)))
    assert comparison.latency.value == pytest.approx(0.5, rel=0.02)
    assert (comparison.verdict, comparison.p) == (Verdict.UNKNOWN, None)


@pytest.mark.parametrize("averages", [(0.0,) * 7, (0.0, *STEADY[1:])])
def test_a_time_under_the_clocks_resolution_has_no_ratio(averages: tuple[float, ...]) -> None:
    for baseline, candidate in ((averages, STEADY), (STEADY, averages)):
        comparison = compare(Evidence(baseline), Evidence(candidate))
        assert isnan(comparison.latency.value)
        assert comparison.verdict is Verdict.UNKNOWN


def test_a_difference_among_several_comparisons_weighs_less() -> None:
    """Chance alone makes a difference likelier the more comparisons there are."""
    by_chance = (1.002, 1.03, 1.004, 1.001, 1.028, 1.006, 1.009)
    outlier = in_batch(
        "b1", *(average * factor for average, factor in zip(STEADY, by_chance, strict=True))
    )
    evidence = {1: in_batch("b1", *STEADY), 2: outlier} | dict.fromkeys(
        range(3, 12), in_batch("b1", *reversed(STEADY))
    )
    pairs = [Pair(FLOAT, {**BINARY, "measurement_id": number}) for number in range(2, 12)]
    (alone,) = compare_pairs(pairs[:1], evidence, correct_images={})
    among, *_ = compare_pairs(pairs, evidence, correct_images={})
    assert (alone.latency.low, alone.latency.high) == (among.latency.low, among.latency.high)
    assert alone.latency.smallest_change is not None
    assert among.latency.smallest_change is not None
    assert alone.latency.smallest_change < among.latency.smallest_change
    assert alone.p is not None
    assert among.p is not None
    assert alone.p < 0.05 < among.p
    assert (alone.verdict, among.verdict) == (Verdict.SLOWER, Verdict.NO_DIFFERENCE)


def test_a_size_is_exact() -> None:
    assert compare(Evidence(STEADY), Evidence(STEADY)).size == Estimate(0.25)


IMAGES = np.arange(1000)
FLOAT_CORRECT, BINARY_CORRECT = IMAGES < 950, (IMAGES >= 10) & (IMAGES < 910)


def pack_both(
    float_correct: NDArray[np.bool_], binary_correct: NDArray[np.bool_]
) -> dict[tuple[str, str], bytes]:
    return {
        (FLOAT["trial"], FLOAT["artifact"]): pack_correct(float_correct),
        (BINARY["trial"], BINARY["artifact"]): pack_correct(binary_correct),
    }


def test_accuracies_are_compared_image_by_image() -> None:
    comparison = compare(
        Evidence(STEADY), Evidence(STEADY), correct_images=pack_both(FLOAT_CORRECT, BINARY_CORRECT)
    )
    assert comparison.accuracy is not None
    assert comparison.accuracy.value == pytest.approx(-0.05)
    assert comparison.accuracy.low is not None
    assert comparison.accuracy.high is not None
    assert -0.08 < comparison.accuracy.low < -0.05 < comparison.accuracy.high < -0.02
    assert comparison.accuracy.p is not None
    assert comparison.accuracy.p < 0.001


@pytest.mark.parametrize(
    ("correct_images", "changed"),
    [
        pytest.param({}, {}, id="no images"),
        pytest.param(
            dict([next(iter(pack_both(FLOAT_CORRECT, BINARY_CORRECT).items()))]),
            {},
            id="images of one",
        ),
        pytest.param(
            pack_both(FLOAT_CORRECT, BINARY_CORRECT[:-1]), {}, id="another number of images"
        ),
        pytest.param(
            pack_both(FLOAT_CORRECT, BINARY_CORRECT),
            {"dataset": "fashion_mnist"},
            id="another data set",
        ),
    ],
)
def test_without_the_same_images_a_difference_has_no_interval(
    correct_images: dict[tuple[str, str], bytes], changed: dict[str, Any]
) -> None:
    comparison = compare(
        Evidence(STEADY), Evidence(STEADY), correct_images=correct_images, **changed
    )
    assert comparison.accuracy is not None
    assert (comparison.accuracy.low, comparison.accuracy.high, comparison.accuracy.p) == (
        None,
        None,
        None,
    )
    assert comparison.accuracy.value == pytest.approx(-0.05)


def test_accuracy_is_unknown_if_either_has_none() -> None:
    assert compare(Evidence(STEADY), Evidence(STEADY), accuracy=None).accuracy is None


@given(st.lists(st.booleans()))
def test_correct_images_survive_packing(correct: list[bool]) -> None:
    assert unpack_correct(pack_correct(np.array(correct, bool))).tolist() == correct
