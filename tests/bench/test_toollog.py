from collections.abc import Sequence
from dataclasses import astuple, replace
from math import isclose

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.bench.toollog import MIB, parse
from harness.core.bench import Timing, ToolLog
from harness.core.errors import CaseFailed, Reason
from tests.bench.golden import NAMES, recording

# warm-up, runs, initialisation, peak
NUMBERS: dict[str, tuple[Timing, Timing, float, int | None]] = {
    "base_bnn": (
        Timing(96, 29007, min_us=4357, max_us=29007, avg_us=5211.27, std_us=2443),
        Timing(199, 4929, min_us=4361, max_us=5157, avg_us=5011.87, std_us=88),
        133069,
        None,
    ),
    "base_float": (
        Timing(61, 17280, min_us=7135, max_us=17280, avg_us=8254.92, std_us=1179),
        Timing(123, 8313, min_us=7145, max_us=8313, avg_us=8133.77, std_us=116),
        136880,
        None,
    ),
    "io_True_0_xnnfalse": (
        Timing(1, 49303, min_us=49303, max_us=49303, avg_us=49303, std_us=None),
        Timing(5, 7629, min_us=4441, max_us=7629, avg_us=5403, std_us=1133),
        83970,
        None,
    ),
    "num_runs1_minsecs0": (
        Timing(1, 18278, min_us=18278, max_us=18278, avg_us=18278, std_us=None),
        Timing(1, 3536, min_us=3536, max_us=3536, avg_us=3536, std_us=None),
        83047,
        None,
    ),
    "peakmem_bnn": (
        Timing(95, 29125, min_us=4143, max_us=29125, avg_us=5241.26, std_us=2470),
        Timing(202, 4987, min_us=4343, max_us=5155, avg_us=4946.65, std_us=103),
        125105,
        round(21.9805 * MIB),
    ),
    "profile_bnn": (
        Timing(104, 30101, min_us=4048, max_us=30101, avg_us=4819.3, std_us=2498),
        Timing(205, 5041, min_us=4137, max_us=5041, avg_us=4639.64, std_us=131),
        120486,
        None,
    ),
    "profile_csv_bnn": (
        Timing(93, 31914, min_us=4400, max_us=31914, avg_us=5388.11, std_us=2768),
        Timing(186, 5519, min_us=4355, max_us=5626, avg_us=5116.2, std_us=141),
        138932,
        None,
    ),
    "threads4_bnn": (
        Timing(183, 19447, min_us=2143, max_us=19447, avg_us=2715.85, std_us=1475),
        Timing(378, 2438, min_us=2190, max_us=5992, avg_us=2628.09, std_us=707),
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
TENSORFLOW_1_14 = """\
Initialized session in 0.896ms
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=215 first=12231 curr=2106 min=2065 max=12231 avg=2331.42 std=746

Running benchmark for at least 100 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=459 first=2143 curr=2101 min=2056 max=2656 avg=2177.1 std=124

Average inference timings in us: Warmup: 2331.42, Init: 896, no stats: 2177.1
"""
LITERT = """\
INFO: [litert/runtime/accelerators/auto_registration.cc:148] CPU accelerator registered.
INFO: Initialized session in 4.478ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=1055 first=1033 curr=473 min=443 max=1033 avg=465.319 std=18 p5=459 median=463 p95=478

INFO: Running benchmark for at least 1000 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=2112 first=463 curr=459 min=442 max=979 avg=464.545 std=13 p5=460 median=462 p95=478

INFO: [./litert/tools/benchmark_litert_model.h:81]
========== BENCHMARK RESULTS ==========
INFO: [./litert/tools/benchmark_litert_model.h:82] Model initialization: 4.48 ms
INFO: [./litert/tools/benchmark_litert_model.h:84] Warmup (first):       1.03 ms
INFO: [./litert/tools/benchmark_litert_model.h:86] Warmup (avg):         0.47 ms (1055 runs)
INFO: [./litert/tools/benchmark_litert_model.h:88] Inference (avg):      0.46 ms (2112 runs)
INFO: [./litert/tools/benchmark_litert_model.h:92] Inference (min):      0.44 ms
INFO: [./litert/tools/benchmark_litert_model.h:116] Overall footprint:    11.51 MB
INFO: [./litert/tools/benchmark_litert_model.h:118] Peak memory:          12.25 MB
"""
LITERT_SUMMARY = LITERT.partition("INFO: [./litert")[0] + (
    "INFO: Inference timings in us: Init: 4478, First inference: 1033, Warmup (avg): 465.319, Inference (avg): 464.545\n"
)
LITERT_ALL_SAME = """\
INFO: count=50 curr=7(all same) p5=7 median=7 p95=7
INFO: Inference timings in us: Init: 530, First inference: 9, Warmup (avg): 5, Inference (avg): 7
"""
LOGCAT = "".join(
    f"07-14 13:14:52.097 22838 22838 I tflite  : {line.removeprefix('INFO: ')}\n"
    for line in TENSORFLOW_2_13.splitlines()
)

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
            Timing(50, 136997, min_us=136834, max_us=138724, avg_us=137144, std_us=264),
            None,
            round(71.4961 * MIB),
            id="TensorFlow 2.1",
        ),
        pytest.param(
            LCE_DOCS,
            Timing(16, 41707, min_us=31722, max_us=41707, avg_us=32491.4, std_us=2395),
            Timing(50, 31929, min_us=31138, max_us=31929, avg_us=31420.6, std_us=260),
            1471,
            None,
            id="LCE's documentation",
        ),
        pytest.param(
            TENSORFLOW_2_13,
            None,
            Timing(50, 121183, min_us=111222, max_us=121324, avg_us=116066, std_us=1906),
            530,
            None,
            id="TensorFlow 2.13",
        ),
        pytest.param(
            TENSORFLOW_1_14,
            Timing(215, 12231, min_us=2065, max_us=12231, avg_us=2331.42, std_us=746),
            Timing(459, 2143, min_us=2056, max_us=2656, avg_us=2177.1, std_us=124),
            896,
            None,
            id="TensorFlow 1.14",
        ),
        pytest.param(
            TENSORFLOW_1_14.replace("no stats: ", "Inference: "),
            Timing(215, 12231, min_us=2065, max_us=12231, avg_us=2331.42, std_us=746),
            Timing(459, 2143, min_us=2056, max_us=2656, avg_us=2177.1, std_us=124),
            896,
            None,
            id="TensorFlow 1.15",
        ),
        pytest.param(
            LITERT,
            Timing(
                1055,
                1033,
                min_us=443,
                max_us=1033,
                avg_us=465.319,
                std_us=18,
                p5_us=459,
                median_us=463,
                p95_us=478,
            ),
            Timing(
                2112,
                463,
                min_us=442,
                max_us=979,
                avg_us=464.545,
                std_us=13,
                p5_us=460,
                median_us=462,
                p95_us=478,
            ),
            4478,
            round(12.25 * MIB),
            id="LiteRT",
        ),
        pytest.param(
            LITERT_SUMMARY,
            Timing(
                1055,
                1033,
                min_us=443,
                max_us=1033,
                avg_us=465.319,
                std_us=18,
                p5_us=459,
                median_us=463,
                p95_us=478,
            ),
            Timing(
                2112,
                463,
                min_us=442,
                max_us=979,
                avg_us=464.545,
                std_us=13,
                p5_us=460,
                median_us=462,
                p95_us=478,
            ),
            4478,
            None,
            id="LiteRT with the old summary",
        ),
        pytest.param(
            LITERT_ALL_SAME,
            None,
            Timing(50, 7, min_us=7, max_us=7, avg_us=7, std_us=0.0, p5_us=7, median_us=7, p95_us=7),
            530,
            None,
            id="LiteRT, all the same",
        ),
        pytest.param(
            LITERT_ALL_SAME.replace(" p5=7 median=7 p95=7", ""),
            None,
            Timing(50, 7, min_us=7, max_us=7, avg_us=7, std_us=0.0),
            530,
            None,
            id="all the same, without percentiles",
        ),
        pytest.param(
            LOGCAT,
            None,
            Timing(50, 121183, min_us=111222, max_us=121324, avg_us=116066, std_us=1906),
            530,
            None,
            id="through Android's log",
        ),
        pytest.param(
            TENSORFLOW_2_13.replace("avg=116066", "avg=1.16066e+05"),
            None,
            Timing(50, 121183, min_us=111222, max_us=121324, avg_us=116066, std_us=1906),
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


@pytest.mark.parametrize(
    "text", [TENSORFLOW_2_1, LCE_DOCS, TENSORFLOW_2_13, LITERT, LITERT_ALL_SAME]
)
@pytest.mark.parametrize("line_end", ["\r\n", "\n\n", " \n"], ids=repr)
def test_line_ends_make_no_difference(text: str, line_end: str) -> None:
    assert parse(text.replace("\n", line_end)) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            LCE_DOCS.replace("count=50 first=31929", "count=0 first=31929"),
            id="though it prints numbers",
        ),
        pytest.param("count=0\n", id="nothing else"),
        pytest.param("INFO: count=16 curr=3\nINFO: count=0\n", id="only the warm-up"),
        pytest.param(
            LCE_DOCS.split("count=50", maxsplit=1)[0]
            + "count=0\n"
            + LCE_DOCS.splitlines()[-1]
            + "\n",
            id="with a summary",
        ),
    ],
)
def test_a_tool_that_ran_nothing_is_no_success(text: str) -> None:
    assert failure(text).reason is Reason.NOTHING_RAN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(
            "Inference (avg): 31420.6", "Inference (avg): 31520.6", id="summary is another average"
        ),
        pytest.param("Inference (avg): 31420.6", "Inference (avg): 0", id="summary is zero"),
        pytest.param(
            "avg=31420.6", "avg=31137", id="average under the least, and not the summary's"
        ),
        pytest.param("min=31138 max=31929", "min=31500 max=31929", id="least over the average"),
        pytest.param("max=31929 avg", "max=31400 avg", id="most under the average"),
        pytest.param("min=31138 max=31929", "min=31929 max=31138", id="least and most swapped"),
        pytest.param(" avg=31420.6", "", id="no average"),
        pytest.param(" min=31138", "", id="no least"),
        pytest.param("avg=31420.6", "avg=nan", id="average that is no number"),
        pytest.param("avg=31420.6", "avg=-", id="average that is half a number"),
        pytest.param("Init: 1471", "Init: .", id="initialisation that is no number"),
        pytest.param(
            "Inference (avg): 31420.6", "Inference (avg): -", id="summary that is no number"
        ),
        pytest.param("count=50", "count=" + "9" * 5000, id="count of 5000 digits"),
        pytest.param("count=16", "count=12 curr=3\ncount=16", id="three series"),
        pytest.param("first=31929", "first=31930.5e1", id="first over the most"),
        pytest.param("first=31929", "first=31000", id="first under the least"),
        pytest.param("curr=31278", "curr=31000", id="last under the least"),
        pytest.param(
            "First inference: 41707", "First inference: 41000", id="summary has another first"
        ),
        pytest.param(
            "Warmup (avg): 32491.4", "Warmup (avg): 32591.4", id="summary has another warm-up"
        ),
        pytest.param("Init: 1471", "Init: 1571", id="summary has another initialisation"),
        pytest.param("std=260", "std=260 p5=31130 median=31400 p95=31500", id="p5 under the least"),
        pytest.param("std=260", "std=260 p5=31450 median=31400 p95=31500", id="p5 over the median"),
        pytest.param("std=260", "std=260 p5=31200 median=31600 p95=31500", id="median over p95"),
        pytest.param("std=260", "std=260 median=32000", id="median over the most"),
        pytest.param("std=260", "std=260 p5=31200 median=31400 p95=32000", id="p95 over the most"),
    ],
)
def test_a_log_that_contradicts_itself_is_refused(old: str, new: str) -> None:
    assert old in LCE_DOCS
    assert failure(LCE_DOCS.replace(old, new)).reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Model initialization: 4.48", "Model initialization: 4.58"),
        ("Warmup (first):       1.03", "Warmup (first):       1.13"),
        ("Warmup (avg):         0.47", "Warmup (avg):         0.57"),
        ("Inference (avg):      0.46", "Inference (avg):      0.56"),
    ],
)
def test_litert_must_not_contradict_itself_either(old: str, new: str) -> None:
    assert old in LITERT
    assert failure(LITERT.replace(old, new)).reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "line",
    [
        "count=5 first=-2 curr=-2 min=-3 max=-1 avg=-2 std=1",
        "count=1 curr=-4",
        "count=5 first=1 curr=1 min=1 max=1e999 avg=1e999 std=1",
    ],
)
def test_times_that_can_not_be_are_refused(line: str) -> None:
    assert failure(line + "\n").reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "text", ["", "\n", "command not found", "INFO: STARTING!", "count=", "INFO: count=x first=3"]
)
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
    cut = [
        prefix for prefix in prefixes(recording(name).stdout) if "Inference timings" not in prefix
    ]
    assert len(cut) > 10
    assert {failure(prefix).reason for prefix in cut} == {Reason.UNPARSABLE}


