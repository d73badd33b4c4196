from collections.abc import Sequence
from dataclasses import astuple, replace
from math import isclose

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.bench.toollog import MAX_CHARACTERS, MIB, SETTINGS, parse_log
from harness.core.bench import Timing, ToolLog
from harness.core.errors import CaseFailed, Reason
from tests.bench.golden import NAMES, load_published_log, load_recording
from tests.processor_time import bounded_time

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

TENSORFLOW_2_1 = load_published_log("tensorflow_2_1")
LCE_DOCS = load_published_log("lce_docs")
TENSORFLOW_2_13 = load_published_log("tensorflow_2_13")
TENSORFLOW_1_14 = load_published_log("tensorflow_1_14")
LITERT = load_published_log("litert")
LITERT_SUMMARY = LITERT.partition("INFO: [./litert")[0] + (
    "INFO: Inference timings in us: Init: 4478, First inference: 1033, Warmup (avg): 465.319, "
    "Inference (avg): 464.545\n"
)
LITERT_ALL_SAME = """\
INFO: count=50 curr=7(all same) p5=7 median=7 p95=7
INFO: Inference timings in us: Init: 530, First inference: 9, Warmup (avg): 5, Inference (avg): 7
"""
LOGCAT = "".join(
    f"07-14 13:14:52.097 22838 22838 I tflite  : {line.removeprefix('INFO: ')}\n"
    for line in TENSORFLOW_2_13.splitlines()
)

# Lines of the runtime, copied from public threads and from the recordings' standard error.
RUNTIME_LINES = (
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "INFO: Applying 1 TensorFlow Lite delegate(s) lazily.",
    "VERBOSE: Replacing 5 out of 12 node(s) with delegate (TfLiteXNNPackDelegate) node, "
    "yielding 3 partitions.",
    "WARNING: linker: Warning: unable to normalize library path",
    "",
)


def fail(text: str) -> CaseFailed:
    with pytest.raises(CaseFailed) as caught:
        parse_log(text)
    return caught.value


def numbers(log: ToolLog) -> tuple[Timing | None, Timing]:
    return log.warmup, log.inference


def test_every_recording_is_either_read_or_refused() -> None:
    assert set(NAMES) == {*NUMBERS, *REFUSED}


@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_of_a_recording_are_read(name: str) -> None:
    warmup, inference, init_us, peak = NUMBERS[name]
    log = parse_log(load_recording(name).merged)
    assert numbers(log) == (warmup, inference)
    assert (log.init_us, log.peak_memory_bytes) == (init_us, peak)


@pytest.mark.parametrize("name", REFUSED)
def test_a_recording_without_a_result_is_refused_with_its_reason(name: str) -> None:
    failure = fail(load_recording(name).merged)
    assert failure.reason is REFUSED[name]
    assert failure.log == load_recording(name).merged


def test_a_flag_unknown_to_the_tool_is_named() -> None:
    assert "--no_such_flag=1 --another" in str(fail(load_recording("err_unknown_flag").merged))


def test_the_echoed_flags_are_kept() -> None:
    echo = parse_log(load_recording("io_True_0_xnnfalse").merged).echo
    assert echo["Num threads"] == "1"
    assert echo["Min runs duration (seconds)"] == "0"
    assert echo["Graph"] == "m_True.tflite"
    assert echo["Input shapes"] == "1,28,28,1"
    assert echo["#threads used for CPU inference"] == "1"
    assert echo["Use xnnpack"] == "0"


def test_parameters_of_several_delegates_may_share_a_name() -> None:
    """Each delegate prints all of its parameters if the tool is given `--verbose=true`."""
    delegates = (
        "INFO: Max number of delegated partitions: [0]\n"
        "INFO: Min nodes per partition: [0]\n"
        "INFO: Max number of delegated partitions: [4]\n"
        "INFO: Min nodes per partition: [0]\n"
    )
    recorded = load_recording("base_bnn").merged
    log = parse_log(delegates + recorded)
    assert log.inference == parse_log(recorded).inference
    assert log.echo["Min nodes per partition"] == "0"
    assert "Max number of delegated partitions" not in log.echo


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_with_two_values_is_refused(name: str) -> None:
    echoes = f"INFO: {name}: [1]\nINFO: {name}: [2]\n"
    assert fail(echoes + load_recording("base_bnn").merged).reason is Reason.UNPARSABLE


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
    log = parse_log(text)
    assert numbers(log) == (warmup, inference)
    assert (log.init_us, log.peak_memory_bytes) == (init_us, peak)


