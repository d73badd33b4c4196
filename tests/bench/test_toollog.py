import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.bench.toollog import MIB, parse
from harness.core.bench import Timing, ToolLog
from harness.core.errors import CaseFailed, Reason
from tests.bench.golden import NAMES, recording

# warm-up, runs, initialisation, peak
NUMBERS: dict[str, tuple[Timing, Timing, float, int | None]] = {
    "base_bnn": (
        Timing(96, 29007, 4357, 29007, 5211.27, 2443),
        Timing(199, 4929, 4361, 5157, 5011.87, 88),
        133069,
        None,
    ),
    "base_float": (
        Timing(61, 17280, 7135, 17280, 8254.92, 1179),
        Timing(123, 8313, 7145, 8313, 8133.77, 116),
        136880,
        None,
    ),
    "io_True_0_xnnfalse": (
        Timing(1, 49303, 49303, 49303, 49303, None),
        Timing(5, 7629, 4441, 7629, 5403, 1133),
        83970,
        None,
    ),
    "num_runs1_minsecs0": (
        Timing(1, 18278, 18278, 18278, 18278, None),
        Timing(1, 3536, 3536, 3536, 3536, None),
        83047,
        None,
    ),
    "peakmem_bnn": (
        Timing(95, 29125, 4143, 29125, 5241.26, 2470),
        Timing(202, 4987, 4343, 5155, 4946.65, 103),
        125105,
        round(21.9805 * MIB),
    ),
    "profile_bnn": (
        Timing(104, 30101, 4048, 30101, 4819.3, 2498),
        Timing(205, 5041, 4137, 5041, 4639.64, 131),
        120486,
        None,
    ),
    "profile_csv_bnn": (
        Timing(93, 31914, 4400, 31914, 5388.11, 2768),
        Timing(186, 5519, 4355, 5626, 5116.2, 141),
        138932,
        None,
    ),
    "threads4_bnn": (
        Timing(183, 19447, 2143, 19447, 2715.85, 1475),
        Timing(378, 2438, 2190, 5992, 2628.09, 707),
        100629,
        None,
    ),
}
REFUSED = {
    "err_graph_missing": Reason.UNPARSABLE,
    "err_timeout_kill": Reason.UNPARSABLE,
    "err_unknown_flag": Reason.ECHO_MISMATCH,
    "nolce_bnn": Reason.UNPARSABLE,
    "num_runs0_minsecs0": Reason.NOTHING_RAN,
}

TENSORFLOW_2_1 = """\
[Init Phase] - Memory usage: max resident set size = 3.12109 MB, total malloc-ed size = 14.6232 MB
count=50 first=136997 curr=137191 min=136834 max=138724 avg=137144 std=264
[Overall] - Memory usage: max resident set size = 71.4961 MB, total malloc-ed size = 31.4656 MB
"""
LCE_DOCS = """\
Loaded model quicknet.tflite
The input model file size (MB): 3.3512
Initialized session in 1.471ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=16 first=41707 curr=31870 min=31722 max=41707 avg=32491.4 std=2395
Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=31929 curr=31278 min=31138 max=31929 avg=31420.6 std=260
Inference timings in us: Init: 1471, First inference: 41707, Warmup (avg): 32491.4, Inference (avg): 31420.6
"""
TENSORFLOW_2_13 = """\
INFO: count=50 first=121183 curr=115199 min=111222 max=121324 avg=116066 std=1906
INFO: Inference timings in us: Init: 530, First inference: 124020, Warmup (avg): 117225, Inference (avg): 116066
INFO: Memory footprint delta from the start of the tool (MB): init=3.75 overall=12.1914
"""
LITERT_PERCENTILES = """\
INFO: count=50 first=5 curr=4 min=3 max=9 avg=4.5 std=1 p5=3 median=4 p95=8
INFO: Inference timings in us: Init: 530, First inference: 9, Warmup (avg): 5, Inference (avg): 4.5
"""
LITERT_ALL_SAME = """\
INFO: count=50 curr=7(all same)
INFO: Inference timings in us: Init: 530, First inference: 9, Warmup (avg): 5, Inference (avg): 7
"""