def told_by(log: ToolLog) -> tuple[object, ...]:
    return log.warmup, log.inference, log.init_us, log.peak_memory_bytes, log.resident_memory_bytes


@given(
    st.sampled_from(
        [*(recording(name).stdout for name in NUMBERS), LITERT, LCE_DOCS, TENSORFLOW_2_1]
    ),
    st.data(),
)
@settings(max_examples=300)
def test_a_log_cut_anywhere_never_gives_other_numbers(whole: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(whole)) | st.integers(whole.rindex("count="), len(whole)))
    log = parsed(whole[:end])
    if isinstance(log, ToolLog):
        expected = told_by(parse(whole))
        assert all(
            found in (None, number) for found, number in zip(told_by(log), expected, strict=True)
        )
        assert log.inference == parse(whole).inference
    else:
        assert log is Reason.UNPARSABLE


OF_OTHERS = st.sampled_from(OF_THE_RUNTIME) | st.text(
    st.characters(categories=["L", "P", "Zs"], exclude_characters="=[]"), max_size=40
)


@given(st.sampled_from(sorted(NUMBERS)), st.data())
def test_lines_of_others_in_between_change_nothing(name: str, data: st.DataObject) -> None:
    """As standard error comes in where both go through one stream: line by line."""
    lines = recording(name).stdout.splitlines()
    for line in data.draw(st.lists(OF_OTHERS, max_size=20)):
        lines.insert(data.draw(st.integers(0, len(lines))), line)
    assert parse("\n".join(lines) + "\n") == parse(recording(name).merged)


