"""The sizes of a model's tensors where the file leaves some of them open.

The batch is 1. Where the file does not tell how a size follows from the batch, it is unknown.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from harness.conversion.loops import list_callees
from harness.conversion.work import Sizes

if TYPE_CHECKING:
    from harness.conversion.anatomy import Graph, Operator, Tensor

# The output's only dynamic axis is that of the inputs: the batch, wherever it stands.
_KEEPS_BATCH = frozenset(
    [
        *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "LceBconv2d", "LceQuantize", "LceDequantize"),
        *("LceBMaxPool2d", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D", "BATCH_MATMUL", "SVDF"),
        *("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "RNN"),
        *("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN", "EMBEDDING_LOOKUP"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"),
        *("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "ARG_MAX", "ARG_MIN"),
        *("PACK", "UNPACK", "GATHER", "TRANSPOSE"),
        *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "PRELU"),
        *("SQUARED_DIFFERENCE", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU"),
        *("ELU", "GELU", "HARD_SWISH", "LOGISTIC", "TANH", "EXP", "LOG", "ABS", "NEG", "SQRT"),
        *("RSQRT", "SQUARE", "FLOOR", "CEIL", "ROUND", "SIGN", "CAST", "QUANTIZE", "DEQUANTIZE"),
        *("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "LOCAL_RESPONSE_NORMALIZATION"),
        *("SELECT", "SELECT_V2", "LESS", "GREATER", "EQUAL", "ONE_HOT", "CUMSUM"),
    ]
)
_PADS = ("PAD", "PADV2", "MIRROR_PAD")
# They change the size of one axis; the place of the operand whose sizes are compared.
_CHANGES_ONE_AXIS = {"CONCATENATION": 0, "SPLIT": 1, "SPLIT_V": 0}


def resolve_shapes(graphs: Sequence["Graph"], order: Sequence[int]) -> Mapping[int, list[Sizes]]:
    """Return the sizes of every tensor by subgraph, for those in `order`: callers come first."""
    inputs: dict[int, list[Sizes]] = {
        0: [_take_batch_of_1(graphs[0].tensors[tensor]) for tensor in graphs[0].inputs]
    }
    resolved: dict[int, list[Sizes]] = {}
    for index in order:
        graph = graphs[index]
        resolved[index] = _resolve_graph(graph, inputs.get(index, []))
        for operator in graph.operators:
            operands = [_size_operand(resolved[index], tensor) for tensor in operator.inputs]
            for callee in list_callees(operator):
                passed = operands[1:] if operator.kind == "IF" else operands
                inputs[callee] = _agree(inputs.get(callee), passed)
    return resolved


def _size_operand(sizes: Sequence[Sizes], tensor: int) -> Sizes:
    return sizes[tensor] if tensor >= 0 else ()


def _agree(earlier: list[Sizes] | None, passed: list[Sizes]) -> list[Sizes]:
    """Return the sizes on which all calls of a subgraph agree: none if they differ."""
    return passed if earlier in (None, passed) else []


def _take_batch_of_1(tensor: "Tensor") -> Sizes:
    sizes = _mark_unknown(tensor)
    return (1, *sizes[1:]) if 0 in tensor.dynamic else sizes


def _mark_unknown(tensor: "Tensor") -> Sizes:
    return tuple(None if axis in tensor.dynamic else size for axis, size in enumerate(tensor.shape))


def _resolve_graph(graph: "Graph", inputs: Sequence[Sizes]) -> list[Sizes]:
    resolved = [_mark_unknown(tensor) for tensor in graph.tensors]
    for tensor, sizes in zip(graph.inputs, inputs, strict=False):
        resolved[tensor] = _fill(resolved[tensor], sizes)
    for operator in graph.operators:
        for output in operator.outputs:
            if output >= 0 and None in resolved[output] and operator.inputs:
                resolved[output] = _resolve_output(
                    graph, operator, resolved=resolved, output=resolved[output]
                )
    return resolved


def _fill(sizes: Sizes, candidates: Sizes) -> Sizes:
    """Replace unknown sizes by those of another shape of the same rank."""
    if len(sizes) != len(candidates):
        return sizes
    return tuple(
        candidate if size is None else size
        for size, candidate in zip(sizes, candidates, strict=True)
    )


def _resolve_output(
    graph: "Graph", operator: "Operator", resolved: Sequence[Sizes], output: Sizes
) -> Sizes:
    shapes = [_size_operand(resolved, tensor) for tensor in operator.inputs]
    if operator.kind in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
        return _keep_elements(shapes[0], output)
    if operator.kind == "FULLY_CONNECTED" and len(shapes) > 1 and shapes[1]:
        return _keep_elements((*_count_rows(shapes[0], shapes[1][-1]), shapes[1][0]), output)
    if _keeps_batch(graph, operator, shapes=shapes, output=output):
        return _fill_batch(graph, operator, resolved=resolved, output=output)
    return output


def _keeps_batch(
    graph: "Graph", operator: "Operator", shapes: Sequence[Sizes], *, output: Sizes
) -> bool:
    if operator.kind in _CHANGES_ONE_AXIS:  # another one, if its size differs
        return any(
            None not in (before, after) and before != after
            for before, after in zip(shapes[_CHANGES_ONE_AXIS[operator.kind]], output, strict=False)
        )
    if operator.kind in _PADS:
        return _pads_other_axes(graph, operator)
    if operator.kind in ("SLICE", "STRIDED_SLICE"):
        return _slices_other_axes(graph, operator)
    return operator.kind in _KEEPS_BATCH


def _pads_other_axes(graph: "Graph", operator: "Operator") -> bool:
    """Tell if the input's dynamic axes get no padding."""
    image, paddings = operator.inputs[:2]
    content, dtype = graph.constants.get(paddings), graph.tensors[paddings].dtype
    if content is None or dtype not in ("int32", "int64"):
        return False
    by_axis = content.view(dtype).reshape(-1, 2)
    return not any(by_axis[axis].any() for axis in graph.tensors[image].dynamic)


