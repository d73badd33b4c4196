"""The operators of a `.tflite` file with their neighbours, and the work that each does.

Work is counted in OPs, as Liu et al. (2018, arxiv.org/abs/1808.00278) count it.
A float multiply-accumulate is one OP, and 64 binary ones are one OP.
An operator that does not multiply counts one OP for each value that it reads or writes.
The larger of the two numbers is taken.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.conversion.anatomy import Graph, Operator, Shape
from harness.conversion.work import BINARY_CONVOLUTION, CHANNELS_PER_WORD

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Sizes of LCE's kernels for 64-bit ARM (docs.larq.dev/compute-engine/model_optimization_guide).
FILTERS_AT_ONCE = 8
DEPTH_STEP = 128
BINARY_MACS_PER_OP = 64
RELUS = {"RELU", "RELU6", "RELU_N1_TO_1"}
ELEMENTWISE = {*RELUS, "PRELU", "LEAKY_RELU", "MUL", "ADD", "SUB", "DIV"}
POOLS = {"MAX_POOL_2D", "AVERAGE_POOL_2D"}
_RESHAPES = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}  # they do not change values
_SAME = 0  # the code of SAME padding in the options; 1 is VALID
_SIGN = re.compile(r"[^/]+/(?P<layer>.+)/[^/]+/Sign(_\d+)?")  # model, layer, Larq's quantizer
_OPERATION = re.compile(r"[^/]+/(?P<layer>.+)/[^/]+")  # model, layer, operation
# They move or repeat values, or add zeros.
_PASSES = _RESHAPES | {"PAD", "PADV2", "MIRROR_PAD", "TRANSPOSE", "STRIDED_SLICE", "SLICE"}
_FILTER_AXES = {"DEPTHWISE_CONV_2D": -1, "CONV_3D": -1, "CONV_3D_TRANSPOSE": -2}  # others: 0
_READABLE = ("float32", "float16", "int8")


@dataclass(frozen=True)
class BinaryConvolution:
    """The sizes of a binary convolution.

    At each of `positions`, each of `filters` meets `kernel` × `channels` values.
    `stored` is `channels` rounded up to a multiple of 32.
    A filter of a grouped convolution has the channels of its group only.
    """

    positions: int
    filters: int
    kernel: int
    channels: int
    stored: int

    @property
    def depth(self) -> int:
        """The values of a filter, with its padding."""
        return round_up(self.kernel * self.stored, DEPTH_STEP)

    @property
    def macs(self) -> int:
        """The multiply-accumulates, including those of padding."""
        return self.positions * round_up(self.filters, FILTERS_AT_ONCE) * self.depth


@dataclass(frozen=True)
class Network:
    """A graph that also knows the readers of each tensor."""

    graph: Graph

    @cached_property
    def readers_by_tensor(self) -> Mapping[int, Sequence[Operator]]:
        readers: dict[int, list[Operator]] = defaultdict(list)
        for operator in self.graph.operators:
            for tensor in operator.inputs:
                readers[tensor].append(operator)
        return readers

    @cached_property
    def binary_ops(self) -> float:
        """The OPs of all binary convolutions."""
        return sum(
            count_ops(self, operator)
            for operator in self.graph.operators
            if operator.kind == BINARY_CONVOLUTION
        )

    def shape(self, tensor: int) -> Shape:
        return self.graph.tensors[tensor].shape

    def name(self, tensor: int) -> str:
        """Return the first of the names that the converter joined when it fused layers."""
        return self.graph.tensors[tensor].name.partition(";")[0] if tensor >= 0 else ""

    def weights(self, operator: Operator) -> "NDArray[Any]":
        """Return the weights of a layer that does not bit-pack them.

        The array is empty if the weights are not a constant that numpy can read.
        """
        index = operator.inputs[1] if len(operator.inputs) > 1 else -1
        if index < 0:
            return np.zeros(0)
        tensor, content = self.graph.tensors[index], self.graph.constants.get(index)
        if content is None or tensor.dtype not in _READABLE:
            return np.zeros(0)
        if len(content) != prod(tensor.shape) * np.dtype(tensor.dtype).itemsize:
            return np.zeros(0)
        return np.frombuffer(content, tensor.dtype).reshape(tensor.shape)

    def readers_of(self, operator: Operator) -> Sequence[Operator]:
        readers: list[Operator] = []
        for tensor in operator.outputs:
            readers += self.readers_by_tensor.get(tensor, ())
        return readers


def round_up(size: int, step: int) -> int:
    return -(-size // step) * step


def find_layer_name(network: Network, operator: Operator) -> str:
    """Return the name of the Keras layer if the tensors' names show it, else the operator's kind.

    The output of a binary convolution may be named after a layer that was fused with it.
    The input is named after the layer's own quantizer, so it comes first.
    """
    candidates = [_SIGN.fullmatch(network.name(tensor)) for tensor in operator.inputs[:1]]
    for tensor in (*operator.inputs[1:2], *operator.outputs):
        candidates.append(_OPERATION.fullmatch(network.name(tensor)))
    return next((match["layer"] for match in candidates if match), operator.kind)


def count_ops(network: Network, operator: Operator) -> float:
    if operator.kind == BINARY_CONVOLUTION:
        macs = read_binary_convolution(network, operator).macs
        return macs / BINARY_MACS_PER_OP + count_corrections(network, operator)
    if operator.macs or operator.kind in _RESHAPES:
        return operator.macs or 0
    return max(
        (prod(network.shape(tensor)) for tensor in (*operator.inputs[:1], *operator.outputs)),
        default=0,
    )


def read_binary_convolution(network: Network, operator: Operator) -> BinaryConvolution:
    """Return the sizes of a binary convolution, whose filters are OHWI and bit-packed."""
    filters, *kernel, words = network.shape(operator.inputs[1])
    stored = CHANNELS_PER_WORD * words
    channels = min(operator.options["channels_in"], stored)
    return BinaryConvolution(
        prod(network.shape(operator.outputs[0])[:-1]),
        filters,
        kernel=prod(kernel),
        channels=channels,
        stored=stored,
    )


def pads_with_zeros(convolution: Operator) -> bool:
    options = convolution.options
    return bool(options.get("padding") == _SAME and options.get("pad_values") == 0)


def count_corrections(network: Network, convolution: Operator) -> int:
    """Count the outputs of a zero-padded binary convolution whose kernel reaches over the edge.

    A bit can't be zero, so LCE pads with ones and subtracts their contribution afterwards.
    See LCE's `zero_padding_correction.h`.
    """
    if not pads_with_zeros(convolution):
        return 0
    sizes = (
        network.shape(tensor)[1:3] for tensor in (*convolution.inputs[:2], convolution.outputs[0])
    )
    options = convolution.options
    steps = (
        (options.get(f"stride_{axis}", 1), options.get(f"dilation_{axis}_factor", 1))
        for axis in ("height", "width")
    )
    inside = prod(_count_inside(*axis) for axis in zip(*sizes, steps, strict=True))
    batch, height, width, _ = network.shape(convolution.outputs[0])
    return batch * (height * width - inside) * read_binary_convolution(network, convolution).filters


def _count_inside(size: int, kernel: int, outputs: int, steps: tuple[int, int]) -> int:
    """Count the positions along one axis where the kernel stays inside the image.

    `steps` are stride and dilation.
    """
    stride, dilation = steps
    extent = (kernel - 1) * dilation + 1
    padding = max((outputs - 1) * stride + extent - size, 0) // 2
    first = round_up(padding, stride) // stride
    last = min((size - extent + padding) // stride, outputs - 1)
    return max(last - first + 1, 0)


def follow_chain(network: Network, operator: Operator) -> Sequence[Operator]:
    """Return the normalisations, activations and pools that follow the operator.

    Each is the only reader of the one before it.
    """
    followers: list[Operator] = []
    while len(readers := network.readers_of(operator)) == 1 and _is_simple(
        network, operator := readers[0]
    ):
        if operator in followers:  # a cycle, in a damaged file
            break
        followers.append(operator)
    return followers


def _is_simple(network: Network, operator: Operator) -> bool:
    variable = [tensor for tensor in operator.inputs if tensor not in network.graph.constants]
    return operator.kind in ELEMENTWISE | POOLS and len(variable) == 1


def only_signs_are_read(network: Network, operator: Operator) -> bool:
    return {reader.kind for reader in network.readers_of(operator)} == {"LceQuantize"}


def reads_unpacked_signs(network: Network, operator: Operator) -> bool:
    tensor = operator.inputs[get_image_place(operator.kind)]
    for producer in reversed(network.graph.operators):
        if tensor in producer.outputs and producer.kind not in _PASSES:
            return producer.kind == "LceDequantize"
        if tensor in producer.outputs:
            tensor = producer.inputs[0]
    return False


def get_image_place(kind: str) -> int:
    """Return which operand is the image: a transposed convolution's first one is a shape."""
    return 2 if kind in ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE") else 0


def has_binary_weights(network: Network, operator: Operator) -> bool:
    """Tell if each filter holds one magnitude with both signs.

    Binary weights look like this once a normalisation is fused into them.
    """
    return _holds_one_magnitude(network, operator, with_zeros=False)


def has_ternary_weights(network: Network, operator: Operator) -> bool:
    """Tell if each filter holds zeros and one magnitude with both signs."""
    return _holds_one_magnitude(network, operator, with_zeros=True)


def _holds_one_magnitude(network: Network, operator: Operator, *, with_zeros: bool) -> bool:
    weights = network.weights(operator)
    if not weights.size:
        return False
    filters = np.moveaxis(weights, _FILTER_AXES.get(operator.kind, 0), 0)
    magnitudes = np.abs(filters.reshape(len(filters), -1))
    fits = magnitudes == magnitudes.max(axis=1, keepdims=True)
    zeros = magnitudes == 0
    return bool(
        (fits | zeros).all()
        and zeros.any() == with_zeros
        and weights.min() < 0 < weights.max()
        and magnitudes.shape[1] > 1
    )
