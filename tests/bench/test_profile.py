from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.profile import PROFILE_FLAGS, read_profile, role_of
from harness.core.errors import CaseFailed, Reason
from harness.core.observations import OperatorTime, Role
from tests.bench.golden import GOLDEN, load_published_log, load_recording

TABLE = load_recording("profile_bnn").stdout
CSV = (GOLDEN / "profile_csv_bnn" / "profile.csv").read_text()
FIRST, SECOND, THIRD, SIGN = (
    "[sequential/quant_conv2d_2/ste_sign_4/Sign_1;sequen]:3",
    "[sequential/quant_conv2d_3/ste_sign_6/Sign_1;sequen]:4",
    "[sequential/batch_normalization_3/FusedBatchNormV3;]:5",
    "[sequential/quant_conv2d_1/ste_sign_2/Sign_1;sequen]:2",
)
DENSE = "Delegate/Convolution (NHWC, F32) GEMM:1"
OPERATORS = (
    OperatorTime(
        0,
        "Copy (NC, X32)",
        name="Delegate/Copy (NC, X32):0",
        avg_us=5,
        share=0.00212,
        calls=2,
        role=Role.OTHER,
    ),
    OperatorTime(
        1,
        "Convolution (NHWC, F32) GEMM",
        name=DENSE,
        avg_us=4121,
        share=0.91911,
        calls=1,
        role=Role.FLOAT_LAYER,
    ),
    OperatorTime(
        2, "LceQuantize", name=SIGN, avg_us=27, share=0.00599, calls=1, role=Role.QUANTISE
    ),
    OperatorTime(
        3,
        "LceBconv2d",
        name=FIRST,
        avg_us=151,
        share=0.03373,
        calls=1,
        role=Role.BINARY_CONVOLUTION,
    ),
    OperatorTime(
        4,
        "LceBconv2d",
        name=SECOND,
        avg_us=115,
        share=0.02566,
        calls=1,
        role=Role.BINARY_CONVOLUTION,
    ),
    OperatorTime(
        5, "LceBconv2d", name=THIRD, avg_us=44, share=0.00975, calls=1, role=Role.BINARY_CONVOLUTION
    ),
    OperatorTime(
        6,
        "Softmax (NC, F32)",
        name="Delegate/Softmax (NC, F32):1",
        avg_us=16,
        share=0.00363,
        calls=1,
        role=Role.OTHER,
    ),
)
# LiteRT's newest tool prints no heading, and a row that took no part in the inferences.
LITERT = load_published_log("litert_profile")
# TensorFlow before 2.2 printed one column more.
OLD = load_published_log("tensorflow_2_1_profile")


def refuse(text: str) -> str:
    with pytest.raises(CaseFailed) as caught:
        read_profile(text)
    assert caught.value.reason is Reason.UNPARSABLE
    assert caught.value.log == text
    return str(caught.value)


def try_profile(text: str) -> tuple[OperatorTime, ...] | Reason:
    try:
        return read_profile(text)
    except CaseFailed as failure:
        return failure.reason


def without_times(operators: Sequence[OperatorTime]) -> list[OperatorTime]:
    return [replace(operator, avg_us=0, share=0) for operator in operators]


def test_the_table_is_read() -> None:
    rounded = [
        replace(operator, avg_us=round(operator.avg_us, 3), share=round(operator.share, 6))
        for operator in read_profile(TABLE)
    ]
    assert rounded == list(OPERATORS)


def test_the_csv_file_holds_the_same_operators() -> None:
    operators = read_profile(CSV)
    assert without_times(operators) == without_times(OPERATORS)
    for operator, expected in zip(operators, OPERATORS, strict=True):
        assert operator.share == pytest.approx(expected.share, abs=0.01)
    assert operators[1].avg_us == pytest.approx(4501.48)


