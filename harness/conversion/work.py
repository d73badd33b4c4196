"""The multiply-accumulates of one operator, from the shapes of its operands.

Products with weights and products of two matrices count. Element by element operations, pools,
interpolation and an LSTM's peepholes (a product for each unit) do not.
A convolution counts its padding, as `larq.models.summary` does.

The operands are those of TensorFlow Lite's kernels (tensorflow/lite/kernels) and of LCE's
(docs.larq.dev/compute-engine/api/operators).
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

BINARY_CONVOLUTION = "LceBconv2d"
# Signs in a value of a bit-packed tensor (docs.larq.dev/compute-engine/api/operators).
CHANNELS_PER_WORD = 32
# Subgraphs that an operator runs, by the operator's options.
CALLERS = {"WHILE", "STABLEHLO_WHILE", "IF", "CALL", "CALL_ONCE", "STABLEHLO_COMPOSITE"}
Sizes = tuple[int | None, ...]  # None where the size of an axis is unknown
Operands = Sequence[Sizes]
OperatorOptions = Mapping[str, Any]
Counter = Callable[[Operands, Operands, OperatorOptions], int | None]


class _SizeUnknown(Exception):
    """The count depends on an axis whose size is unknown."""


def count_macs(
    kind: str, inputs: Operands, outputs: Operands, options: OperatorOptions
) -> int | None:
    """Return what the operator multiplies itself, without the subgraphs that it runs.

    The result is None for a kind that is not known here, and if a size is unknown.
    An omitted operand has the shape `()`. Raises LookupError, TypeError or ValueError if operands
    are missing or lack axes.
    """
    if kind in MULTIPLY_FREE or kind in CALLERS:
        return 0
    count = COUNTERS.get(kind)
    try:
        return count(inputs, outputs, options) if count else None
    except _SizeUnknown:
        return None


def _multiply(sizes: Sizes) -> int:
    known_sizes = [size for size in sizes if size is not None]
    if len(known_sizes) < len(sizes):
        raise _SizeUnknown
    return prod(known_sizes)


def _multiply_matrix(inputs: Operands, index: int) -> int:
    """Return the weights of a matrix, 0 if it is omitted."""
    matrix = inputs[index] if index < len(inputs) else ()
    return _multiply(matrix) if matrix else 0


def _require_rank(sizes: Sizes, rank: int) -> Sizes:
    if len(sizes) != rank:
        raise ValueError(f"{len(sizes)} axes instead of {rank}")
    return sizes


def _count_convolution(inputs: Operands, outputs: Operands, _: OperatorOptions) -> int:
    """Count one filter for each output value; filters are OHWI, with a group's channels."""
    return _multiply(outputs[0]) * _multiply(_require_rank(inputs[1], 4)[1:])


def _count_binary_convolution(inputs: Operands, outputs: Operands, options: OperatorOptions) -> int:
    """Count as for a convolution, with channels from the filter and the options.

    Inputs and outputs may be bit-packed, so their shapes do not show the channels.
    A filter of a grouped convolution has some of the channels, rounded up to full words.
    """
    filters = _require_rank(inputs[1], 4)
    channels = min(options["channels_in"], CHANNELS_PER_WORD * _multiply(filters[3:]))
    positions = _multiply(_require_rank(outputs[0], 4)[:-1])
    return int(positions * _multiply(filters[:3]) * channels)


def _count_depthwise(inputs: Operands, outputs: Operands, _: OperatorOptions) -> int:
    return _multiply(outputs[0]) * _multiply(_require_rank(inputs[1], 4)[1:-1])


def _count_3d_convolution(inputs: Operands, outputs: Operands, _: OperatorOptions) -> int:
    """Count one filter for each output value; filters are DHWIO."""
    return _multiply(outputs[0]) * _multiply(_require_rank(inputs[1], 5)[:-1])


def _count_transposed_convolution(inputs: Operands, _: Operands, __: OperatorOptions) -> int:
    """Count one filter per output channel for each value of the third input, the image.

    Filters are OHWI or, in three dimensions, DHWOI.
    """
    _require_rank(inputs[1], len(inputs[2]))
    return _multiply(inputs[2]) * _multiply(inputs[1][:-1])


def _count_fully_connected(inputs: Operands, outputs: Operands, _: OperatorOptions) -> int:
    return _multiply(outputs[0]) * _multiply(_require_rank(inputs[1], 2)[1:])


def _count_batch_matmul(inputs: Operands, outputs: Operands, options: OperatorOptions) -> int:
    axis = -2 if options.get("adj_x") else -1
    return _multiply(outputs[0]) * _multiply((inputs[0][axis],))


def _count_steps(inputs: Operands, matrices: Sequence[int]) -> int:
    """Count the matrices once for each row of the first input: each step of each sequence."""
    rows = _multiply(inputs[0][:-1])
    return rows * sum(_multiply_matrix(inputs, index) for index in matrices)


def _count_lstm(inputs: Operands, _: Operands, __: OperatorOptions) -> int:
    """Count eight matrices and the projection; the basic kernel has one matrix for all gates."""
    basic = len(inputs) == 5
    return _count_steps(inputs, (2,) if basic else (*range(1, 9), 16))


def _count_bidirectional_lstm(inputs: Operands, _: Operands, __: OperatorOptions) -> int:
    """Count the matrices of both directions, their projections, and those of the second input."""
    return _count_steps(
        inputs, (*range(1, 9), 16, *range(18, 26), 33, *range(40, 44), *range(44, 48))
    )


def _count_rnn(inputs: Operands, _: Operands, __: OperatorOptions) -> int:
    return _count_steps(inputs, (1, 2))


