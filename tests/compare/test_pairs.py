from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.compare import pairs as compare
from harness.compare.pairs import compare_pairs
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
OWN = own_model_row()


def pairs(rows: Sequence[dict[str, Any]], baseline: str, candidate: str) -> tuple[Pair, ...]:
    """Of measurements that were all made alike."""
    evidence = Evidence((100.0,), {("b1", 0): 100.0})
    return compare.pair_rows(
        rows,
        baseline,
        candidate=candidate,
        evidence={row["measurement_id"]: evidence for row in rows},
    )


def other_twin(row: dict[str, Any], number: int) -> dict[str, Any]:
    """The same precision of another set of hyperparameters."""
    return {
        **row,
        "trial": f"{number}{row['trial'][1:]}",
        "artifact": f"{number}" + row["artifact"][1:],
        "twin": f"twin {number}",
    }


def test_precisions_are_compared_twin_by_twin() -> None:
    binary, floats = other_twin(BINARY, 1), other_twin(FLOAT, 1)
    lonely = other_twin(BINARY, 2)
    assert pairs([BINARY, floats, lonely, FLOAT, binary], "float32", candidate="binary") == (
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
def test_what_is_compared_is_named_by_trial_or_artifact(baseline: str, candidate: str) -> None:
    assert pairs([BINARY, FLOAT, OWN], baseline, candidate=candidate) == (Pair(FLOAT, BINARY),)


@pytest.mark.parametrize("name", ["own.tflite", "m"])
def test_a_model_of_ones_own_is_named_by_its_file(name: str) -> None:
    own = {**OWN, "file": name}
    assert pairs([BINARY, FLOAT, own], name, candidate="binary") == (Pair(own, BINARY),)


def test_every_device_and_thread_count_is_a_pair() -> None:
    rows = [
        {**row, "device": device, "threads": threads}
        for device in ("pi4", "pi5")
        for threads in (1, 4)
        for row in (BINARY, FLOAT)
    ]
    found = pairs(rows, "float32", candidate="binary")
    assert [(pair.candidate["device"], pair.candidate["threads"]) for pair in found] == [
        ("pi4", 1),
        ("pi4", 4),
        ("pi5", 1),
        ("pi5", 4),
    ]
    assert all(pair.baseline["device"] == pair.candidate["device"] for pair in found)


@pytest.mark.parametrize("word", ["binary", "aaaa", "model"])
def test_a_word_for_several_artifacts_on_one_device_is_refused(word: str) -> None:
    rows = [
        FLOAT,
        {**BINARY, "file": "model", "trial": "aaaa1"},
        {**BINARY, "file": "model", "trial": "aaaa2", "artifact": "c" * 64},
    ]
    with pytest.raises(
        RequestError, match=f"'{word}' selects several artifacts on pi4.*name one of them"
    ):
        pairs(rows, FLOAT["trial"], candidate=word)


@pytest.mark.parametrize("word", ["", "int8", "aaa", "99999999", "nowhere.tflite", "b" * 63 + "c"])
def test_a_word_for_nothing_is_refused(word: str) -> None:
    with pytest.raises(
        RequestError, match="is no precision, trial, artifact or model file"
    ) as caught:
        pairs([BINARY, FLOAT, OWN], "float32", candidate=word)
    assert repr(word) in str(caught.value)


@pytest.mark.parametrize(
    "unlike",
    [{"device": "pi5"}, {"threads": 4}, {"twin": "another"}, {"format": "another"}],
    ids=str,
)
def test_what_was_never_measured_alike_is_refused(unlike: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="never measured alike"):
        pairs([FLOAT, {**BINARY, **unlike}], "float32", candidate="binary")


def test_precisions_without_twins_are_refused() -> None:
    with pytest.raises(RequestError, match="never measured alike"):
        pairs([FLOAT, other_twin(BINARY, 1)], "float32", candidate="binary")


def blocks(batch: str, averages: Sequence[float]) -> dict[tuple[str, int], float]:
    return {(batch, number): average for number, average in enumerate(averages)}


def in_batch(batch: str, *averages: float) -> Evidence:
    return Evidence(averages, blocks(batch, averages))


TOOL = {"tool": "lce_benchmark_model", "interpreter": ""}
LATER = {"measured_at": "2024-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("first", "second", "batches", "chosen"),
    [
        pytest.param(TOOL, LATER, "b1 b1 b1", 3, id="what was measured alike, not what came first"),
        pytest.param({}, TOOL | LATER, "b1 b1 b1", 2, id="nor what is newer"),
        pytest.param({}, LATER, "b1 b1 b1", 3, id="of equals the newer"),
        pytest.param({}, LATER, "b1 b1 b2", 2, id="before it what was measured together"),
        pytest.param(
            TOOL, TOOL | LATER, "b1 b1 b1", 3, id="and where nothing was measured alike, still one"
        ),
    ],
)
def test_of_several_measurements_the_most_alike_are_compared(
    first: dict[str, Any], second: dict[str, Any], batches: str, chosen: int
) -> None:
    rows = [
        FLOAT,
        {**BINARY, "measurement_id": 2, **first},
        {**BINARY, "measurement_id": 3, **second},
    ]
    evidence = {number: in_batch(batch, 1.0) for number, batch in enumerate(batches.split(), 1)}
    (pair,) = compare.pair_rows(rows, "float32", candidate="binary", evidence=evidence)
    assert pair.candidate["measurement_id"] == chosen


def test_a_pair_says_what_differs() -> None:
    (pair,) = pairs([FLOAT, {**BINARY, **TOOL}], "float32", candidate="binary")
    assert pair.differences == (
        "tool python_runner → lce_benchmark_model",
        "interpreter an interpreter 1.0 → none",
    )


def held_against(
    old: Evidence, new: Evidence, correct: compare.Correct | None = None, **changed: Any
) -> Comparison:
    pair = Pair(FLOAT, {**BINARY, "measurement_id": 2, **changed})
    (one,) = compare_pairs([pair], {1: old, 2: new}, correct=correct or {})
    return one


STEADY = (100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8)


def test_runs_of_the_same_blocks_are_held_against_each_other() -> None:
    """The device slows down by half from block to block, and the candidate takes 2 % longer in each."""
    drifting = [100.0 * 1.5**number for number in range(7)]
    slower = [1.02 * average * noise / 100 for average, noise in zip(drifting, STEADY, strict=True)]
    together = held_against(in_batch("b1", *drifting), in_batch("b1", *slower))
    assert together.latency.value == pytest.approx(1.02, rel=0.01)
    assert together.verdict is Verdict.SLOWER
    apart = held_against(in_batch("b1", *drifting), in_batch("b2", *slower))
    assert apart.verdict is Verdict.NO_DIFFERENCE


@pytest.mark.parametrize(
    "old",
    [in_batch("b2", *STEADY), in_batch("b1", *STEADY[:5]), Evidence(STEADY)],
    ids=["other", "too few", "before"],
)
def test_runs_that_share_too_few_blocks_are_compared_as_samples(old: Evidence) -> None:
    """A fifth block would pair 100 with 50; all averages say half as well."""
    one = held_against(old, in_batch("b1", *(average / 2 for average in STEADY)))
    assert one.latency.value == pytest.approx(0.5, rel=0.02)


def test_only_the_blocks_of_both_are_paired_and_each_with_its_own() -> None:
    old = Evidence(STEADY, blocks("b1", STEADY))
    shuffled = dict(reversed(blocks("b1", [average / 4 for average in (*STEADY, 1e6)]).items()))
    one = held_against(old, Evidence(tuple(shuffled.values()), shuffled))
    assert one.latency.value == pytest.approx(0.25)
    assert one.verdict is Verdict.FASTER


def test_too_few_runs_have_a_ratio_and_no_verdict() -> None:
    one = held_against(Evidence((100.0, 101.0)), Evidence((50.0, 51.0)))
    assert one.latency.value == pytest.approx(0.5, rel=0.02)
    assert (one.verdict, one.p) == (Verdict.UNKNOWN, None)


@pytest.mark.parametrize("averages", [(0.0,) * 7, (0.0, *STEADY[1:])])
def test_a_time_under_the_clocks_resolution_has_no_ratio(averages: tuple[float, ...]) -> None:
    for old, new in ((averages, STEADY), (STEADY, averages)):
        one = held_against(Evidence(old), Evidence(new))
        assert isnan(one.latency.value)
        assert one.verdict is Verdict.UNKNOWN


def test_one_finding_among_many_comparisons_weighs_less() -> None:
    """By chance, one of many shows a difference."""
    by_chance = (1.002, 1.03, 1.004, 1.001, 1.028, 1.006, 1.009)
    odd = in_batch(
        "b1", *(average * factor for average, factor in zip(STEADY, by_chance, strict=True))
    )
    evidence = {1: in_batch("b1", *STEADY), 2: odd} | dict.fromkeys(
        range(3, 12), in_batch("b1", *reversed(STEADY))
    )
    held = [Pair(FLOAT, {**BINARY, "measurement_id": number}) for number in range(2, 12)]
    (alone,), among = (
        compare_pairs(held[:1], evidence, correct={}),
        compare_pairs(held, evidence, correct={}),
    )
    assert (alone.latency.low, alone.latency.high) == (among[0].latency.low, among[0].latency.high)
    assert alone.latency.smallest_change is not None
    assert among[0].latency.smallest_change is not None
    assert alone.latency.smallest_change < among[0].latency.smallest_change
    assert alone.p is not None
    assert among[0].p is not None
    assert alone.p < 0.05 < among[0].p
    assert (alone.verdict, among[0].verdict) == (Verdict.SLOWER, Verdict.NO_DIFFERENCE)


def test_a_size_is_exact() -> None:
    assert held_against(Evidence(STEADY), Evidence(STEADY)).size == Estimate(0.25)


IMAGES = np.arange(1000)
FLOAT_RIGHT, BINARY_RIGHT = IMAGES < 950, (IMAGES >= 10) & (IMAGES < 910)


def of_both(old: NDArray[np.bool_], new: NDArray[np.bool_]) -> dict[tuple[str, str], bytes]:
    keys = ((row["trial"], row["artifact"]) for row in (FLOAT, BINARY))
    return {key: pack_correct(right) for key, right in zip(keys, (old, new), strict=True)}


def test_accuracies_are_compared_image_by_image() -> None:
    one = held_against(
        Evidence(STEADY), Evidence(STEADY), correct=of_both(FLOAT_RIGHT, BINARY_RIGHT)
    )
    assert one.accuracy is not None
    assert one.accuracy.value == pytest.approx(-0.05)
    assert one.accuracy.low is not None
    assert one.accuracy.high is not None
    assert -0.08 < one.accuracy.low < -0.05 < one.accuracy.high < -0.02
    assert one.accuracy.p is not None
    assert one.accuracy.p < 0.001


@pytest.mark.parametrize(
    ("correct", "changed"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param(dict([next(iter(of_both(FLOAT_RIGHT, BINARY_RIGHT).items()))]), {}, id="one"),
        pytest.param(of_both(FLOAT_RIGHT, BINARY_RIGHT[:-1]), {}, id="another number"),
        pytest.param(
            of_both(FLOAT_RIGHT, BINARY_RIGHT), {"dataset": "fashion_mnist"}, id="another data set"
        ),
    ],
)
def test_without_the_same_images_a_difference_has_no_interval(
    correct: dict[tuple[str, str], bytes], changed: dict[str, Any]
) -> None:
    one = held_against(Evidence(STEADY), Evidence(STEADY), correct=correct, **changed)
    assert one.accuracy is not None
    assert (one.accuracy.low, one.accuracy.high, one.accuracy.p) == (None, None, None)
    assert one.accuracy.value == pytest.approx(-0.05)


def test_accuracy_is_unknown_where_either_has_none() -> None:
    assert held_against(Evidence(STEADY), Evidence(STEADY), accuracy=None).accuracy is None


@given(st.lists(st.booleans()))
def test_which_images_were_right_survives_its_packing(right: list[bool]) -> None:
    assert unpack_correct(pack_correct(np.array(right, bool))).tolist() == right