@pytest.mark.parametrize("text", [TABLE, CSV], ids=["table", "csv"])
def test_a_share_covers_all_calls_together(text: str) -> None:
    operators = read_profile(text)
    total_us = sum(operator.avg_us * operator.calls for operator in operators)
    for operator in operators:
        time_us = operator.avg_us * operator.calls
        assert time_us == pytest.approx(operator.share * total_us, abs=2)


@pytest.mark.parametrize("text", [TABLE, CSV], ids=["table", "csv"])
@pytest.mark.parametrize("line_end", ["\r\n", " \n"], ids=repr)
def test_line_ends_make_no_difference(text: str, line_end: str) -> None:
    assert read_profile(text.replace("\n", line_end)) == read_profile(text)


def test_litert_and_old_versions_print_other_columns() -> None:
    litert = read_profile(LITERT)
    assert [(operator.type, operator.calls, round(operator.share, 5)) for operator in litert] == [
        ("LiteRT::Run[buffer registration]", 1, 0.03309),
        ("AllocateTensors", 0, 0.00022),
        ("Static Reshape (NC)", 1, 0.00739),
        ("Fully Connected (NC, PF32) GEMM", 1, 0.92948),
        ("LiteRT::Run[Buffer sync]", 1, 0.02982),
    ]
    old = read_profile(OLD)
    assert [(operator.type, operator.avg_us, operator.role) for operator in old] == [
        ("CONV_2D", 9132, Role.FLOAT_LAYER),
        ("DEPTHWISE_CONV_2D", 3280, Role.FLOAT_LAYER),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(load_recording("base_bnn").stdout, id="a log without a profile"),
        pytest.param(TABLE.partition("INFO: Operator-wise")[0], id="only the initialisation's"),
        pytest.param("=== Run Order ===", id="no header"),
        pytest.param("=== Run Order ===\n\nNumber of nodes executed: 0\n", id="nothing ran"),
    ],
)
def test_output_without_a_table_of_the_runs_is_refused(text: str) -> None:
    assert "profile" in refuse(text)


@pytest.mark.parametrize("text", [TABLE, CSV, LITERT, OLD], ids=["table", "csv", "LiteRT", "old"])
@given(data=st.data())
@settings(max_examples=100)
def test_a_profile_that_is_cut_off_is_refused_or_complete(text: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(text)) | st.integers(text.rindex("Run Order"), len(text)))
    assert try_profile(text[:end]) in (read_profile(text), Reason.UNPARSABLE)


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        pytest.param("91.911%", "81.911%", id="shares under 100 %"),
        pytest.param("91.911%", "99.911%", id="shares over 100 %"),
        pytest.param("91.911%", "nan%", id="share is not a number"),
        pytest.param("91.911%", "%", id="no share"),
        pytest.param("    4.121\t", "    -4.121\t", id="negative time"),
        pytest.param("    4.121\t", "    inf\t", id="infinite time"),
        pytest.param("    4.121\t", "", id="missing column"),
        pytest.param("     0.000\t        2\t", "     0.000\t        2.5\t", id="half a call"),
        pytest.param(
            "Number of nodes executed: 7",
            "Number of nodes executed: 8",
            id="missing row",
        ),
    ],
)
def test_a_table_of_wrong_numbers_is_refused(text: str, replacement: str) -> None:
    assert text in TABLE
    refuse(TABLE.replace(text, replacement))