def test_the_memory_that_it_held_at_its_end_is_read_beside_the_peak() -> None:
    log = parse(recording("peakmem_bnn").merged)
    assert (log.peak_memory_bytes, log.resident_memory_bytes) == (round(21.9805 * MIB), 23 * MIB)
    assert parse(recording("base_bnn").merged).resident_memory_bytes is None


def timing(times: Sequence[float], percentiles: bool) -> Timing:
    ordered = sorted(times)
    p5, median, p95 = (ordered[int(share * (len(times) - 1))] for share in (0.05, 0.5, 0.95))
    average = sum(times) / len(times)
    deviation = int((sum((one - average) ** 2 for one in times) / len(times)) ** 0.5)
    shape = Timing(
        len(times),
        times[0],
        min_us=ordered[0],
        max_us=ordered[-1],
        avg_us=average,
        std_us=deviation if len(times) > 1 else None,
    )
    return replace(shape, p5_us=p5, median_us=median, p95_us=p95) if percentiles else shape


def count_line(times: Sequence[float], percentiles: bool) -> str:
    """As the tool prints it: six digits, and one run alone as `curr`."""
    of = timing(times, percentiles)
    fields = f"first={of.first_us:g} curr={times[-1]:g} min={of.min_us:g} max={of.max_us:g} avg={of.avg_us:g}"
    printed = f"curr={times[0]:g}" if of.count == 1 else f"{fields} std={of.std_us}"
    more = f" p5={of.p5_us:g} median={of.median_us:g} p95={of.p95_us:g}" if percentiles else ""
    return f"INFO: count={of.count} {printed}{more}\n"