def _count_bidirectional_rnn(inputs: Operands, _: Operands, __: OperatorOptions) -> int:
    return _count_steps(inputs, (1, 2, 5, 6, 10, 11))


def _count_stablehlo_dot(inputs: Operands, outputs: Operands, options: OperatorOptions) -> int:
    return _multiply(outputs[0]) * _multiply(
        tuple(inputs[0][axis] for axis in options["contracting_axes"])
    )


COUNTERS: Mapping[str, Counter] = {
    BINARY_CONVOLUTION: _count_binary_convolution,
    "CONV_2D": _count_convolution,
    "DEPTHWISE_CONV_2D": _count_depthwise,
    "TRANSPOSE_CONV": _count_transposed_convolution,
    "CONV_3D": _count_3d_convolution,
    "CONV_3D_TRANSPOSE": _count_transposed_convolution,
    "FULLY_CONNECTED": _count_fully_connected,
    "BATCH_MATMUL": _count_batch_matmul,
    "LSTM": _count_lstm,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _count_lstm,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _count_bidirectional_lstm,
    "RNN": _count_rnn,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _count_rnn,
    "BIDIRECTIONAL_SEQUENCE_RNN": _count_bidirectional_rnn,
    "SVDF": _count_rnn,  # its two matrices, over features and over time, stand at the same places
    "STABLEHLO_DOT_GENERAL": _count_stablehlo_dot,
}
# A kind is listed only after its kernel was looked at: a newer one must not count as 0.
MULTIPLY_FREE = frozenset(
    [
        *("LceQuantize", "LceDequantize", "LceBMaxPool2d", "ABS", "ADD", "ADD_N", "ARG_MAX"),
        *("ARG_MIN", "ASSIGN_VARIABLE", "ATAN2", "AVERAGE_POOL_2D", "BATCH_TO_SPACE_ND"),
        *("BITCAST", "BITWISE_XOR", "BROADCAST_ARGS", "BROADCAST_TO", "BUCKETIZE", "CAST"),
        *("CEIL", "COMPLEX_ABS", "CONCATENATION", "CONCAT_EMBEDDINGS", "COS", "CUMSUM"),
        *("DENSIFY", "DEPTH_TO_SPACE", "DEQUANTIZE", "DILATE", "DIV", "DYNAMIC_UPDATE_SLICE"),
        *("ELU", "EMBEDDING_LOOKUP", "EQUAL", "EXP", "EXPAND_DIMS", "FAKE_QUANT", "FILL"),
        *("FLOOR", "FLOOR_DIV", "FLOOR_MOD", "GATHER", "GATHER_ND", "GELU", "GREATER"),
        *("GREATER_EQUAL", "HARD_SWISH", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT"),
        *("HASHTABLE_LOOKUP", "HASHTABLE_SIZE", "IMAG", "L2_NORMALIZATION", "L2_POOL_2D"),
        *("LEAKY_RELU", "LESS", "LESS_EQUAL", "LOCAL_RESPONSE_NORMALIZATION", "LOG"),
        *("LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "LOG_SOFTMAX", "MATRIX_DIAG"),
        *("MATRIX_SET_DIAG", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL"),
        *("MULTINOMIAL", "NEG", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "NOT_EQUAL"),
        *("ONE_HOT", "PACK", "PAD", "PADV2", "POW", "PRELU", "QUANTIZE"),
        *("RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "RANGE", "RANK", "READ_VARIABLE", "REAL"),
        *("REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_WINDOW"),
        *("RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR"),
        *("RESIZE_NEAREST_NEIGHBOR", "REVERSE_SEQUENCE", "REVERSE_V2", "RIGHT_SHIFT", "ROUND"),
        *("RSQRT", "SCATTER_ND", "SEGMENT_SUM", "SELECT", "SELECT_V2", "SHAPE", "SIGN", "SIN"),
        *("SKIP_GRAM", "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH"),
        *("SPARSE_TO_DENSE", "SPLIT", "SPLIT_V", "SQRT", "SQUARE", "SQUARED_DIFFERENCE"),
        *("SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TILE", "TOPK_V2", "TRANSPOSE"),
        *("UNIQUE", "UNPACK", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN"),
        *("UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_SUM", "VAR_HANDLE", "WHERE", "ZEROS_LIKE"),
        *("STABLEHLO_ABS", "STABLEHLO_ADD", "STABLEHLO_AND", "STABLEHLO_BROADCAST_IN_DIM"),
        *("STABLEHLO_CBRT", "STABLEHLO_CLAMP", "STABLEHLO_COMPARE", "STABLEHLO_CONCATENATE"),
        *("STABLEHLO_CONVERT", "STABLEHLO_COSINE", "STABLEHLO_DIVIDE", "STABLEHLO_DYNAMIC_SLICE"),
        *("STABLEHLO_DYNAMIC_UPDATE_SLICE", "STABLEHLO_EXPONENTIAL", "STABLEHLO_FLOOR"),
        *("STABLEHLO_GATHER", "STABLEHLO_IOTA", "STABLEHLO_LOG", "STABLEHLO_LOGISTIC"),
        *("STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM", "STABLEHLO_MULTIPLY", "STABLEHLO_NEGATE"),
        *("STABLEHLO_OR", "STABLEHLO_PAD", "STABLEHLO_POWER", "STABLEHLO_REMAINDER"),
        *("STABLEHLO_RESHAPE", "STABLEHLO_RNG_BIT_GENERATOR", "STABLEHLO_RSQRT"),
        *("STABLEHLO_SELECT", "STABLEHLO_SHIFT_LEFT", "STABLEHLO_SLICE", "STABLEHLO_SUBTRACT"),
        *("STABLEHLO_TANH", "STABLEHLO_TRANSPOSE"),
    ]
)
