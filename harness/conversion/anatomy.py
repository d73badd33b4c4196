"""What a `.tflite` file is made of: operators, multiply-accumulates by width, and what goes in and comes out."""

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
_PLACEHOLDER_CODE = (
    127  # the field that held the code until it outgrew a byte, in files of both kinds
)
BINARY_CONVOLUTION = "LceBconv2d"
PACKED = 32  # channels in a value of a tensor of signs (docs.larq.dev/compute-engine/api/operators)
_DTYPES = {value: name.lower() for name, value in vars(TensorType).items() if name.isupper()}
_Found = TypeVar("_Found")
Shape = tuple[int, ...]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Tensor:
    """What goes into a model or comes out of it: `shape` has 1 where a dimension is dynamic.

    `dtype` is numpy's name, but for types that numpy does not have, such as `string`, `int4` or `unknown`.
    """

    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True)
class Operator:
    """One step of an inference.

    `inputs` and `outputs` are indices of its graph's tensors, -1 for an optional one that is left out. `options` are
    those of a binary convolution, `macs` its multiply-accumulates.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options
    macs: int


@dataclass(frozen=True)
class Graph:
    """A subgraph: its operators in the order in which they run, and by index the bytes of tensors that are constant."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    constants: Mapping[int, "NDArray[np.uint8]"] = field(repr=False, compare=False)


def anatomy(flatbuffer: bytes) -> Anatomy:
    """Counts over every subgraph, for one inference. Raises ValueError where the bytes are no TensorFlow Lite model."""
    operators = [operator for graph in graphs(flatbuffer) for operator in graph.operators]
    kinds = Counter(operator.kind for operator in operators)
    binary = sum(operator.macs for operator in operators if operator.kind == BINARY_CONVOLUTION)
    macs = sum(operator.macs for operator in operators)
    return Anatomy(dict(sorted(kinds.items())), binary_macs=binary, float_macs=macs - binary)


def graphs(flatbuffer: bytes) -> tuple[Graph, ...]:
    """Every subgraph. Raises ValueError as `anatomy` does."""

    def look(model: Any) -> tuple[Graph, ...]:
        return tuple(_graph(model, model.Subgraphs(i)) for i in range(model.SubgraphsLength()))

    return _read(flatbuffer, look)


def inputs(flatbuffer: bytes) -> tuple[Tensor, ...]:
    """Of the first subgraph. Raises ValueError as `anatomy` does."""
    return _read(
        flatbuffer, lambda model: _tensors(model.Subgraphs(0), model.Subgraphs(0).InputsAsNumpy())
    )


def outputs(flatbuffer: bytes) -> tuple[Tensor, ...]:
    """Of the first subgraph. Raises ValueError as `anatomy` does."""
    return _read(
        flatbuffer, lambda model: _tensors(model.Subgraphs(0), model.Subgraphs(0).OutputsAsNumpy())
    )


def _read(flatbuffer: bytes, look: Callable[[Any], _Found]) -> _Found:
    if flatbuffer[4:8] != IDENTIFIER:
        raise ValueError("is no TensorFlow Lite model: the file's identifier is missing")
    try:
        return look(Model.GetRootAsModel(flatbuffer, 0))
    except (struct.error, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            "is no whole TensorFlow Lite model: it ends too soon or points outside itself"
        ) from error


def _graph(model: Any, graph: Any) -> Graph:
    tensors = _tensors(graph, range(graph.TensorsLength()))
    operators = tuple(
        _operator(model, tensors, operator=graph.Operators(i))
        for i in range(graph.OperatorsLength())
    )
    buffers = {index: model.Buffers(graph.Tensors(index).Buffer()) for index in range(len(tensors))}
    constants = {
        index: buffer.DataAsNumpy() for index, buffer in buffers.items() if buffer.DataLength()
    }
    return Graph(tensors, operators, constants=constants)


def _operator(model: Any, tensors: tuple[Tensor, ...], operator: Any) -> Operator:
    kind = _name(model.OperatorCodes(operator.OpcodeIndex()))
    inputs = tuple(operator.Inputs(i) for i in range(operator.InputsLength()))
    outputs = tuple(operator.Outputs(i) for i in range(operator.OutputsLength()))
    options = _options(operator) if kind == BINARY_CONVOLUTION else {}
    count = _MACS.get(kind)
    macs = count(_shapes(tensors, inputs), _shapes(tensors, outputs), options) if count else 0
    return Operator(kind, inputs, outputs=outputs, options=options, macs=macs)


def _shapes(tensors: Sequence[Tensor], indices: Sequence[int]) -> list[Shape]:
    return [tensors[index].shape if index >= 0 else () for index in indices]


def _options(operator: Any) -> Options:
    return dict(flexbuffers.Loads(bytearray(operator.CustomOptionsAsNumpy().tobytes())))


def _tensors(graph: Any, indices: Any) -> tuple[Tensor, ...]:
    return tuple(_tensor(graph.Tensors(int(index))) for index in indices)


def _tensor(tensor: Any) -> Tensor:
    shape = tuple(
        abs(int(tensor.Shape(axis))) for axis in range(tensor.ShapeLength())
    )  # -1 where it is dynamic
    name = (tensor.Name() or b"").decode(errors="replace")
    return Tensor(name, shape, dtype=_DTYPES.get(tensor.Type(), "unknown"))


def _name(code: Any) -> str:
    if custom := code.CustomCode():
        return str(custom.decode())
    deprecated = code.DeprecatedBuiltinCode()
    return str(
        opcode2name(
            max(deprecated, code.BuiltinCode())
            if deprecated != _PLACEHOLDER_CODE
            else code.BuiltinCode()
        )
    )


def _convolution(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    """Each output value sums over one filter: kernel height × width × input channels (filters are OHWI)."""
    return prod(outputs[0]) * prod(inputs[1][1:])


def _binary_convolution(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> int:
    """The same, but both ends may be bit-packed: counts come from the filter and the options.

    A filter of a grouped convolution has some of the channels, in whole packed values.
    """
    channels_out, *kernel, packed = inputs[1]
    channels = min(options["channels_in"], PACKED * packed)
    return int(prod(outputs[0][:-1]) * channels_out * prod(kernel) * channels)


def _depthwise(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    return prod(outputs[0]) * prod(inputs[1][1:-1])


def _transposed_convolution(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    """Each input value (the third input) meets one filter for each output channel."""
    return prod(inputs[2]) * prod(inputs[1][:-1])


def _fully_connected(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    return prod(outputs[0]) * inputs[1][-1]


def _batch_matmul(inputs: Sequence[Shape], outputs: Sequence[Shape], _: Options) -> int:
    return prod(outputs[0]) * inputs[0][-1]


_MACS: dict[str, Callable[[Sequence[Shape], Sequence[Shape], Options], int]] = {
    BINARY_CONVOLUTION: _binary_convolution,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
}