def near(found: Timing, expected: Timing) -> bool:
    pairs = zip(astuple(found), astuple(expected), strict=True)
    return all(one == other or isclose(one, other, rel_tol=1e-5) for one, other in pairs)


TIMES = st.lists(st.floats(0.5, 1e9), min_size=1, max_size=20)


@given(TIMES, TIMES, st.floats(1, 1e9), st.none() | st.floats(0.1, 1e5), st.booleans())
def test_a_printed_log_parses_back(
    warmup: list[float], times: list[float], init_us: float, peak: float | None, percentiles: bool
) -> None:
    average = sum(times) / len(times)
    text = (
        "INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds\n"
        + count_line(warmup, percentiles)
        + "\nINFO: Running benchmark for at least 50 iterations and at least 1 seconds\n"
        + count_line(times, percentiles)
        + f"\nINFO: Inference timings in us: Init: {init_us:g}, First inference: {warmup[0]:g}, "
        + f"Warmup (avg): {sum(warmup) / len(warmup):g}, Inference (avg): {average:g}\n"
        + (
            f"INFO: Overall peak memory footprint (MB) via periodic monitoring: {peak:g}\n"
            if peak
            else ""
        )
    )
    log = parse(text)
    assert log.warmup is not None
    assert near(log.warmup, timing(warmup, percentiles))
    assert near(log.inference, timing(times, percentiles))
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
            " p5=2",
            " median=",
            " std=",
            "\n",
            " ",
            "(all same)",
        ),
        *(
            "1e999",
            "-",
            ".",
            "e",
            "nan",
            "inf",
            "9" * 5000,
            "3",
            "٣",
            "5.5",
            "[",
            "]",
            ": ",
            "Num threads",
        ),
        *(
            "Inference timings in us: Init: ",
            ", Inference (avg): ",
            "Initialized session in ",
            "ms",
            " MB",
        ),
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


