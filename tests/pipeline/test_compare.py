from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.comparison import Pair, Ratio
from harness.core.errors import RequestError
from harness.pipeline.compare import compared, pairs, regression
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
    assert pairs([BINARY, floats, lonely, FLOAT, binary], "float32", "binary") == (
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
    assert pairs([BINARY, FLOAT, OWN], baseline, candidate) == (Pair(FLOAT, BINARY),)


@pytest.mark.parametrize("name", ["own.tflite", "m"])
def test_a_model_of_ones_own_is_named_by_its_file(name: str) -> None:
    own = {**OWN, "file": name}
    assert pairs([BINARY, FLOAT, own], name, "binary") == (Pair(own, BINARY),)


def test_every_device_and_thread_count_is_a_pair() -> None:
    rows = [
        {**row, "device": device, "threads": threads}
        for device in ("pi4", "pi5")
        for threads in (1, 4)
        for row in (BINARY, FLOAT)
    ]
    found = pairs(rows, "float32", "binary")
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
    with pytest.raises(RequestError, match=f"'{word}' selects several artifacts on pi4.*name one of them"):
        pairs(rows, FLOAT["trial"], word)


@pytest.mark.parametrize("word", ["", "int8", "aaa", "99999999", "nowhere.tflite", "b" * 63 + "c"])
def test_a_word_for_nothing_is_refused(word: str) -> None:
    with pytest.raises(RequestError, match="is no precision, trial, artifact or model file") as caught:
        pairs([BINARY, FLOAT, OWN], "float32", word)
    assert repr(word) in str(caught.value)


@pytest.mark.parametrize(
    "unlike", [{"device": "pi5"}, {"threads": 4}, {"tool": "lce_benchmark_model"}, {"protocol": "thorough"}], ids=str
)
def test_what_was_never_measured_alike_is_refused(unlike: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="never measured alike"):
        pairs([FLOAT, {**BINARY, **unlike}], "float32", "binary")


def test_precisions_without_twins_are_refused() -> None:
    with pytest.raises(RequestError, match="never measured alike"):
        pairs([FLOAT, other_twin(BINARY, 1)], "float32", "binary")


def test_ratios_are_candidate_over_baseline() -> None:
    found = compared(Pair(FLOAT, BINARY))
    assert found.latency == Ratio(0.25, 90 / 440, 110 / 380)
    assert found.size == Ratio(0.25)
    assert found.accuracy == pytest.approx(-0.05)


@pytest.mark.parametrize("without", [FLOAT, BINARY])
def test_a_ratio_is_bounded_only_where_both_have_an_interval(without: dict[str, Any]) -> None:
    unbounded = {"latency_low_us": None, "latency_high_us": None}
    rows = [{**row, **(unbounded if row is without else {})} for row in (FLOAT, BINARY)]
    assert compared(Pair(*rows)).latency == Ratio(0.25)


INTERVALS = st.lists(st.floats(0.1, 1e6), min_size=3, max_size=3).map(sorted)


@given(INTERVALS, INTERVALS)
def test_a_ratios_bounds_hold_it(old: list[float], new: list[float]) -> None:
    rows = [
        {**BINARY, "latency_low_us": low, "latency_us": middle, "latency_high_us": high}
        for low, middle, high in (old, new)
    ]
    ratio = compared(Pair(*rows)).latency
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= ratio.value * (1 + 1e-12)
    assert ratio.value <= ratio.high * (1 + 1e-12)


@pytest.mark.parametrize("row", [FLOAT, BINARY])
def test_accuracy_is_unknown_where_either_has_none(row: dict[str, Any]) -> None:
    rows = [{**one, **({"accuracy": None} if one is row else {})} for one in (FLOAT, BINARY)]
    assert compared(Pair(*rows)).accuracy is None
    assert regression(Pair(*rows), "accuracy") is None


@pytest.mark.parametrize(
    ("metric", "column", "old", "new", "expected"),
    [
        ("latency", "latency_us", 100.0, 105.0, 0.05),
        ("latency", "latency_us", 100.0, 50.0, -0.5),
        ("size", "size_bytes", 1000, 1500, 0.5),
        ("size", "size_bytes", 1000, 900, -0.1),
        ("accuracy", "accuracy", 0.8, 0.6, 0.25),
        ("accuracy", "accuracy", 0.8, 1.0, -0.25),
        ("memory", "peak_memory_bytes", 100, 300, 2.0),
        ("latency", "latency_us", 100.0, 100.0, 0.0),
        ("memory", "peak_memory_bytes", None, 300, None),
        ("memory", "peak_memory_bytes", 300, None, None),
        ("accuracy", "accuracy", 0.0, 0.5, None),
    ],
)
def test_a_regression_is_positive_where_the_candidate_is_worse(
    metric: str, column: str, old: float | None, new: float | None, expected: float | None
) -> None:
    found = regression(Pair({**BINARY, column: old}, {**BINARY, column: new}), metric)
    assert found == (expected if expected is None else pytest.approx(expected))
