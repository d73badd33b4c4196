"""Which of Larq Compute Engine's rules for fast models a `.tflite` file breaks, where, and what that costs.

Costs come from shapes alone, in OPs (`network`). No two findings count the same work, so that their shares add up.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.conversion.anatomy import (
    BINARY_CONVOLUTION,
    CHANNELS_PER_WORD,
    Graph,
    Operator,
    read_graphs,
)
from harness.conversion.network import (
    BINARY_MACS_AN_OP,
    BY_VALUE,
    DEPTH_STEP,
    FILTERS_AT_ONCE,
    POOLS,
    RELUS,
    Binary,
    Network,
    binary,
    chain,
    corrections,
    has_binary_weights,
    layer_name,
    only_signs_are_read,
    pads_with_zeros,
    reads_unpacked_signs,
    round_up,
    work,
)
from harness.core.units import count_noun, format_bytes, format_count, format_percent

LEAST_DEPTH_PADDING = (
    0.1  # of a filter: to have none is hard, and matters less than the other rules
)
_GUIDE = "docs.larq.dev/compute-engine/model_optimization_guide"
_OPERATORS = "docs.larq.dev/compute-engine/api/operators"
_QUICKNET = "arxiv.org/abs/2011.09398"
_OPS = "multiply-accumulates, where 64 binary ones count as one"
_BINARY = frozenset({BINARY_CONVOLUTION})
_FLOAT = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


@dataclass(frozen=True)
class Finding:
    """A layer's breach of a rule: the `work` that it costs, in OPs, that in words, and what to change."""

    work: float
    cost: str
    change: str


@dataclass(frozen=True)
class Rule:
    """What to keep to, who says so, and what looks whether an operator of these kinds does."""

    says: str
    source: str
    kinds: frozenset[str]
    look: Callable[[Network, Operator], Finding | None]


@dataclass(frozen=True)
class Advice:
    """A finding about operator `number`, from 0 in the order of running; `share` is of the model's work, 0 to 1."""

    number: int
    kind: str
    layer: str
    rule: str
    cost: str
    change: str
    share: float


@dataclass(frozen=True)
class Report:
    """Of one model: its advice, that of the largest share first, and its `work` in OPs."""

    advice: tuple[Advice, ...]
    work: float
    binary_layers: int

    @property
    def summary(self) -> str:
        """In a sentence."""
        if not self.advice:
            return _summary_of_none(self.binary_layers)
        layers = len({one.number for one in self.advice})
        share, ops = (
            format_percent(sum(one.share for one in self.advice)),
            format_count(round(self.work)),
        )
        return f"{count_noun(layers, 'layer')} could be faster: {share} of the model's work, which is {ops} OPs ({_OPS})."


def _summary_of_none(binary_layers: int) -> str:
    if binary_layers:
        return f"Nothing to advise: {count_noun(binary_layers, 'binary layer')}, and no rule is broken."
    return "Nothing to advise: there are no binary layers, which the rules are about."


def lint(flatbuffer: bytes) -> Report:
    """Raises ValueError where the bytes are no TensorFlow Lite model."""
    return advise(read_graphs(flatbuffer))


def advise(graphs: Sequence[Graph]) -> Report:
    """About a model of these subgraphs."""
    networks = [Network(graph) for graph in graphs]
    operators = [
        (network, operator) for network in networks for operator in network.graph.operators
    ]
    total = sum(work(network, operator) for network, operator in operators)
    advice = [
        Advice(
            number,
            operator.kind,
            layer=layer_name(network, operator),
            rule=rule,
            cost=found.cost,
            change=found.change,
            share=found.work / total,
        )
        for number, (network, operator) in enumerate(operators)
        for rule, found in _findings(network, operator)
    ]
    binary_layers = sum(operator.kind == BINARY_CONVOLUTION for _, operator in operators)
    return Report(
        tuple(sorted(advice, key=lambda one: -one.share)), total, binary_layers=binary_layers
    )


def _findings(network: Network, operator: Operator) -> Iterator[tuple[str, Finding]]:
    for name, rule in RULES.items():
        if operator.kind in rule.kinds and (found := rule.look(network, operator)):
            yield name, found


