"""What a `.tflite` file is made of: operators, and multiply-accumulates by width."""

import struct
from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

from flatbuffers import flexbuffers
from tflite.Model import Model
from tflite.utils import opcode2name

from harness.core.sweep import Anatomy

IDENTIFIER = b"TFL3"
_PLACEHOLDER_CODE = 127  # the field that held the code until it outgrew a byte, in files of both kinds
_BINARY_CONVOLUTION = "LceBconv2d"


def anatomy(flatbuffer: bytes) -> Anatomy:
    """Counts over every subgraph, for one inference. Raises ValueError where the bytes are no TensorFlow Lite model."""
    if flatbuffer[4:8] != IDENTIFIER:
        raise ValueError("is no TensorFlow Lite model: the file's identifier is missing")
    try:
        return _count(Model.GetRootAsModel(flatbuffer, 0))
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