# Lines of the runtime's own, as they stand in public threads and in the recordings' standard error.
OF_THE_RUNTIME = (
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "INFO: Applying 1 TensorFlow Lite delegate(s) lazily.",
    "VERBOSE: Replacing 5 out of 12 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 3 partitions.",
    "WARNING: linker: Warning: unable to normalize library path",
    "",
)


def failure(text: str) -> CaseFailed:
    with pytest.raises(CaseFailed) as caught:
        parse(text)
    return caught.value


def numbers(log: ToolLog) -> tuple[Timing | None, Timing]:
    return log.warmup, log.inference


def test_every_recording_is_read_or_refused() -> None:
    assert set(NAMES) == {*NUMBERS, *REFUSED}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_recordings_numbers_are_read(name: str) -> None:
    warmup, inference, init_us, peak = NUMBERS[name]
    log = parse(recording(name).merged)
    assert numbers(log) == (warmup, inference)
    assert (log.init_us, log.peak_memory_bytes) == (init_us, peak)


@pytest.mark.parametrize("name", REFUSED)
def test_a_recording_without_a_result_is_refused_with_its_reason(name: str) -> None:
    found = failure(recording(name).merged)
    assert found.reason is REFUSED[name]
    assert found.log == recording(name).merged


def test_a_flag_that_the_tool_did_not_know_is_named() -> None:
    assert "--no_such_flag=1 --another" in str(failure(recording("err_unknown_flag").merged))


def test_what_the_tool_echoes_is_kept() -> None:
    echo = parse(recording("io_True_0_xnnfalse").merged).echo
    assert echo["Num threads"] == "1"
    assert echo["Min runs duration (seconds)"] == "0"
    assert echo["Graph"] == "m_True.tflite"
    assert echo["Input shapes"] == "1,28,28,1"
    assert echo["#threads used for CPU inference"] == "1"
    assert echo["Use xnnpack"] == "0"


@pytest.mark.parametrize(
    ("text", "warmup", "inference", "init_us", "peak"),
    [
        pytest.param(
            TENSORFLOW_2_1,
            None,
            Timing(50, 136997, 136834, 138724, 137144, 264),
            None,
            round(71.4961 * MIB),
            id="TensorFlow 2.1",
        ),
        pytest.param(
            LCE_DOCS,
            Timing(16, 41707, 31722, 41707, 32491.4, 2395),
            Timing(50, 31929, 31138, 31929, 31420.6, 260),
            1471,
            None,
            id="LCE's documentation",
        ),
        pytest.param(
            TENSORFLOW_2_13, None, Timing(50, 121183, 111222, 121324, 116066, 1906), 530, None, id="TensorFlow 2.13"
        ),
        pytest.param(LITERT_PERCENTILES, None, Timing(50, 5, 3, 9, 4.5, 1), 530, None, id="LiteRT with percentiles"),
        pytest.param(LITERT_ALL_SAME, None, Timing(50, 7, 7, 7, 7, 0.0), 530, None, id="LiteRT, all the same"),
        pytest.param(
            TENSORFLOW_2_13.replace("avg=116066", "avg=1.16066e+05"),
            None,
            Timing(50, 121183, 111222, 121324, 116066, 1906),
            530,
            None,
            id="with an exponent",
        ),
    ],
)
def test_what_other_versions_print_is_read(
    text: str, warmup: Timing | None, inference: Timing, init_us: float | None, peak: int | None
) -> None:
    log = parse(text)
    assert numbers(log) == (warmup, inference)
    assert (log.init_us, log.peak_memory_bytes) == (init_us, peak)