def _input_channels(network: Network, operator: Operator) -> Finding | None:
    conv = binary(network, operator)
    padding = conv.positions * conv.filters * conv.kernel * (conv.stored - conv.channels)
    cost = f"{conv.channels} input channels are stored as {conv.stored}"
    return _padded(
        conv,
        padding,
        cost=cost,
        change=_as_dear(conv.stored, CHANNELS_PER_WORD, noun="input channels"),
    )


def _output_channels(network: Network, operator: Operator) -> Finding | None:
    conv = binary(network, operator)
    computed = round_up(conv.filters, FILTERS_AT_ONCE)
    padding = conv.positions * (computed - conv.filters) * conv.depth
    cost = f"{conv.filters} filters are computed as {computed}"
    return _padded(
        conv, padding, cost=cost, change=_as_dear(computed, FILTERS_AT_ONCE, noun="filters")
    )


def _kernel_depth(network: Network, operator: Operator) -> Finding | None:
    conv = binary(network, operator)
    if not conv.depth or _depth_padding(conv.kernel, conv.stored) <= LEAST_DEPTH_PADDING:
        return None
    values = conv.kernel * conv.stored
    cost = f"a filter's {conv.kernel} × {conv.stored} = {values} values are padded to {conv.depth}"
    return _padded(
        conv,
        conv.positions * conv.filters * (conv.depth - values),
        cost=cost,
        change=_better_depth(conv),
    )


def _depth_padding(kernel: int, channels: int) -> float:
    """The share of a filter, 0 to 1."""
    return 1 - kernel * channels / round_up(kernel * channels, DEPTH_STEP)


def _better_depth(conv: Binary) -> str:
    sizes = range(conv.stored, conv.stored + DEPTH_STEP, CHANNELS_PER_WORD)
    channels = next(
        size for size in sizes if _depth_padding(conv.kernel, size) <= LEAST_DEPTH_PADDING
    )
    if conv.kernel * channels <= conv.depth:
        return f"{channels} input channels cost the same"
    return f"of {channels} input channels {format_percent(_depth_padding(conv.kernel, channels))} is padding"


def _padded(conv: Binary, padding: int, cost: str, change: str) -> Finding | None:
    """`padding` in binary multiply-accumulates."""
    if not padding:
        return None
    share = format_percent(padding / conv.macs)
    return Finding(
        padding / BINARY_MACS_AN_OP,
        f"{cost}: {share} of the layer's binary work is padding",
        change=change,
    )


def _as_dear(size: int, step: int, noun: str) -> str:
    return f"{size} {noun} cost the same" + (f", {size - step} less" if size > step else "")


def _zero_padding(network: Network, operator: Operator) -> Finding | None:
    conv, edge = binary(network, operator), corrections(network, operator)
    apart = _binarized_apart(network, operator) if pads_with_zeros(operator) else 0
    if not edge + apart:
        return None
    cost = f"{format_count(edge)} of {format_count(conv.positions * conv.filters)} outputs are corrected at the edges"
    told = f"{cost}, and all are binarized by another operator" if apart else cost
    return Finding(edge + apart, told, change="pad with ones: pad_values=1.0")


def _binarized_apart(network: Network, operator: Operator) -> float:
    """OPs of making signs of what could have been written as signs, as nothing reads it as numbers."""
    if not only_signs_are_read(network, operator):
        return 0
    return sum(work(network, reader) for reader in network.after(operator))


def _unfused(network: Network, operator: Operator) -> Finding | None:
    following = chain(network, operator)
    alone = [one for one in following if one.kind in BY_VALUE]
    if not alone:
        return None
    spent = sum(work(network, one) for one in alone)
    cost = f"{' and '.join(one.kind for one in alone)} after it: {format_count(round(spent))} float operations"
    return Finding(spent, cost, change=_order(following[0].kind))


def _order(first: str) -> str:
    if first in POOLS:
        return "put BatchNormalization between convolution and pool"
    if first in RELUS:
        return "order them QuantConv2D, ReLU, BatchNormalization, and pad with ones"
    return (
        "follow it with ReLU and BatchNormalization alone, in this order: no other activation fuses"
    )


def _float_pool(network: Network, operator: Operator) -> Finding | None:
    following = chain(network, operator)
    pools = [one for one in following if one.kind == "MAX_POOL_2D"]
    if not pools or not only_signs_are_read(network, following[-1]):
        return None
    spent = sum(work(network, pool) for pool in pools)
    cost = f"{format_count(round(spent))} float values are pooled, of which only signs are used"
    return Finding(
        spent,
        cost,
        change="put BatchNormalization between convolution and pool: signs are then pooled as bits",
    )


