"""A `.tflite` file's operators with their neighbours, and how much work each is.

Work is counted in OPs, as Liu et al. (2018, arxiv.org/abs/1808.00278) count it: a multiply-accumulate is one, 64 binary
ones are one. Here an operator that does not multiply has one for each value that it reads or writes, whichever is more.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.conversion.anatomy import BINARY_CONVOLUTION, CHANNELS_PER_WORD, Graph, Operator, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What LCE's kernels for 64-bit ARM do at once (docs.larq.dev/compute-engine/model_optimization_guide).
FILTERS_AT_ONCE = 8
DEPTH_STEP = 128
BINARY_MACS_AN_OP = 64
RELUS = {"RELU", "RELU6", "RELU_N1_TO_1"}
BY_VALUE = {*RELUS, "PRELU", "LEAKY_RELU", "MUL", "ADD", "SUB", "DIV"}
POOLS = {"MAX_POOL_2D", "AVERAGE_POOL_2D"}
_RENAMES = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}  # the values stay as they are
_SAME = 0  # in the options; 1 is VALID
_SIGN = re.compile(r"[^/]+/(?P<layer>.+)/[^/]+/Sign(_\d+)?")  # model, layer, Larq's quantizer
_WITHIN = re.compile(r"[^/]+/(?P<layer>.+)/[^/]+")  # model, layer, operation
_READABLE = ("float32", "float16", "int8")


@dataclass(frozen=True)
class Binary:
    """A binary convolution's sizes: at each of `positions`, each of `filters` meets `kernel` × `channels` values.

    Channels are `stored` in multiples of 32; a filter of a grouped convolution has its group's.
    """

    positions: int
    filters: int
    kernel: int
    channels: int
    stored: int

    @property
    def depth(self) -> int:
        """Values of a filter as it is multiplied."""
        return round_up(self.kernel * self.stored, DEPTH_STEP)

    @property
    def macs(self) -> int:
        """Multiply-accumulates with those of padding."""
        return self.positions * round_up(self.filters, FILTERS_AT_ONCE) * self.depth


@dataclass(frozen=True)
class Network:
    """A graph, with who reads each of its tensors."""

    graph: Graph

    @cached_property
    def readers(self) -> Mapping[int, Sequence[Operator]]:
        found: dict[int, list[Operator]] = defaultdict(list)
        for operator in self.graph.operators:
            for tensor in operator.inputs:
                found[tensor].append(operator)
        return found

    @cached_property
    def binary_work(self) -> float:
        """OPs of all binary convolutions."""
        return sum(
            work(self, operator)
            for operator in self.graph.operators
            if operator.kind == BINARY_CONVOLUTION
        )

    def shape(self, tensor: int) -> Shape:
        return self.graph.tensors[tensor].shape

    def name(self, tensor: int) -> str:
        """The first of those that the converter joined when it fused."""
        return self.graph.tensors[tensor].name.partition(";")[0] if tensor >= 0 else ""

    def weights(self, operator: Operator) -> "NDArray[Any]":
        """Of a layer that does not pack them; empty where they are no constant that numpy can read."""
        tensor, content = (
            self.graph.tensors[operator.inputs[1]],
            self.graph.constants.get(operator.inputs[1]),
        )
        if content is None or tensor.dtype not in _READABLE:
            return np.zeros(0)
        whole = len(content) == prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
        return np.frombuffer(content, tensor.dtype).reshape(tensor.shape) if whole else np.zeros(0)

    def after(self, operator: Operator) -> Sequence[Operator]:
        return [reader for tensor in operator.outputs for reader in self.readers.get(tensor, ())]


def round_up(size: int, step: int) -> int:
    return -(-size // step) * step


def layer_name(network: Network, operator: Operator) -> str:
    """That of the Keras layer, as far as tensors tell; else the operator's kind.

    A binary convolution's output is named after what reads it, where that is fused, but its input after its quantizer.
    """
    own = [_SIGN.fullmatch(network.name(tensor)) for tensor in operator.inputs[:1]]
    others = [
        _WITHIN.fullmatch(network.name(tensor))
        for tensor in (*operator.inputs[1:2], *operator.outputs)
    ]
    return next((match["layer"] for match in (*own, *others) if match), operator.kind)


def work(network: Network, operator: Operator) -> float:
    """OPs."""
    if operator.kind == BINARY_CONVOLUTION:
        return binary(network, operator).macs / BINARY_MACS_AN_OP + corrections(network, operator)
    if operator.macs or operator.kind in _RENAMES:
        return operator.macs
    return max(
        (prod(network.shape(tensor)) for tensor in (*operator.inputs[:1], *operator.outputs)),
        default=0,
    )


def binary(network: Network, operator: Operator) -> Binary:
    """Of a binary convolution, whose filters are OHWI and bit-packed."""
    filters, *kernel, packed = network.shape(operator.inputs[1])
    stored = CHANNELS_PER_WORD * packed
    channels = min(operator.options["channels_in"], stored)
    return Binary(
        prod(network.shape(operator.outputs[0])[:-1]),
        filters,
        kernel=prod(kernel),
        channels=channels,
        stored=stored,
    )


def pads_with_zeros(convolution: Operator) -> bool:
    options = convolution.options
    return bool(options.get("padding") == _SAME and options.get("pad_values") == 0)


def corrections(network: Network, convolution: Operator) -> int:
    """Outputs of a binary convolution whose kernel sticks out over the edge, if that was padded with zeros.

    A bit has no zero: ones are taken, and what they added is subtracted (LCE's `zero_padding_correction.h`).
    """
    if not pads_with_zeros(convolution):
        return 0
    sizes = (
        network.shape(tensor)[1:3] for tensor in (*convolution.inputs[:2], convolution.outputs[0])
    )
    options = convolution.options
    steps = (
        (options.get(f"stride_{way}", 1), options.get(f"dilation_{way}_factor", 1))
        for way in ("height", "width")
    )
    inside = prod(_inside(*along) for along in zip(*sizes, steps, strict=True))
    batch, height, width, _ = network.shape(convolution.outputs[0])
    return batch * (height * width - inside) * binary(network, convolution).filters


def _inside(size: int, kernel: int, outputs: int, steps: tuple[int, int]) -> int:
    """Positions along one axis where the kernel does not stick out; `steps` are stride and dilation."""
    stride, dilation = steps
    reach = (kernel - 1) * dilation + 1
    before = max((outputs - 1) * stride + reach - size, 0) // 2
    first, last = (
        round_up(before, stride) // stride,
        min((size - reach + before) // stride, outputs - 1),
    )
    return max(last - first + 1, 0)


def chain(network: Network, operator: Operator) -> Sequence[Operator]:
    """Normalisation, activations and pools that follow one after the other, and that nothing else reads from."""
    following: list[Operator] = []
    while len(readers := network.after(operator)) == 1 and _is_simple(
        network, operator := readers[0]
    ):
        if operator in following:  # a damaged file's
            break
        following.append(operator)
    return following


def _is_simple(network: Network, operator: Operator) -> bool:
    variable = [tensor for tensor in operator.inputs if tensor not in network.graph.constants]
    return operator.kind in BY_VALUE | POOLS and len(variable) == 1


def only_signs_are_read(network: Network, operator: Operator) -> bool:
    return {reader.kind for reader in network.after(operator)} == {"LceQuantize"}


def reads_unpacked_signs(network: Network, operator: Operator) -> bool:
    tensor = operator.inputs[0]
    for maker in reversed(network.graph.operators):
        if tensor in maker.outputs and maker.kind not in _RENAMES:
            return maker.kind == "LceDequantize"
        tensor = maker.inputs[0] if tensor in maker.outputs else tensor
    return False


def has_binary_weights(network: Network, operator: Operator) -> bool:
    """Whether each filter has one value, plus and minus: what is left of signs once normalisation is fused."""
    weights = network.weights(operator)
    if not weights.size:
        return False
    filters = np.moveaxis(weights, -1 if operator.kind == "DEPTHWISE_CONV_2D" else 0, 0)
    sizes = np.abs(filters.reshape(len(filters), -1))
    return bool(
        (sizes == sizes[:, :1]).all() and weights.min() < 0 < weights.max() and sizes.shape[1] > 1
    )