@pytest.mark.parametrize(
    "text", [TENSORFLOW_2_1, LCE_DOCS, TENSORFLOW_2_13, LITERT, LITERT_ALL_SAME]
)
@pytest.mark.parametrize("line_end", ["\r\n", "\n\n", " \n"], ids=repr)
def test_line_ends_make_no_difference(text: str, line_end: str) -> None:
    assert parse_log(text.replace("\n", line_end)) == parse_log(text)


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
    assert fail(text).reason is Reason.NOTHING_RAN


@pytest.mark.parametrize(
    ("text", "replacement"),
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
        pytest.param(
            "std=260", "std=260 p5=31130 median=31400 p95=31500", id="p5 under the minimum"
        ),
        pytest.param("std=260", "std=260 p5=31450 median=31400 p95=31500", id="p5 over the median"),
        pytest.param("std=260", "std=260 p5=31200 median=31600 p95=31500", id="median over p95"),
        pytest.param("std=260", "std=260 median=32000", id="median over the maximum"),
        pytest.param(
            "std=260", "std=260 p5=31200 median=31400 p95=32000", id="p95 over the maximum"
        ),
    ],
)
def test_a_log_that_contradicts_itself_is_refused(text: str, replacement: str) -> None:
    assert text in LCE_DOCS
    assert fail(LCE_DOCS.replace(text, replacement)).reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        ("Model initialization: 4.48", "Model initialization: 4.58"),
        ("Warmup (first):       1.03", "Warmup (first):       1.13"),
        ("Warmup (avg):         0.47", "Warmup (avg):         0.57"),
        ("Inference (avg):      0.46", "Inference (avg):      0.56"),
    ],
)
def test_a_litert_log_that_contradicts_itself_is_refused(text: str, replacement: str) -> None:
    assert text in LITERT
    assert fail(LITERT.replace(text, replacement)).reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "line",
    [
        "count=5 first=-2 curr=-2 min=-3 max=-1 avg=-2 std=1",
        "count=1 curr=-4",
        "count=5 first=1 curr=1 min=1 max=1e999 avg=1e999 std=1",
    ],
)
def test_impossible_times_are_refused(line: str) -> None:
    assert fail(line + "\n").reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "text", ["", "\n", "command not found", "INFO: STARTING!", "count=", "INFO: count=x first=3"]
)
def test_output_of_another_program_is_refused(text: str) -> None:
    assert fail(text).reason is Reason.UNPARSABLE


