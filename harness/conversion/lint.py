"""Checks of a `.tflite` file against Larq Compute Engine's rules for fast models.

A finding names the layer, its cost and the change to make.
Costs come from shapes alone, in OPs (see `network`).
No two findings count the same work, so their shares add up.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.conversion.anatomy import Graph, Operator, read_graphs
from harness.conversion.network import (
    BINARY_MACS_PER_OP,
    DEPTH_STEP,
    ELEMENTWISE,
    FILTERS_AT_ONCE,
    POOLS,
    RELUS,
    BinaryConvolution,
    Network,
    count_corrections,
    count_ops,
    find_layer_name,
    follow_chain,
    has_binary_weights,
    has_ternary_weights,
    only_signs_are_read,
    pads_with_zeros,
    read_binary_convolution,
    reads_unpacked_signs,
    round_up,
)
from harness.conversion.work import BINARY_CONVOLUTION, CHANNELS_PER_WORD
from harness.core.units import count_noun, format_bytes, format_count, format_percent

# A filter's share of padding that is still fine: zero is hard, and this rule matters least.
ACCEPTED_DEPTH_PADDING = 0.1
_GUIDE = "docs.larq.dev/compute-engine/model_optimization_guide"
_OPERATORS = "docs.larq.dev/compute-engine/api/operators"
_QUICKNET = "arxiv.org/abs/2011.09398"
_BINARY = frozenset({BINARY_CONVOLUTION})
_FLOAT = frozenset(
    {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
        *("TRANSPOSE_CONV", "CONV_3D", "CONV_3D_TRANSPOSE"),
    }
)
_NORMALISE_BEFORE_POOL = "put BatchNormalization between the convolution and the pool"


@dataclass(frozen=True)
class Finding:
    """A layer's violation of a rule: its cost in `ops` and in words, and the change to make."""

    ops: float
    cost: str
    change: str


@dataclass(frozen=True)
class Rule:
    """A rule for fast models and its source; `check` examines operators of the given kinds."""

    statement: str
    source: str
    kinds: frozenset[str]
    check: Callable[[Network, Operator], Finding | None]


@dataclass(frozen=True)
class Advice:
    """A finding about operator `number`, from 0 in execution order.

    `share` is the finding's part of the model's work, 0 to 1.
    """

    number: int
    kind: str
    layer: str
    rule: str
    cost: str
    change: str
    share: float


