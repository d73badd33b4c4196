"""The parts of a `.tflite` file: operators, multiply-accumulates, inputs and outputs."""

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

from flatbuffers import flexbuffers
from tflite.Model import Model
from tflite.TensorType import TensorType
from tflite.utils import opcode2name

from harness.core.sweep import Anatomy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IDENTIFIER = b"TFL3"
# The deprecated one-byte field holds this value where the operator's code does not fit into a byte.
_PLACEHOLDER_CODE = 127
BINARY_CONVOLUTION = "LceBconv2d"
# Signs in a value of a bit-packed tensor (docs.larq.dev/compute-engine/api/operators).
CHANNELS_PER_WORD = 32
_DTYPES = {value: name.lower() for name, value in vars(TensorType).items() if name.isupper()}
_Parsed = TypeVar("_Parsed")
Shape = tuple[int, ...]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model; `shape` has 1 where a dimension is dynamic.

    `dtype` is numpy's name where numpy has the type; others are `string`, `int4` or `unknown`.
    """

    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True)
class Operator:
    """One step of an inference.

    `inputs` and `outputs` are indices of its graph's tensors, -1 for an omitted optional one.
    `options` are filled for binary convolutions only; `macs` counts multiply-accumulates.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options
    macs: int


@dataclass(frozen=True)
class Graph:
    """A subgraph: its operators in execution order, and the bytes of constant tensors by index."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    constants: Mapping[int, "NDArray[np.uint8]"] = field(repr=False, compare=False)


def read_anatomy(flatbuffer: bytes) -> Anatomy:
    """Count operators and multiply-accumulates of one inference, over every subgraph.

    Raises ValueError if the bytes are not a TensorFlow Lite model.
    """
    operators: list[Operator] = []
    for graph in read_graphs(flatbuffer):
        operators += graph.operators
    kinds = Counter(operator.kind for operator in operators)
    macs = sum(operator.macs for operator in operators)
    binary_macs = sum(
        operator.macs for operator in operators if operator.kind == BINARY_CONVOLUTION
    )
    return Anatomy(
        dict(sorted(kinds.items())), binary_macs=binary_macs, float_macs=macs - binary_macs
    )


def read_graphs(flatbuffer: bytes) -> tuple[Graph, ...]:
    """Return every subgraph. Raises ValueError as `read_anatomy` does."""
    return _parse(flatbuffer, _read_graphs)


def read_inputs(flatbuffer: bytes) -> tuple[Tensor, ...]:
    """Return the inputs of the first subgraph. Raises ValueError as `read_anatomy` does."""
    return _parse(
        flatbuffer,
        lambda model: _read_tensors(model.Subgraphs(0), model.Subgraphs(0).InputsAsNumpy()),
    )


def read_outputs(flatbuffer: bytes) -> tuple[Tensor, ...]:
    """Return the outputs of the first subgraph. Raises ValueError as `read_anatomy` does."""
    return _parse(
        flatbuffer,
        lambda model: _read_tensors(model.Subgraphs(0), model.Subgraphs(0).OutputsAsNumpy()),
    )


def _parse(flatbuffer: bytes, extract: Callable[[Any], _Parsed]) -> _Parsed:
    if flatbuffer[4:8] != IDENTIFIER:
        raise ValueError("not a TensorFlow Lite model: the file identifier is missing")
    try:
        return extract(Model.GetRootAsModel(flatbuffer, 0))
    except (struct.error, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            "not a valid TensorFlow Lite model: the file is truncated or damaged"
        ) from error


def _read_graphs(model: Any) -> tuple[Graph, ...]:
    count = model.SubgraphsLength()
    return tuple(_read_graph(model, model.Subgraphs(index)) for index in range(count))


def _read_graph(model: Any, graph: Any) -> Graph:
    tensors = _read_tensors(graph, range(graph.TensorsLength()))
    operators = tuple(
        _read_operator(model, tensors, operator=graph.Operators(index))
        for index in range(graph.OperatorsLength())
    )
    buffers = {index: model.Buffers(graph.Tensors(index).Buffer()) for index in range(len(tensors))}
    constants = {
        index: buffer.DataAsNumpy() for index, buffer in buffers.items() if buffer.DataLength()
    }
    return Graph(tensors, operators, constants=constants)


def _read_operator(model: Any, tensors: tuple[Tensor, ...], operator: Any) -> Operator:
    kind = _read_kind(model.OperatorCodes(operator.OpcodeIndex()))
    inputs = tuple(operator.Inputs(index) for index in range(operator.InputsLength()))
    outputs = tuple(operator.Outputs(index) for index in range(operator.OutputsLength()))
    options = _read_options(operator) if kind == BINARY_CONVOLUTION else {}
    count_macs = _MAC_COUNTERS.get(kind)
    shapes = _shapes_of(tensors, inputs), _shapes_of(tensors, outputs)
    macs = count_macs(*shapes, options) if count_macs else 0
    return Operator(kind, inputs, outputs=outputs, options=options, macs=macs)


def _shapes_of(tensors: Sequence[Tensor], indices: Sequence[int]) -> list[Shape]:
    return [tensors[index].shape if index >= 0 else () for index in indices]


def _read_options(operator: Any) -> Options:
    return dict(flexbuffers.Loads(bytearray(operator.CustomOptionsAsNumpy().tobytes())))


def _read_tensors(graph: Any, indices: Any) -> tuple[Tensor, ...]:
    return tuple(_read_tensor(graph.Tensors(int(index))) for index in indices)


def _read_tensor(tensor: Any) -> Tensor:
    # A dynamic dimension is stored as -1.
    shape = tuple(abs(int(tensor.Shape(axis))) for axis in range(tensor.ShapeLength()))
    name = (tensor.Name() or b"").decode(errors="replace")
    return Tensor(name, shape, dtype=_DTYPES.get(tensor.Type(), "unknown"))


def _read_kind(code: Any) -> str:
    if custom := code.CustomCode():
        return str(custom.decode())
    deprecated, current = code.DeprecatedBuiltinCode(), code.BuiltinCode()
    is_placeholder = deprecated == _PLACEHOLDER_CODE
    return str(opcode2name(current if is_placeholder else max(deprecated, current)))


def _count_convolution(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    """Count one filter for each output value: kernel height × width × input channels.

    Filters are stored as OHWI.
    """
    return prod(outputs[0]) * prod(inputs[1][1:])


def _count_binary_convolution(
    inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options
) -> int:
    """Count as for a convolution, with channels from the filter and the options.

    Inputs and outputs may be bit-packed, so their shapes do not show the channels.
    A filter of a grouped convolution has some of the channels, rounded up to full words.
    """
    channels_out, *kernel, words = inputs[1]
    channels = min(options["channels_in"], CHANNELS_PER_WORD * words)
    return int(prod(outputs[0][:-1]) * channels_out * prod(kernel) * channels)


def _count_depthwise(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    return prod(outputs[0]) * prod(inputs[1][1:-1])


def _count_transposed_convolution(
    inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options
) -> int:
    """Count one filter per output channel for each value of the third input, the image."""
    return prod(inputs[2]) * prod(inputs[1][:-1])


def _count_fully_connected(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    return prod(outputs[0]) * inputs[1][-1]


def _count_batch_matmul(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    return prod(outputs[0]) * inputs[0][-1]


_MAC_COUNTERS: dict[str, Callable[[Sequence[Shape], Sequence[Shape], Options], int]] = {
    BINARY_CONVOLUTION: _count_binary_convolution,
    "CONV_2D": _count_convolution,
    "DEPTHWISE_CONV_2D": _count_depthwise,
    "TRANSPOSE_CONV": _count_transposed_convolution,
    "FULLY_CONNECTED": _count_fully_connected,
    "BATCH_MATMUL": _count_batch_matmul,
}