@pytest.mark.parametrize(
    ("expected", "types"),
    [
        (Role.BINARY_CONVOLUTION, ["LceBconv2d"]),
        (
            Role.QUANTISE,
            ["LceQuantize", "LceDequantize", "QUANTIZE", "DEQUANTIZE", "Quantize", "Dequantize"],
        ),
        (Role.QUANTISE, ["Convert (NC, F32, QS8)", "Convert (NC, QS8, F32)"]),
        (Role.FLOAT_LAYER, ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "TRANSPOSE_CONV", "Conv2D"]),
        (Role.FLOAT_LAYER, ["FULLY_CONNECTED", "BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM"]),
        (Role.FLOAT_LAYER, ["Convolution (NHWC, F32) GEMM", "Convolution (NHWC, F32) DWConv"]),
        (Role.FLOAT_LAYER, ["Deconvolution (NHWC, QS8, QC8W)", "Batch Matrix Multiply (NC, F32)"]),
        (Role.FLOAT_LAYER, ["Fully Connected (NC, F32)", "Dynamic Fully Connected (NC, PF32)"]),
        (Role.OTHER, ["RESHAPE", "LceBMaxPool2d", "MAX_POOL_2D", "ADD", "PRELU", "SQUEEZE", ""]),
        (Role.OTHER, ["Copy (NC, X32)", "Softmax (NC, F32)", "Convert (NC, F16, F32)"]),
        (Role.OTHER, ["TfLiteXNNPackDelegate", "AllocateTensors"]),
    ],
    ids=str,
)
def test_the_role_of_an_operator_follows_from_its_type(
    expected: Role, types: Sequence[str]
) -> None:
    assert {type: role_of(type) for type in types} == dict.fromkeys(types, expected)


def test_a_role_prints_as_plain_words() -> None:
    assert [str(role) for role in Role] == [
        "binary convolution",
        "quantise",
        "float layer",
        "other",
    ]


def test_the_recorded_profile_was_made_with_the_same_flag() -> None:
    assert PROFILE_FLAGS[0] in (GOLDEN / "profile_bnn" / "cmd").read_text()


LABELS = st.from_regex(
    r"[A-Za-z][A-Za-z0-9_/;:()\[\].]{0,12}((, |,| )[A-Z0-9]{1,4}){0,3}", fullmatch=True
)
ROWS = st.lists(
    st.tuples(LABELS, LABELS, st.floats(0.001, 1e4), st.integers(0, 9)), min_size=1, max_size=12
)


def format_profile(rows: Sequence[tuple[str, str, float, int]], *, csv: bool) -> str:
    """Return the rows as one of the tool's two formatters prints them, all with equal shares."""
    columns = ("first", "avg_ms", "%", "cdf%", "mem KB", "times called", "name")
    lines = [
        ", ".join(("node type", *columns)) if csv else "\t".join(("", "[node type]", *columns))
    ]
    for type, name, avg_ms, calls in rows:
        share = 100 / len(rows)
        if csv:
            shares = f"{share:g}%, {share:g}%"
            escaped = name.replace(",", "\t")
            row = f"{type}, 1, {avg_ms:g}, {shares}, 0, {calls}, {escaped}"
        else:
            shares = f"{share:7.3f}%\t{share:7.3f}%"
            row = f"\t{type:>40}\t{1:9.3f}\t{avg_ms:9.3f}\t{shares}\t{0:10.3f}\t{calls:9}\t{name}"
        lines.append(row)
    heading = "Operator-wise Profiling Info for Regular Benchmark Runs:"
    table = [
        heading,
        "====== Run Order ======",
        *lines,
        "",
        f"Number of nodes executed: {len(rows)}",
        "",
    ]
    return "\n".join(table)


@given(rows=ROWS, csv=st.booleans())
def test_a_printed_profile_reads_back(
    rows: list[tuple[str, str, float, int]], *, csv: bool
) -> None:
    operators = read_profile(format_profile(rows, csv=csv))
    assert [operator.number for operator in operators] == [*range(len(rows))]
    for operator, (type, name, avg_ms, calls) in zip(operators, rows, strict=True):
        assert (operator.type, operator.name, operator.calls) == (type, name, calls)
        assert operator.avg_us == pytest.approx(avg_ms * 1e3, rel=1e-4, abs=0.6)
        assert operator.share == pytest.approx(1 / len(rows), abs=1e-4)


@given(st.text() | st.text("=\t, %0123456789.\n").map(lambda noise: f"=== Run Order ===\n{noise}"))
def test_random_text_raises_nothing_but_a_failed_case(text: str) -> None:
    assert try_profile(text)