@dataclass(frozen=True)
class Report:
    """One model's advice, largest share first, and its work in `ops`.

    `uncounted` names the kinds of operators of which `ops` lacks multiplications or repetitions.
    """

    advice: tuple[Advice, ...]
    ops: float
    binary_layers: int
    uncounted: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One or two sentences about the whole model."""
        if not self.uncounted:
            return self._summarise()
        kinds = " and ".join(self.uncounted)
        return f"{self._summarise()} The shares leave out work of {kinds}, which is unknown."

    def _summarise(self) -> str:
        if not self.advice:
            return _summarise_without_advice(self.binary_layers)
        layers = count_noun(len({advice.number for advice in self.advice}), "layer")
        share = format_percent(sum(advice.share for advice in self.advice))
        return (
            f"{layers} could be faster, which affects {share} of the model's "
            f"{format_count(round(self.ops))} OPs "
            "(multiply-accumulates; 64 binary ones count as one)."
        )


def _summarise_without_advice(binary_layers: int) -> str:
    if binary_layers:
        return f"Nothing to improve in {count_noun(binary_layers, 'binary layer')}."
    return "Nothing to improve: the rules concern binary layers, and this model has none."


def lint(flatbuffer: bytes) -> Report:
    """Check a `.tflite` file. Raises ValueError if the bytes are not a TensorFlow Lite model."""
    graphs = read_graphs(flatbuffer)
    try:
        return lint_graphs(graphs)
    except (LookupError, ValueError, ArithmeticError) as error:
        # Operands that contradict each other, such as a convolution of one axis.
        raise ValueError("not a valid TensorFlow Lite model: the file is damaged") from error


def lint_graphs(graphs: Sequence[Graph]) -> Report:
    """Check a model that consists of these subgraphs."""
    operators: list[tuple[Network, Operator]] = []
    for network in map(Network, graphs):
        operators += ((network, operator) for operator in network.graph.operators)
    total_ops = sum(
        _count_runs(network) * count_ops(network, operator) for network, operator in operators
    )
    advice: list[Advice] = []
    for number, (network, operator) in enumerate(operators):
        for rule, finding in _check_rules(network, operator):
            advice.append(
                Advice(
                    number,
                    operator.kind,
                    layer=find_layer_name(network, operator),
                    rule=rule,
                    cost=finding.cost,
                    change=finding.change,
                    share=_count_runs(network) * finding.ops / (total_ops or 1),
                )
            )
    advice.sort(key=lambda entry: -entry.share)
    binary_layers = sum(operator.kind == BINARY_CONVOLUTION for _, operator in operators)
    return Report(
        tuple(advice), total_ops, binary_layers=binary_layers, uncounted=_list_uncounted(graphs)
    )


def _count_runs(network: Network) -> int:
    """Return how often an inference runs the operators: once if that is unknown."""
    runs = network.graph.runs
    return 1 if runs is None else runs


def _list_uncounted(graphs: Sequence[Graph]) -> tuple[str, ...]:
    """Return the kinds of operators whose multiplications or repetitions are unknown."""
    kinds: set[str] = set()
    for graph in graphs:
        for operator in graph.operators:
            if operator.macs is None or (graph.runs is None and operator.macs):
                kinds.add(operator.kind)
    return tuple(sorted(kinds))


def _check_rules(network: Network, operator: Operator) -> Iterator[tuple[str, Finding]]:
    for name, rule in RULES.items():
        if operator.kind in rule.kinds and (finding := rule.check(network, operator)):
            yield name, finding


def _check_input_channels(network: Network, operator: Operator) -> Finding | None:
    sizes = read_binary_convolution(network, operator)
    padding = sizes.positions * sizes.filters * sizes.kernel * (sizes.stored - sizes.channels)
    cost = f"{sizes.channels} input channels are stored as {sizes.stored}"
    change = _suggest_size(sizes.stored, CHANNELS_PER_WORD, noun="input channels")
    return _report_padding(sizes, padding, cost=cost, change=change)


def _check_output_channels(network: Network, operator: Operator) -> Finding | None:
    sizes = read_binary_convolution(network, operator)
    computed = round_up(sizes.filters, FILTERS_AT_ONCE)
    padding = sizes.positions * (computed - sizes.filters) * sizes.depth
    cost = f"{sizes.filters} filters are computed as {computed}"
    change = _suggest_size(computed, FILTERS_AT_ONCE, noun="filters")
    return _report_padding(sizes, padding, cost=cost, change=change)


def _check_kernel_depth(network: Network, operator: Operator) -> Finding | None:
    sizes = read_binary_convolution(network, operator)
    if not sizes.depth or _depth_padding(sizes.kernel, sizes.stored) <= ACCEPTED_DEPTH_PADDING:
        return None
    values = sizes.kernel * sizes.stored
    padding = sizes.positions * sizes.filters * (sizes.depth - values)
    cost = (
        f"a filter's {sizes.kernel} × {sizes.stored} = {values} values are padded to {sizes.depth}"
    )
    return _report_padding(sizes, padding, cost=cost, change=_suggest_depth(sizes))


def _depth_padding(kernel: int, channels: int) -> float:
    """Return the share of a filter that is padding, 0 to 1."""
    return 1 - kernel * channels / round_up(kernel * channels, DEPTH_STEP)


def _suggest_depth(sizes: BinaryConvolution) -> str:
    candidates = range(sizes.stored, sizes.stored + DEPTH_STEP, CHANNELS_PER_WORD)
    channels = next(
        candidate
        for candidate in candidates
        if _depth_padding(sizes.kernel, candidate) <= ACCEPTED_DEPTH_PADDING
    )
    if sizes.kernel * channels <= sizes.depth:
        return f"use {channels} input channels for the same cost"
    share = format_percent(_depth_padding(sizes.kernel, channels))
    return f"use {channels} input channels, of which {share} is padding"


def _report_padding(
    sizes: BinaryConvolution, padding: int, cost: str, change: str
) -> Finding | None:
    """Return a finding unless `padding`, in binary multiply-accumulates, is 0."""
    if not padding:
        return None
    share = format_percent(padding / sizes.macs)
    return Finding(
        padding / BINARY_MACS_PER_OP,
        f"{cost}: {share} of the layer's binary work is padding",
        change=change,
    )


def _suggest_size(size: int, step: int, noun: str) -> str:
    cheaper = f", or {size - step} for less" if size > step else ""
    return f"use {size} {noun} for the same cost{cheaper}"


def _check_zero_padding(network: Network, operator: Operator) -> Finding | None:
    sizes = read_binary_convolution(network, operator)
    corrected = count_corrections(network, operator)
    binarized = _count_separate_binarization(network, operator) if pads_with_zeros(operator) else 0
    if not corrected + binarized:
        return None
    outputs = format_count(sizes.positions * sizes.filters)
    cost = f"{format_count(corrected)} of {outputs} outputs are corrected at the edges"
    if binarized:
        cost += ", and a separate operator binarizes all outputs"
    return Finding(corrected + binarized, cost, change="pad with ones: pad_values=1.0")


def _count_separate_binarization(network: Network, operator: Operator) -> float:
    """Return the OPs that binarize outputs which only binary layers read.

    The convolution could have written these outputs as signs.
    """
    if not only_signs_are_read(network, operator):
        return 0
    return sum(count_ops(network, reader) for reader in network.readers_of(operator))


def _check_fusion(network: Network, operator: Operator) -> Finding | None:
    chain = follow_chain(network, operator)
    unfused = [follower for follower in chain if follower.kind in ELEMENTWISE]
    if not unfused:
        return None
    ops = sum(count_ops(network, follower) for follower in unfused)
    kinds = " and ".join(follower.kind for follower in unfused)
    verb = "is" if len(unfused) == 1 else "are"
    cost = f"{kinds} {verb} not fused: {format_count(round(ops))} float operations"
    return Finding(ops, cost, change=_suggest_order(chain[0].kind))


def _suggest_order(first_kind: str) -> str:
    if first_kind in POOLS:
        return _NORMALISE_BEFORE_POOL
    if first_kind in RELUS:
        return "use the order QuantConv2D, ReLU, BatchNormalization, and pad with ones"
    return "follow it with ReLU and BatchNormalization only, in this order; nothing else fuses"


def _check_float_pool(network: Network, operator: Operator) -> Finding | None:
    chain = follow_chain(network, operator)
    pools = [follower for follower in chain if follower.kind == "MAX_POOL_2D"]
    if not pools or not only_signs_are_read(network, chain[-1]):
        return None
    ops = sum(count_ops(network, pool) for pool in pools)
    cost = f"{format_count(round(ops))} float values are pooled, but only their signs are used"
    return Finding(ops, cost, change=f"{_NORMALISE_BEFORE_POOL}: signs are then pooled as bits")


def _check_dense(network: Network, operator: Operator) -> Finding | None:
    if not (reads_unpacked_signs(network, operator) and has_binary_weights(network, operator)):
        return None
    change = "replace it with a 1x1 QuantConv2D, with a Reshape before and after"
    return _report_float_execution(network, operator, change=change)


def _check_binary_weights(network: Network, operator: Operator) -> Finding | None:
    reads_signs = reads_unpacked_signs(network, operator)
    is_dense = operator.kind == "FULLY_CONNECTED" and reads_signs
    if is_dense or not has_binary_weights(network, operator):
        return None
    if reads_signs or operator.kind not in ("CONV_2D", "FULLY_CONNECTED"):
        change = f"make it float, which costs the same: {_explain_float(network, operator)}"
    else:
        change = "make it float, which costs the same, or give it an input_quantizer"
    return _report_float_execution(network, operator, change=change)


def _explain_float(network: Network, operator: Operator) -> str:
    """Say why LCE runs a layer as float that has binary weights."""
    if operator.kind != "CONV_2D":
        return f"LCE has no binary kernel for {operator.kind}"
    channels, all_channels = (network.shape(tensor)[-1] for tensor in operator.inputs[1::-1])
    if channels != all_channels and channels % CHANNELS_PER_WORD:
        return f"a group has {channels} channels, and LCE needs a multiple of {CHANNELS_PER_WORD}"
    return "LCE did not recognise a binary convolution, for example as something stands between"


def _check_other_weights(network: Network, operator: Operator) -> Finding | None:
    """Find layers with quantized weights of more than two values, and those that read signs."""
    is_ternary = has_ternary_weights(network, operator)
    reads_signs = reads_unpacked_signs(network, operator)
    if has_binary_weights(network, operator) or not (is_ternary or reads_signs):
        return None
    weights = network.weights(operator)
    values = "three values" if is_ternary else "more than two values"
    cost = (
        f"weights of {values} run as {network.graph.tensors[operator.inputs[1]].dtype}: "
        f"{format_count(operator.macs)} MACs and {format_bytes(weights.nbytes)}"
    )
    return Finding(
        operator.macs or 0,
        cost,
        change="give it kernel_quantizer='ste_sign', or make it float: LCE runs two values as bits",
    )


def _report_float_execution(network: Network, operator: Operator, change: str) -> Finding:
    weights, dtype = network.weights(operator), network.graph.tensors[operator.inputs[1]].dtype
    size, size_ratio = format_bytes(weights.nbytes), 8 * weights.itemsize
    cost = (
        f"binary weights run as {dtype}: {format_count(operator.macs)} MACs and {size}; "
        f"as bits, 1/{BINARY_MACS_PER_OP} of the work and 1/{size_ratio} of the size"
    )
    return Finding(operator.macs or 0, cost, change=change)


def _check_unpacking(network: Network, operator: Operator) -> Finding:
    ops = count_ops(network, operator)
    kinds = dict.fromkeys(reader.kind for reader in network.readers_of(operator))
    readers = " and ".join(kinds) or "the output"
    cost = f"{format_count(round(ops))} signs are unpacked to numbers for {readers}"
    return Finding(ops, cost, change="let a QuantConv2D read them, or remove the quantizer")


def _check_float_layer(network: Network, operator: Operator) -> Finding | None:
    binary_ops = network.binary_ops
    macs = operator.macs or 0
    is_reported = has_binary_weights(network, operator) or _check_other_weights(network, operator)
    if not 0 < binary_ops < macs or is_reported:
        return None
    cost = (
        f"{format_count(macs)} float MACs, "
        f"compared with {format_count(round(binary_ops))} OPs in all binary layers"
    )
    change = "make it smaller: fewer filters, a stride, or depthwise and 1x1 convolutions instead"
    return Finding(macs, cost, change=change)


RULES: dict[str, Rule] = {
    "input_channels": Rule(
        "The input channels of a binary convolution are a multiple of 32.",
        _GUIDE,
        kinds=_BINARY,
        check=_check_input_channels,
    ),
    "output_channels": Rule(
        "The filters of a binary convolution are a multiple of 8.",
        _GUIDE,
        kinds=_BINARY,
        check=_check_output_channels,
    ),
    "kernel_depth": Rule(
        "Kernel height × width × input channels is at or just below a multiple of 128.",
        _GUIDE,
        kinds=_BINARY,
        check=_check_kernel_depth,
    ),
    "zero_padding": Rule(
        "If a binary convolution pads, it pads with ones.",
        _GUIDE,
        kinds=_BINARY,
        check=_check_zero_padding,
    ),
    "unfused": Rule(
        "ReLU and BatchNormalization follow a binary convolution, in this order.",
        _GUIDE,
        kinds=_BINARY,
        check=_check_fusion,
    ),
    "float_pool": Rule(
        "A max-pool before the next binary layer pools signs.",
        _OPERATORS,
        kinds=_BINARY,
        check=_check_float_pool,
    ),
    "dense": Rule(
        "A binary dense layer is deployed as a 1x1 convolution.",
        _GUIDE,
        kinds=frozenset({"FULLY_CONNECTED"}),
        check=_check_dense,
    ),
    "binary_weights": Rule(
        "A layer with binary weights has a binary input.",
        _OPERATORS,
        kinds=_FLOAT,
        check=_check_binary_weights,
    ),
    "other_weights": Rule(
        "A layer that reads signs has weights of two values.",
        _OPERATORS,
        kinds=_FLOAT,
        check=_check_other_weights,
    ),
    "unpacking": Rule(
        "Only binary layers read signs.",
        _OPERATORS,
        kinds=frozenset({"LceDequantize"}),
        check=_check_unpacking,
    ),
    "float_layer": Rule(
        "No float layer does more work than all binary layers together.",
        _QUICKNET,
        kinds=_FLOAT,
        check=_check_float_layer,
    ),
}