def _dense(network: Network, operator: Operator) -> Finding | None:
    if not (reads_unpacked_signs(network, operator) and has_binary_weights(network, operator)):
        return None
    return _as_float(
        network, operator, change="make it a 1x1 QuantConv2D, with a Reshape before and after"
    )


def _binary_weights(network: Network, operator: Operator) -> Finding | None:
    unpacked = reads_unpacked_signs(network, operator)
    if (operator.kind == "FULLY_CONNECTED" and unpacked) or not has_binary_weights(
        network, operator
    ):
        return None
    if unpacked or operator.kind == "DEPTHWISE_CONV_2D":
        return _as_float(
            network,
            operator,
            change="make it float, which costs the same: LCE has no binary kernel for it",
        )
    return _as_float(
        network,
        operator,
        change="make it float, which costs the same, or give it an input_quantizer",
    )


def _as_float(network: Network, operator: Operator, change: str) -> Finding:
    weights, dtype = network.weights(operator), network.graph.tensors[operator.inputs[1]].dtype
    size, smaller = format_bytes(weights.nbytes), 8 * weights.itemsize
    cost = f"binary weights run as {dtype}: {format_count(operator.macs)} MACs and {size}"
    less = f"as bits 1/{BINARY_MACS_AN_OP} of the work and 1/{smaller} of the size"
    return Finding(operator.macs, f"{cost}, {less}", change=change)


def _unpacking(network: Network, operator: Operator) -> Finding:
    spent = work(network, operator)
    readers = " and ".join(dict.fromkeys(reader.kind for reader in network.after(operator)))
    cost = (
        f"{format_count(round(spent))} signs are unpacked to numbers, for {readers or 'the output'}"
    )
    return Finding(spent, cost, change="let a QuantConv2D read them, or leave out the quantizer")


def _float_layer(network: Network, operator: Operator) -> Finding | None:
    all_binary = network.binary_work
    if not 0 < all_binary < operator.macs or has_binary_weights(network, operator):
        return None
    cost = f"{format_count(operator.macs)} float MACs, where all binary layers are {format_count(round(all_binary))} OPs"
    return Finding(
        operator.macs,
        cost,
        change="make it smaller: fewer filters, a stride, or depthwise and 1x1 in its place",
    )


RULES: dict[str, Rule] = {
    "input_channels": Rule(
        "A binary convolution's input channels are a multiple of 32.",
        _GUIDE,
        kinds=_BINARY,
        look=_input_channels,
    ),
    "output_channels": Rule(
        "Its filters are a multiple of 8.", _GUIDE, kinds=_BINARY, look=_output_channels
    ),
    "kernel_depth": Rule(
        "Its kernel height × width × input channels is near below a multiple of 128.",
        _GUIDE,
        kinds=_BINARY,
        look=_kernel_depth,
    ),
    "zero_padding": Rule(
        "Its padding, if any, is with ones.", _GUIDE, kinds=_BINARY, look=_zero_padding
    ),
    "unfused": Rule(
        "After it come ReLU and BatchNormalization, in this order.",
        _GUIDE,
        kinds=_BINARY,
        look=_unfused,
    ),
    "float_pool": Rule(
        "A max-pool before the next binary layer pools signs.",
        _OPERATORS,
        kinds=_BINARY,
        look=_float_pool,
    ),
    "dense": Rule(
        "A binary dense layer is a 1x1 convolution.",
        _GUIDE,
        kinds=frozenset({"FULLY_CONNECTED"}),
        look=_dense,
    ),
    "binary_weights": Rule(
        "A layer with binary weights has a binary input.",
        _OPERATORS,
        kinds=_FLOAT,
        look=_binary_weights,
    ),
    "unpacking": Rule(
        "Signs are read by binary layers.",
        _OPERATORS,
        kinds=frozenset({"LceDequantize"}),
        look=_unpacking,
    ),
    "float_layer": Rule(
        "No float layer is more work than all binary ones.",
        _QUICKNET,
        kinds=_FLOAT,
        look=_float_layer,
    ),
}