@given(st.lists(SNIPPETS, max_size=12).map(lambda words: "".join(words) + "\n"))
@example("count=1 curr=3\nInference timings in us: Init: ., Inference (avg): 3\n")
@example("count=1 curr=3\nInitialized session in -ms\n")
@example("count=1 curr=3\nOverall peak memory footprint (MB) via periodic monitoring: 1e999\n")
@example("count=1 curr=3\n[Overall] - Memory usage: max resident set size = e MB\n")
def test_random_words_of_the_tools_raise_nothing_but_a_failed_case(text: str) -> None:
    raises_nothing_else(text)


LINE = "count=50 first=100 curr=95 min=90 max=120 avg=100 std=5"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("avg=100", "avg=100,345"),
        ("avg=100", "avg=10.x5"),
        ("first=100", "first=100ms"),
        ("count=50", "count=5.5"),
        ("count=50", "count=many"),
        ("std=5", "std=nan"),
        ("std=5", "std="),
        ("std=5", "std=100000"),
        ("avg=100", "avg=100 avg=101"),
        ("count=50", "count=1"),
    ],
)
def test_half_a_number_and_a_contradiction_in_one_line_are_errors(old: str, new: str) -> None:
    assert parse(f"{LINE}\n").inference.avg_us == 100
    with pytest.raises(CaseFailed) as failed:
        parse(LINE.replace(old, new) + "\n")
    assert failed.value.reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "others",
    [
        "Overall peak memory footprint (MB) via periodic monitoring: 22,2852",
        "Overall peak memory footprint (MB) via periodic monitoring: 22\n"
        "Overall peak memory footprint (MB) via periodic monitoring: 23",
        "INFO: - VmRSS              : 23 MB\nINFO: - VmRSS              : 24 MB",
        "INFO: Num threads: [1]\nINFO: Num threads: [4]",
        "Inference timings in us: Init: 14x71, First inference: 41, Warmup (avg): 32, Inference (avg): 100",
    ],
)
def test_other_lines_are_whole_and_of_one_mind_too(others: str) -> None:
    with pytest.raises(CaseFailed) as failed:
        parse(f"{LINE}\n{others}\n")
    assert failed.value.reason is Reason.UNPARSABLE