def split_prefixes(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    return ["".join(lines[:end]) for end in range(len(lines))]


def try_parse(text: str) -> ToolLog | Reason:
    try:
        return parse_log(text)
    except CaseFailed as failure:
        return failure.reason


@pytest.mark.parametrize("name", NUMBERS)
def test_the_log_of_a_killed_tool_is_refused_or_gives_the_same_numbers(name: str) -> None:
    whole = parse_log(load_recording(name).merged)
    results = [try_parse(prefix) for prefix in split_prefixes(load_recording(name).stdout)]
    logs = [log for log in results if isinstance(log, ToolLog)]
    assert {reason for reason in results if isinstance(reason, Reason)} == {Reason.UNPARSABLE}
    assert {numbers(log) for log in logs} == {numbers(whole)}
    assert {round(log.init_us or 0) for log in logs} == {whole.init_us}
    assert {log.peak_memory_bytes for log in logs} <= {None, whole.peak_memory_bytes}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_tool_that_was_killed_before_its_summary_has_no_result(name: str) -> None:
    """The tool prints the `Inference timings` last: without them it did not finish."""
    unfinished = [
        prefix
        for prefix in split_prefixes(load_recording(name).stdout)
        if "Inference timings" not in prefix
    ]
    assert len(unfinished) > 10
    assert {fail(prefix).reason for prefix in unfinished} == {Reason.UNPARSABLE}


def all_numbers(log: ToolLog) -> tuple[object, ...]:
    return log.warmup, log.inference, log.init_us, log.peak_memory_bytes, log.resident_memory_bytes


@given(
    st.sampled_from(
        [*(load_recording(name).stdout for name in NUMBERS), LITERT, LCE_DOCS, TENSORFLOW_2_1]
    ),
    st.data(),
)
@settings(max_examples=300)
def test_a_log_cut_off_anywhere_never_gives_other_numbers(whole: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(whole)) | st.integers(whole.rindex("count="), len(whole)))
    log = try_parse(whole[:end])
    if isinstance(log, ToolLog):
        expected = all_numbers(parse_log(whole))
        assert all(
            number in (None, complete)
            for number, complete in zip(all_numbers(log), expected, strict=True)
        )
        assert log.inference == parse_log(whole).inference
    else:
        assert log is Reason.UNPARSABLE


FOREIGN_LINES = st.sampled_from(RUNTIME_LINES) | st.text(
    st.characters(categories=["L", "P", "Zs"], exclude_characters="=[]"), max_size=40
)


@given(st.sampled_from(sorted(NUMBERS)), st.data())
def test_foreign_lines_in_between_change_nothing(name: str, data: st.DataObject) -> None:
    """Standard error mixes with standard output line by line if both share one stream."""
    lines = load_recording(name).stdout.splitlines()
    for line in data.draw(st.lists(FOREIGN_LINES, max_size=20)):
        lines.insert(data.draw(st.integers(0, len(lines))), line)
    assert parse_log("\n".join(lines) + "\n") == parse_log(load_recording(name).merged)


def test_the_memory_held_at_the_end_is_read_as_well_as_the_peak() -> None:
    log = parse_log(load_recording("peakmem_bnn").merged)
    assert (log.peak_memory_bytes, log.resident_memory_bytes) == (round(21.9805 * MIB), 23 * MIB)
    assert parse_log(load_recording("base_bnn").merged).resident_memory_bytes is None


def make_timing(times: Sequence[float], *, percentiles: bool) -> Timing:
    ordered = sorted(times)
    p5, median, p95 = (ordered[int(share * (len(times) - 1))] for share in (0.05, 0.5, 0.95))
    average = sum(times) / len(times)
    deviation = int((sum((time - average) ** 2 for time in times) / len(times)) ** 0.5)
    shape = Timing(
        len(times),
        times[0],
        min_us=ordered[0],
        max_us=ordered[-1],
        avg_us=average,
        std_us=deviation if len(times) > 1 else None,
    )
    return replace(shape, p5_us=p5, median_us=median, p95_us=p95) if percentiles else shape


def format_timing(times: Sequence[float], *, percentiles: bool) -> str:
    """Return the tool's line: numbers of six digits, and the time of a single run as `curr`."""
    timing = make_timing(times, percentiles=percentiles)
    line = f"INFO: count={timing.count}"
    if timing.count == 1:
        line += f" curr={times[0]:g}"
    else:
        line += f" first={timing.first_us:g} curr={times[-1]:g} min={timing.min_us:g}"
        line += f" max={timing.max_us:g} avg={timing.avg_us:g} std={timing.std_us}"
    if percentiles:
        line += f" p5={timing.p5_us:g} median={timing.median_us:g} p95={timing.p95_us:g}"
    return f"{line}\n"


def is_close(timing: Timing, expected: Timing) -> bool:
    pairs = zip(astuple(timing), astuple(expected), strict=True)
    return all(a == b or isclose(a, b, rel_tol=1e-5) for a, b in pairs)


TIMES = st.lists(st.floats(0.5, 1e9), min_size=1, max_size=20)