@pytest.mark.parametrize("text", [TENSORFLOW_2_1, LCE_DOCS, TENSORFLOW_2_13, LITERT_PERCENTILES, LITERT_ALL_SAME])
@pytest.mark.parametrize("line_end", ["\r\n", "\n\n", " \n"], ids=repr)
def test_line_ends_make_no_difference(text: str, line_end: str) -> None:
    assert parse(text.replace("\n", line_end)) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LCE_DOCS.replace("count=50 first=31929", "count=0 first=31929"), id="though it prints numbers"),
        pytest.param("count=0\n", id="nothing else"),
        pytest.param("INFO: count=16 curr=3\nINFO: count=0\n", id="only the warm-up"),
        pytest.param(
            LCE_DOCS.split("count=50", maxsplit=1)[0] + "count=0\n" + LCE_DOCS.splitlines()[-1], id="with a summary"
        ),
    ],
)
def test_a_tool_that_ran_nothing_is_no_success(text: str) -> None:
    assert failure(text).reason is Reason.NOTHING_RAN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("Inference (avg): 31420.6", "Inference (avg): 31520.6", id="summary is another average"),
        pytest.param("Inference (avg): 31420.6", "Inference (avg): 0", id="summary is zero"),
        pytest.param("avg=31420.6", "avg=31137", id="average under the least, and not the summary's"),
        pytest.param("min=31138 max=31929", "min=31500 max=31929", id="least over the average"),
        pytest.param("max=31929 avg", "max=31400 avg", id="most under the average"),
        pytest.param("min=31138 max=31929", "min=31929 max=31138", id="least and most swapped"),
        pytest.param(" avg=31420.6", "", id="no average"),
        pytest.param(" min=31138", "", id="no least"),
        pytest.param("avg=31420.6", "avg=nan", id="average that is no number"),
        pytest.param("avg=31420.6", "avg=-", id="average that is half a number"),
        pytest.param("Init: 1471", "Init: .", id="initialisation that is no number"),
        pytest.param("Inference (avg): 31420.6", "Inference (avg): -", id="summary that is no number"),
        pytest.param("count=50", "count=" + "9" * 5000, id="count of 5000 digits"),
        pytest.param("count=16", "count=12 curr=3\ncount=16", id="three series"),
    ],
)
def test_a_log_that_contradicts_itself_is_refused(old: str, new: str) -> None:
    assert old in LCE_DOCS
    assert failure(LCE_DOCS.replace(old, new)).reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "line",
    [
        "count=5 first=-2 curr=-2 min=-3 max=-1 avg=-2 std=1",
        "count=1 curr=-4",
        "count=5 first=1 curr=1 min=1 max=1e999 avg=1e999 std=1",
    ],
)
def test_times_that_can_not_be_are_refused(line: str) -> None:
    assert failure(line).reason is Reason.UNPARSABLE


@pytest.mark.parametrize("text", ["", "\n", "command not found", "INFO: STARTING!", "count=", "INFO: count=x first=3"])
def test_what_is_no_tools_log_is_refused(text: str) -> None:
    assert failure(text).reason is Reason.UNPARSABLE


