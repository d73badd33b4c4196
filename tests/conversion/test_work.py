"""The count of each kind of operator, of which none may count as nothing by default."""

import pytest
import tflite
from tflite.utils import BUILTIN_OPCODE2NAME

from harness.conversion.work import CALLERS, COUNTERS, MULTIPLY_FREE, count_macs

UNKNOWN = {
    *("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES", "RFFT2D", "LSH_PROJECTION"),
    *("EMBEDDING_LOOKUP_SPARSE", "STABLEHLO_CONVOLUTION", "STABLEHLO_CUSTOM_CALL"),
    *("STABLEHLO_REDUCE", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER", "STABLEHLO_SORT"),
}


def test_each_builtin_operator_is_counted_in_one_way() -> None:
    ways = [MULTIPLY_FREE, CALLERS, set(COUNTERS), UNKNOWN]
    for kind in BUILTIN_OPCODE2NAME.values():
        assert sum(kind in way for way in ways) == 1, kind


def test_names_are_those_of_the_schema() -> None:
    names = {name for name in vars(tflite.BuiltinOperator) if name.isupper()}
    kinds = {kind for kind in MULTIPLY_FREE | CALLERS | set(COUNTERS) if kind.isupper()}
    assert kinds <= names


@pytest.mark.parametrize("kind", ["BUILTIN_400", "FlexConv2D", "CUSTOM", "RFFT2D"])
def test_an_operator_that_is_not_known_has_an_unknown_count(kind: str) -> None:
    assert count_macs(kind, [(1, 8)], outputs=[(1, 8)], options={}) is None


def test_an_unknown_size_leaves_the_count_unknown() -> None:
    assert count_macs("FULLY_CONNECTED", [(1, 8), (4, 8)], outputs=[(None, 4)], options={}) is None


# The operands of kernels that no converter of today writes for a small network, by
# tensorflow/lite/kernels: two rows of 5 values, 3 units.
IN, REC, ROW = (3, 5), (3, 3), ()
LSTM = [(2, 5), IN, IN, IN, IN, REC, REC, REC, REC, *[ROW] * 7]


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("SVDF", [(2, 5), (8, 5), (8, 6), (8,), (2, 48)], 2 * (8 * 5 + 8 * 6)),
        ("RNN", [(2, 5), IN, REC, (3,), (2, 3)], 2 * (3 * 5 + 3 * 3)),
        ("UNIDIRECTIONAL_SEQUENCE_RNN", [(7, 2, 5), IN, REC, (3,), (2, 3)], 14 * (15 + 9)),
        ("LSTM", LSTM, 2 * 4 * 3 * (5 + 3)),
        # One input and forget gate, and a projection to 2 values.
        (
            "LSTM",
            [(2, 5), ROW, IN, IN, IN, ROW, (3, 2), (3, 2), (3, 2), *[ROW] * 7, (2, 3)],
            2 * (3 * 3 * (5 + 2) + 2 * 3),
        ),
        # The basic kernel joins input and state.
        ("LSTM", [(2, 5), (2, 3), (12, 8), (12,), (2, 3)], 2 * 12 * 8),
        (
            "BIDIRECTIONAL_SEQUENCE_LSTM",
            [(7, 2, 5), *LSTM[1:16], ROW, ROW, *LSTM[1:16], ROW, ROW],
            2 * 14 * 4 * 3 * (5 + 3),
        ),
        (
            "BIDIRECTIONAL_SEQUENCE_RNN",
            [(7, 2, 5), IN, REC, (3,), (2, 3), IN, REC, (3,), (2, 3), ROW, ROW, ROW],
            2 * 14 * (15 + 9),
        ),
    ],
)
def test_recurrent_kernels_count_their_matrices_once_a_step(
    kind: str, inputs: list[tuple[int, ...]], expected: int
) -> None:
    assert count_macs(kind, inputs, outputs=[(2, 3)], options={}) == expected


def test_a_contraction_counts_the_axes_that_it_sums_over() -> None:
    options = {"contracting_axes": (0, 2)}
    inputs = [(4, 7, 5), (4, 5, 3)]
    assert count_macs("STABLEHLO_DOT_GENERAL", inputs, outputs=[(7, 3)], options=options) == 420