@given(
    warmup=TIMES,
    times=TIMES,
    init_us=st.floats(1, 1e9),
    peak=st.none() | st.floats(0.1, 1e5),
    percentiles=st.booleans(),
)
def test_a_printed_log_parses_back(
    warmup: list[float],
    times: list[float],
    init_us: float,
    peak: float | None,
    *,
    percentiles: bool,
) -> None:
    average = sum(times) / len(times)
    text = (
        "INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds\n"
        + format_timing(warmup, percentiles=percentiles)
        + "\nINFO: Running benchmark for at least 50 iterations and at least 1 seconds\n"
        + format_timing(times, percentiles=percentiles)
        + f"\nINFO: Inference timings in us: Init: {init_us:g}, First inference: {warmup[0]:g}, "
        + f"Warmup (avg): {sum(warmup) / len(warmup):g}, Inference (avg): {average:g}\n"
        + (
            f"INFO: Overall peak memory footprint (MB) via periodic monitoring: {peak:g}\n"
            if peak
            else ""
        )
    )
    log = parse_log(text)
    assert log.warmup is not None
    assert is_close(log.warmup, make_timing(warmup, percentiles=percentiles))
    assert is_close(log.inference, make_timing(times, percentiles=percentiles))
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


def check_outcome(text: str) -> None:
    log = try_parse(text)
    assert isinstance(log, Reason) or log.inference.count > 0


@given(st.text())
def test_random_text_raises_nothing_but_a_failed_case(text: str) -> None:
    check_outcome(text)


@given(st.lists(SNIPPETS, max_size=12).map(lambda snippets: "".join(snippets) + "\n"))
@example("count=1 curr=3\nInference timings in us: Init: ., Inference (avg): 3\n")
@example("count=1 curr=3\nInitialized session in -ms\n")
@example("count=1 curr=3\nOverall peak memory footprint (MB) via periodic monitoring: 1e999\n")
@example("count=1 curr=3\n[Overall] - Memory usage: max resident set size = e MB\n")
def test_random_snippets_of_logs_raise_nothing_but_a_failed_case(text: str) -> None:
    check_outcome(text)


LINE = "count=50 first=100 curr=95 min=90 max=120 avg=100 std=5"


@pytest.mark.parametrize(
    ("text", "replacement"),
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
def test_a_broken_number_or_a_contradiction_within_a_line_is_refused(
    text: str, replacement: str
) -> None:
    assert parse_log(f"{LINE}\n").inference.avg_us == 100
    with pytest.raises(CaseFailed) as failed:
        parse_log(LINE.replace(text, replacement) + "\n")
    assert failed.value.reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "others",
    [
        "Overall peak memory footprint (MB) via periodic monitoring: 22,2852",
        "Overall peak memory footprint (MB) via periodic monitoring: 22\n"
        "Overall peak memory footprint (MB) via periodic monitoring: 23",
        "INFO: - VmRSS              : 23 MB\nINFO: - VmRSS              : 24 MB",
        "INFO: Num threads: [1]\nINFO: Num threads: [4]",
        "Inference timings in us: Init: 14x71, First inference: 41, Warmup (avg): 32, "
        "Inference (avg): 100",
    ],
)
def test_a_broken_number_or_a_contradiction_across_lines_is_refused(others: str) -> None:
    with pytest.raises(CaseFailed) as failed:
        parse_log(f"{LINE}\n{others}\n")
    assert failed.value.reason is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "line",
    [
        "Inference timings in us: Init: 1, First inference: 1, Warmup (avg): 1" * 6,
        "count=50 first=1 curr=" * 20,
        "INFO: Name" + ": [" * 200,
        "A" * 500,
        "INFO: tflite : " * 60,
    ],
)
def test_a_long_log_is_read_in_linear_time(line: str) -> None:
    text = f"{line}\n" * (1_000_000 // len(line))
    with bounded_time(), pytest.raises(CaseFailed):
        parse_log(text)


def test_a_log_beyond_all_bounds_is_refused() -> None:
    assert fail("x\n" * MAX_CHARACTERS).reason is Reason.UNPARSABLE
