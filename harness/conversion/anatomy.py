"""What a `.tflite` file is made of: operators, multiply-accumulates by width, and what goes in and comes out."""

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

from flatbuffers import flexbuffers
from tflite.Model import Model
from tflite.TensorType import TensorType
from tflite.utils import opcode2name

from harness.core.sweep import Anatomy

IDENTIFIER = b"TFL3"
_PLACEHOLDER_CODE = 127  # the field that held the code until it outgrew a byte, in files of both kinds
_BINARY_CONVOLUTION = "LceBconv2d"
_DTYPES = {value: name.lower() for name, value in vars(TensorType).items() if name.isupper()}
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Tensor:
    """What goes into a model or comes out of it: `shape` has 1 where a dimension is dynamic.

    `dtype` is numpy's name, but for types that numpy does not have, such as `string` or `int4`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


def anatomy(flatbuffer: bytes) -> Anatomy:
    """Counts over every subgraph, for one inference. Raises ValueError where the bytes are no TensorFlow Lite model."""
    return _read(flatbuffer, _count)


def inputs(flatbuffer: bytes) -> tuple[Tensor, ...]:
    """Of the first subgraph. Raises ValueError as `anatomy` does."""
    return _read(flatbuffer, lambda model: _tensors(model.Subgraphs(0), model.Subgraphs(0).InputsAsNumpy()))


def outputs(flatbuffer: bytes) -> tuple[Tensor, ...]:
    """Of the first subgraph. Raises ValueError as `anatomy` does."""
    return _read(flatbuffer, lambda model: _tensors(model.Subgraphs(0), model.Subgraphs(0).OutputsAsNumpy()))


def _read(flatbuffer: bytes, look: Callable[[Any], _Found]) -> _Found:
    if flatbuffer[4:8] != IDENTIFIER:
        raise ValueError("is no TensorFlow Lite model: the file's identifier is missing")
    try:
        return look(Model.GetRootAsModel(flatbuffer, 0))
    except (struct.error, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("is no whole TensorFlow Lite model: it ends too soon or points outside itself") from error


def _count(model: Any) -> Anatomy:
    operators: Counter[str] = Counter()
    macs: Counter[bool] = Counter()
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for operator in (graph.Operators(i) for i in range(graph.OperatorsLength())):
            name = _name(model.OperatorCodes(operator.OpcodeIndex()))
            operators[name] += 1
            macs[name == _BINARY_CONVOLUTION] += _macs(name, graph, operator)
    return Anatomy(dict(sorted(operators.items())), binary_macs=macs[True], float_macs=macs[False])


def _tensors(graph: Any, indices: Any) -> tuple[Tensor, ...]:
    return tuple(_tensor(graph.Tensors(int(index))) for index in indices)


def _tensor(tensor: Any) -> Tensor:
    shape = tuple(abs(int(tensor.Shape(axis))) for axis in range(tensor.ShapeLength()))  # -1 where it is dynamic
    return Tensor(tensor.Name().decode(), shape, _DTYPES[tensor.Type()])


def _name(code: Any) -> str:
    if custom := code.CustomCode():
        return str(custom.decode())
    deprecated = code.DeprecatedBuiltinCode()
    return str(
        opcode2name(max(deprecated, code.BuiltinCode()) if deprecated != _PLACEHOLDER_CODE else code.BuiltinCode())
    )


def _macs(name: str, graph: Any, operator: Any) -> int:
    count = _MACS.get(name)
    return count(graph, operator) if count else 0


def _shape(graph: Any, tensor: int) -> list[int]:
    return [int(size) for size in graph.Tensors(tensor).ShapeAsNumpy()]


def _convolution(graph: Any, operator: Any) -> int:
    """Each output value sums over one filter: kernel height × width × input channels (filters are OHWI)."""
    return prod(_shape(graph, operator.Outputs(0))) * prod(_shape(graph, operator.Inputs(1))[1:])


def _binary_convolution(graph: Any, operator: Any) -> int:
    """The same, but both ends may be bit-packed, 32 channels a value: counts come from the filter and the options."""
    channels_out, *kernel, _ = _shape(graph, operator.Inputs(1))
    options = flexbuffers.Loads(bytearray(operator.CustomOptionsAsNumpy().tobytes()))
    positions = prod(_shape(graph, operator.Outputs(0))[:-1])
    return int(positions * channels_out * prod(kernel) * options["channels_in"])


def _depthwise(graph: Any, operator: Any) -> int:
    _, *kernel, _ = _shape(graph, operator.Inputs(1))
    return prod(_shape(graph, operator.Outputs(0))) * prod(kernel)


def _transposed_convolution(graph: Any, operator: Any) -> int:
    """Each input value (the third input) meets one filter for each output channel."""
    return prod(_shape(graph, operator.Inputs(2))) * prod(_shape(graph, operator.Inputs(1))[:-1])


def _fully_connected(graph: Any, operator: Any) -> int:
    return prod(_shape(graph, operator.Outputs(0))) * _shape(graph, operator.Inputs(1))[-1]


def _batch_matmul(graph: Any, operator: Any) -> int:
    return prod(_shape(graph, operator.Outputs(0))) * _shape(graph, operator.Inputs(0))[-1]


_MACS: dict[str, Callable[[Any, Any], int]] = {
    _BINARY_CONVOLUTION: _binary_convolution,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
}
