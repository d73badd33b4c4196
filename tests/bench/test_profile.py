from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.profile import profile_arguments, read_profile, role
from harness.core.errors import CaseFailed, Reason
from harness.core.observations import OperatorTime, Role
from tests.bench.golden import GOLDEN, recording

TABLE = recording("profile_bnn").stdout
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
# Of LiteRT's newest tool: no heading, and a row that took no part in the inferences.
LITERT = """\
INFO: [./litert/tools/benchmark_litert_model.h:179]
============================== Run Order ==============================
\t                             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t        LiteRT::Run[buffer registration]\t    0.020\t    0.014\t  3.309%\t  3.309%\t     0.000\t        1\tLiteRT::Run[buffer registration]/0
\t                         AllocateTensors\t    0.291\t    0.291\t  0.022%\t  3.331%\t   452.000\t        0\tAllocateTensors/0
\t                     Static Reshape (NC)\t    0.085\t    0.003\t  0.739%\t  4.070%\t     0.000\t        1\tDelegate/Static Reshape (NC):0
\t         Fully Connected (NC, PF32) GEMM\t    0.538\t    0.382\t 92.948%\t 97.018%\t     0.000\t        1\tDelegate/Fully Connected (NC, PF32) GEMM:1
\t                LiteRT::Run[Buffer sync]\t    0.013\t    0.012\t  2.982%\t100.000%\t     0.000\t        1\tLiteRT::Run[Buffer sync]/0

Number of nodes executed: 5
"""
# Before TensorFlow 2.2: a column more.
OLD = """\
============================== Run Order ==============================
\t             [node type]\t  [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t    0.000\t    9.132\t    9.132\t 73.571%\t 73.571%\t     0.000\t        0\t[MobilenetV1/MobilenetV1/Conv2d_0/Relu6]
\t       DEPTHWISE_CONV_2D\t    9.135\t    3.280\t    3.280\t 26.429%\t100.000%\t     0.000\t        0\t[MobilenetV1/MobilenetV1/Conv2d_1_depthwise/Relu6]

Number of nodes executed: 2
"""


def refusal(text: str) -> str:
    with pytest.raises(CaseFailed) as caught:
        read_profile(text)
    assert caught.value.reason is Reason.UNPARSABLE
    assert caught.value.log == text
    return str(caught.value)


def profiled(text: str) -> tuple[OperatorTime, ...] | Reason:
    try:
        return read_profile(text)
    except CaseFailed as refused:
        return refused.reason


def shown(operators: Sequence[OperatorTime]) -> list[tuple[object, ...]]:
    return [(one.number, one.type, one.name, one.calls, one.role) for one in operators]


def test_the_table_is_read() -> None:
    found = read_profile(TABLE)
    assert [
        replace(one, avg_us=round(one.avg_us, 3), share=round(one.share, 6)) for one in found
    ] == list(OPERATORS)


def test_the_csv_file_tells_the_same_operators() -> None:
    found = read_profile(CSV)
    assert shown(found) == shown(OPERATORS)
    for one, other in zip(found, OPERATORS, strict=True):
        assert one.share == pytest.approx(other.share, abs=0.01)
    assert found[1].avg_us == pytest.approx(4501.48)


@pytest.mark.parametrize("text", [TABLE, CSV], ids=["table", "csv"])
def test_a_share_is_of_all_calls_together(text: str) -> None:
    found = read_profile(text)
    whole_us = sum(one.avg_us * one.calls for one in found)
    for one in found:
        assert one.avg_us * one.calls == pytest.approx(one.share * whole_us, abs=2)


@pytest.mark.parametrize("text", [TABLE, CSV], ids=["table", "csv"])
@pytest.mark.parametrize("line_end", ["\r\n", " \n"], ids=repr)
def test_line_ends_make_no_difference(text: str, line_end: str) -> None:
    assert read_profile(text.replace("\n", line_end)) == read_profile(text)