def prefixes(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    return ["".join(lines[:end]) for end in range(len(lines))]


def parsed(text: str) -> ToolLog | Reason:
    try:
        return parse(text)
    except CaseFailed as found:
        return found.reason


@pytest.mark.parametrize("name", NUMBERS)
def test_a_killed_tools_log_is_refused_or_gives_the_same_numbers(name: str) -> None:
    whole = parse(recording(name).merged)
    results = [parsed(prefix) for prefix in prefixes(recording(name).stdout)]
    read = [log for log in results if isinstance(log, ToolLog)]
    assert {reason for reason in results if isinstance(reason, Reason)} == {Reason.UNPARSABLE}
    assert {numbers(log) for log in read} == {numbers(whole)}
    assert {round(log.init_us or 0) for log in read} == {whole.init_us}
    assert {log.peak_memory_bytes for log in read} <= {None, whole.peak_memory_bytes}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_tool_that_was_killed_before_its_summary_has_no_result(name: str) -> None:
    """It prints the `Inference timings` at its very end: without them it did not come there."""
    cut = [prefix for prefix in prefixes(recording(name).stdout) if "Inference timings" not in prefix]
    assert len(cut) > 10
    assert {failure(prefix).reason for prefix in cut} == {Reason.UNPARSABLE}


@pytest.mark.parametrize("name", ["base_bnn", "peakmem_bnn"])
def test_a_log_cut_within_a_line_never_gives_other_numbers(name: str) -> None:
    whole = recording(name).stdout
    expected = parse(whole)
    ends = range(whole.rindex("INFO: count="), whole.index("INFO: Note"))
    read = [log for log in (parsed(whole[:end]) for end in ends) if isinstance(log, ToolLog)]
    assert {log.inference for log in read} == {expected.inference}
    assert {round(log.init_us or 0) for log in read} == {expected.init_us}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("seed", range(5))
def test_lines_of_the_runtime_in_between_change_nothing(name: str, seed: int) -> None:
    randomly = random.Random(seed)
    lines = recording(name).stdout.splitlines()
    mixed = [line for one in lines for line in (*randomly.choices(OF_THE_RUNTIME, k=randomly.randrange(3)), one)]
    assert parse("\n".join(mixed)) == parse(recording(name).merged)


def count_line(times: Sequence[float]) -> str:
    """As the tool prints it: six digits, and one run alone as `curr`."""
    if len(times) == 1:
        return f"INFO: count=1 curr={times[0]:g}\n"
    average = sum(times) / len(times)
    deviation = int((sum((one - average) ** 2 for one in times) / len(times)) ** 0.5)
    return (
        f"INFO: count={len(times)} first={times[0]:g} curr={times[-1]:g} min={min(times):g} max={max(times):g} "
        f"avg={average:g} std={deviation}\n"
    )


TIMES = st.lists(st.floats(0.5, 1e9), min_size=1, max_size=20)


@given(TIMES, TIMES, st.floats(1, 1e9), st.none() | st.floats(0.1, 1e5))
def test_a_printed_log_parses_back(warmup: list[float], times: list[float], init_us: float, peak: float | None) -> None:
    average = sum(times) / len(times)
    text = (
        "INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds\n"
        + count_line(warmup)
        + "\nINFO: Running benchmark for at least 50 iterations and at least 1 seconds\n"
        + count_line(times)
        + f"\nINFO: Inference timings in us: Init: {init_us:g}, First inference: {warmup[0]:g}, "
        + f"Warmup (avg): {sum(warmup) / len(warmup):g}, Inference (avg): {average:g}\n"
        + (f"INFO: Overall peak memory footprint (MB) via periodic monitoring: {peak:g}\n" if peak else "")
    )
    log = parse(text)
    assert log.warmup is not None
    for timing, printed in ((log.warmup, warmup), (log.inference, times)):
        found = (timing.count, timing.first_us, timing.min_us, timing.max_us, timing.avg_us)
        expected = (len(printed), printed[0], min(printed), max(printed), sum(printed) / len(printed))
        assert found == pytest.approx(expected, rel=1e-5)
    assert log.init_us == pytest.approx(init_us, rel=1e-5)
    assert log.peak_memory_bytes == (None if peak is None else pytest.approx(peak * MIB, rel=1e-5))


SNIPPETS = st.sampled_from(
    (
        *(
            "INFO: ",
            "count=",
            "count=5 ",
            "first=",
            "curr=3",
            "min=1",
            " max=9",
            " avg=4",
            " std=",
            "\n",
            " ",
            "(all same)",
        ),
        *("1e999", "-", ".", "e", "nan", "inf", "9" * 5000, "3", "٣", "5.5", "[", "]", ": ", "Num threads"),
        *("Inference timings in us: Init: ", ", Inference (avg): ", "Initialized session in ", "ms", " MB"),
        "Running benchmark for at least 1 iterations",
        "Overall peak memory footprint (MB) via periodic monitoring: ",
        "[Overall] - Memory usage: max resident set size = ",
        "Average inference timings in us: Warmup: 1, Init: ",
        ", no stats: ",
        "Unconsumed cmdline flags: ",
    )
)


def raises_nothing_else(text: str) -> None:
    log = parsed(text)
    assert isinstance(log, Reason) or log.inference.count > 0


@given(st.text())
def test_random_text_raises_nothing_but_a_failed_case(text: str) -> None:
    raises_nothing_else(text)


@given(st.lists(SNIPPETS, max_size=12).map("".join))
@example("count=1 curr=3\nInference timings in us: Init: ., Inference (avg): 3")
@example("count=1 curr=3\nInitialized session in -ms")
@example("count=1 curr=3\nOverall peak memory footprint (MB) via periodic monitoring: 1e999")
@example("count=1 curr=3\n[Overall] - Memory usage: max resident set size = e MB")
def test_random_words_of_the_tools_raise_nothing_but_a_failed_case(text: str) -> None:
    raises_nothing_else(text)