def _slices_other_axes(graph: "Graph", operator: "Operator") -> bool:
    """Tell if a slice takes all of the first axis, and only that one is dynamic.

    The end of an axis that is not cut is 0, and the size is -1.
    """
    firsts = []
    for tensor in operator.inputs[1:]:
        content = graph.constants.get(tensor)
        if content is None or content.nbytes % 4 or graph.tensors[tensor].dtype != "int32":
            return False
        firsts.append(content.view("int32")[0].item())
    whole = [0, -1] if operator.kind == "SLICE" else [0, 0, 1]
    return firsts == whole and graph.tensors[operator.inputs[0]].dynamic == (0,)


def _fill_batch(
    graph: "Graph", operator: "Operator", resolved: Sequence[Sizes], *, output: Sizes
) -> Sizes:
    """Fill the output's only unknown size with that of the inputs' only dynamic axis."""
    batches: set[int | None] = set()
    for tensor in operator.inputs:
        dynamic = graph.tensors[tensor].dynamic if tensor >= 0 else ()
        if len(dynamic) > 1:
            return output
        batches.update(resolved[tensor][axis] for axis in dynamic)
    if len(batches) != 1 or output.count(None) != 1:
        return output
    (batch,) = batches
    return tuple(batch if size is None else size for size in output)


def _count_rows(sizes: Sizes, depth: int | None) -> Sizes:
    """Return the number of rows of this depth in a tensor."""
    known_sizes = [size for size in sizes if size is not None]
    if len(known_sizes) < len(sizes) or not depth:
        return (None,)
    return (prod(known_sizes) // depth,)


def _keep_elements(sizes: Sizes, output: Sizes) -> Sizes:
    """Fill the only unknown size of the output, which has as many elements as the input."""
    known_sizes = [size for size in output if size is not None]
    rest = prod(known_sizes)
    if None in sizes or len(known_sizes) < len(output) - 1 or not rest:
        return output
    elements = prod(size for size in sizes if size is not None)
    return tuple(elements // rest if size is None else size for size in output)