def test_litert_and_old_versions_print_other_columns() -> None:
    assert [(one.type, one.calls, round(one.share, 5)) for one in read_profile(LITERT)] == [
        ("LiteRT::Run[buffer registration]", 1, 0.03309),
        ("AllocateTensors", 0, 0.00022),
        ("Static Reshape (NC)", 1, 0.00739),
        ("Fully Connected (NC, PF32) GEMM", 1, 0.92948),
        ("LiteRT::Run[Buffer sync]", 1, 0.02982),
    ]
    assert [(one.type, one.avg_us, one.role) for one in read_profile(OLD)] == [
        ("CONV_2D", 9132, Role.FLOAT_LAYER),
        ("DEPTHWISE_CONV_2D", 3280, Role.FLOAT_LAYER),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(recording("base_bnn").stdout, id="a log without a profile"),
        pytest.param(TABLE.partition("INFO: Operator-wise")[0], id="only the initialisation's"),
        pytest.param("=== Run Order ===", id="no header"),
        pytest.param("=== Run Order ===\n\nNumber of nodes executed: 0\n", id="nothing ran"),
    ],
)
def test_where_there_is_no_table_of_the_runs_it_is_refused(text: str) -> None:
    assert "profile" in refusal(text)


@pytest.mark.parametrize("text", [TABLE, CSV, LITERT, OLD], ids=["table", "csv", "LiteRT", "old"])
@given(data=st.data())
@settings(max_examples=100)
def test_a_profile_that_is_cut_is_refused_or_whole(text: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(text)) | st.integers(text.rindex("Run Order"), len(text)))
    assert profiled(text[:end]) in (read_profile(text), Reason.UNPARSABLE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("91.911%", "81.911%", id="shares under 100 %"),
        pytest.param("91.911%", "99.911%", id="shares over 100 %"),
        pytest.param("91.911%", "nan%", id="share that is no number"),
        pytest.param("91.911%", "%", id="no share"),
        pytest.param("    4.121\t", "    -4.121\t", id="time under 0"),
        pytest.param("    4.121\t", "    inf\t", id="time without end"),
        pytest.param("    4.121\t", "", id="a column less"),
        pytest.param("     0.000\t        2\t", "     0.000\t        2.5\t", id="half a call"),
        pytest.param(
            "Number of nodes executed: 7",
            "Number of nodes executed: 8",
            id="a row less than it says",
        ),
    ],
)
def test_a_table_of_wrong_numbers_is_refused(old: str, new: str) -> None:
    assert old in TABLE
    refusal(TABLE.replace(old, new))


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
def test_an_operators_role(expected: Role, types: Sequence[str]) -> None:
    assert {type: role(type) for type in types} == dict.fromkeys(types, expected)


def test_a_role_is_its_word() -> None:
    assert [str(one) for one in Role] == ["binary convolution", "quantise", "float layer", "other"]


def test_the_tool_is_asked_for_a_profile() -> None:
    assert profile_arguments()[0] in (GOLDEN / "profile_bnn" / "cmd").read_text()


WORDS = st.from_regex(
    r"[A-Za-z][A-Za-z0-9_/;:()\[\].]{0,12}((, |,| )[A-Z0-9]{1,4}){0,3}", fullmatch=True
)
ROWS = st.lists(
    st.tuples(WORDS, WORDS, st.floats(0.001, 1e4), st.integers(0, 9)), min_size=1, max_size=12
)


def rendered(rows: Sequence[tuple[str, str, float, int]], csv: bool) -> str:
    """As the tool's two formatters print it; each row has the same share."""
    columns = ("first", "avg_ms", "%", "cdf%", "mem KB", "times called", "name")
    lines = [
        ", ".join(("node type", *columns)) if csv else "\t".join(("", "[node type]", *columns))
    ]
    for type, name, avg_ms, calls in rows:
        share = 100 / len(rows)
        if csv:
            row = f"{type}, 1, {avg_ms:g}, {share:g}%, {share:g}%, 0, {calls}, {name.replace(',', chr(9))}"
        else:
            row = f"\t{type:>40}\t{1:9.3f}\t{avg_ms:9.3f}\t{share:7.3f}%\t{share:7.3f}%\t{0:10.3f}\t{calls:9}\t{name}"
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


@given(ROWS, st.booleans())
def test_a_printed_profile_reads_back(rows: list[tuple[str, str, float, int]], csv: bool) -> None:
    found = read_profile(rendered(rows, csv))
    assert [(one.number, one.type, one.name, one.calls) for one in found] == [
        (number, type, name, calls) for number, (type, name, _, calls) in enumerate(rows)
    ]
    for one, (_, _, avg_ms, _) in zip(found, rows, strict=True):
        assert one.avg_us == pytest.approx(avg_ms * 1e3, rel=1e-4, abs=0.6)
        assert one.share == pytest.approx(1 / len(rows), abs=1e-4)


@given(st.text() | st.text("=\t, %0123456789.\n").map(lambda noise: f"=== Run Order ===\n{noise}"))
def test_random_text_raises_nothing_but_a_failed_case(text: str) -> None:
    assert profiled(text)
