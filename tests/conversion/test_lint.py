"""Every rule: one converted network breaks it and one follows it; and their costs."""

from collections.abc import Callable, Sequence
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench import CANARIES
from harness.conversion.anatomy import Graph, Operator, Tensor, read_anatomy, read_graphs
from harness.conversion.convert import convert
from harness.conversion.evaluate import predict
from harness.conversion.lint import RULES, Advice, Report, lint, lint_graphs
from harness.conversion.network import Network, count_corrections, read_binary_convolution
from harness.conversion.work import BINARY_CONVOLUTION
from harness.core.sweep import Precision

MODELS = Path(__file__).parents[1] / "data" / "models"
BINARY = (MODELS / "binary_64.tflite").read_bytes()
FLOAT = (MODELS / "float_64.tflite").read_bytes()
Shape = tuple[int, ...]
NO_SAMPLES = np.zeros(0, np.float32)


def sequence(shape: Shape, *layers: Any) -> Any:
    from harness.models.keras import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Input(shape), *layers], name="net")


def quantised(filters: int, size: int = 3, **settings: Any) -> Any:
    """Return a binary convolution that suits LCE, apart from `settings`."""
    from harness.models.keras import larq

    defaults = {
        "padding": "same",
        "pad_values": 1.0,
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
    }
    return larq.layers.QuantConv2D(filters, size, use_bias=False, **{**defaults, **settings})


def dense(units: int, **settings: Any) -> Any:
    from harness.models.keras import larq

    return larq.layers.QuantDense(units, use_bias=False, kernel_quantizer="ste_sign", **settings)


def layer(name: str, *arguments: Any, **settings: Any) -> Any:
    from harness.models.keras import layers

    return getattr(layers, name)(*arguments, **settings)


def norm() -> Any:
    """Return a normalisation as if trained: none of its four vectors is all zeros or ones."""
    random = {"beta_initializer": "random_normal", "moving_mean_initializer": "random_normal"}
    return layer("BatchNormalization", gamma_initializer="random_uniform", **random)


def signs() -> Any:
    from harness.models.keras import larq

    return larq.quantizers.SteSign()


WIDE, NARROW = (8, 8, 128), (4, 4, 32)
# By rule: a network that breaks it, and the same network with only this corrected.
NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "input_channels": (
        lambda: sequence((8, 8, 40), quantised(64), norm()),
        lambda: sequence((8, 8, 64), quantised(64), norm()),
    ),
    "output_channels": (
        lambda: sequence(WIDE, quantised(12), norm()),
        lambda: sequence(WIDE, quantised(16), norm()),
    ),
    "kernel_depth": (
        lambda: sequence((8, 8, 32), quantised(16), norm()),
        lambda: sequence((8, 8, 64), quantised(16), norm()),
    ),
    "zero_padding": (
        lambda: sequence(WIDE, quantised(128, pad_values=0.0), norm(), quantised(128), norm()),
        lambda: sequence(WIDE, quantised(128), norm(), quantised(128), norm()),
    ),
    "unfused": (
        lambda: sequence(WIDE, quantised(128), norm(), layer("ReLU"), quantised(128), norm()),
        lambda: sequence(WIDE, quantised(128), layer("ReLU"), norm(), quantised(128), norm()),
    ),
    "float_pool": (
        lambda: sequence(WIDE, quantised(128), layer("MaxPool2D"), norm(), quantised(128), norm()),
        lambda: sequence(WIDE, quantised(128), norm(), layer("MaxPool2D"), quantised(128), norm()),
    ),
    "dense": (
        lambda: sequence((128,), dense(64, input_quantizer="ste_sign"), norm()),
        lambda: sequence((1, 1, 128), quantised(64, 1), norm(), layer("Flatten")),
    ),
    "binary_weights": (
        lambda: sequence(
            (8, 8, 3), quantised(128, input_quantizer=None, pad_values=0.0), norm(), quantised(128)
        ),
        lambda: sequence(
            (8, 8, 3), layer("Conv2D", 128, 3, padding="same"), norm(), quantised(128)
        ),
    ),
    "unpacking": (
        lambda: sequence(NARROW, layer("Activation", signs()), layer("DepthwiseConv2D", 3), norm()),
        lambda: sequence(NARROW, layer("DepthwiseConv2D", 3), norm()),
    ),
    "other_weights": (
        lambda: sequence(WIDE, quantised(64, kernel_quantizer="ste_tern"), norm()),
        lambda: sequence(WIDE, quantised(64), norm()),
    ),
    "float_layer": (
        lambda: sequence((8, 8, 3), layer("Conv2D", 128, 3), norm(), quantised(8, 1)),
        lambda: sequence((8, 8, 1), layer("Conv2D", 128, 1), norm(), quantised(128)),
    ),
}


@cache
def breaking_model(rule: str) -> bytes:
    return convert(NETWORKS[rule][0](), Precision.BINARY, samples=NO_SAMPLES)


@cache
def following_model(rule: str) -> bytes:
    return convert(NETWORKS[rule][1](), Precision.BINARY, samples=NO_SAMPLES)


def advice_on(rule: str, model: bytes) -> list[Advice]:
    return [advice for advice in lint(model).advice if advice.rule == rule]


@pytest.mark.parametrize("rule", RULES)
def test_advice_is_given_only_where_a_network_breaks_the_rule(rule: str) -> None:
    assert len(advice_on(rule, breaking_model(rule))) == 1
    assert not advice_on(rule, following_model(rule))


@pytest.mark.parametrize(
    "rule", ["output_channels", "zero_padding", "unfused", "float_pool", "dense"]
)
def test_a_corrected_network_breaks_no_other_rule(rule: str) -> None:
    report = lint(following_model(rule))
    assert not report.advice
    assert report.summary.startswith(f"Nothing to improve in {report.binary_layers} binary layer")


@pytest.mark.parametrize(
    ("rule", "cost"),
    [
        ("input_channels", "40 input channels are stored as 64: 33.8 % of"),  # 9 × 24 of 640
        ("output_channels", "12 filters are computed as 16: 25.0 % of"),
        ("kernel_depth", "a filter's 9 × 32 = 288 values are padded to 384: 25.0 % of"),
        (
            "zero_padding",
            "3.58 k of 8.19 k outputs are corrected at the edges, and a separate operator "
            "binarizes",
        ),
        ("unfused", "RELU is not fused: 8.19 k float operations"),
        ("float_pool", "8.19 k float values are pooled"),
        ("dense", "binary weights run as float32: 8.19 k MACs and 32.8 kB; as bits"),
        ("binary_weights", "binary weights run as float32: 221 k MACs and 13.8 kB; as bits"),
        ("other_weights", "weights of three values run as float32: 4.72 M MACs and 295 kB"),
        ("unpacking", "512 signs are unpacked to numbers for DEPTHWISE_CONV_2D"),
        ("float_layer", "124 k float MACs, compared with 576 OPs in all binary layers"),
    ],
)
def test_a_cost_is_given_in_numbers(rule: str, cost: str) -> None:
    (advice,) = advice_on(rule, breaking_model(rule))
    assert advice.cost.startswith(cost)


def test_a_share_is_of_all_work() -> None:
    (advice,) = advice_on("kernel_depth", breaking_model("kernel_depth"))
    convolution, packing = 64 * 16 * 384 / 64, 8 * 8 * 32
    assert advice.share == pytest.approx(64 * 16 * 96 / 64 / (convolution + packing))


def test_a_layer_has_its_name_in_keras_even_if_it_is_fused_with_the_next() -> None:
    report = lint(
        convert(
            sequence((8, 8, 96), *(quantised(36) for _ in range(3))),
            Precision.BINARY,
            samples=NO_SAMPLES,
        )
    )
    layers = [
        (advice.number, advice.layer)
        for advice in report.advice
        if advice.rule == "output_channels"
    ]
    assert sorted(layers) == [(1, "quant_conv2d"), (2, "quant_conv2d_1"), (3, "quant_conv2d_2")]


def test_other_layers_are_named_after_the_layer_they_were_fused_with() -> None:
    for rule, model, layer_name in (
        ("binary_weights", breaking_model("binary_weights"), "quant_conv2d"),
        ("dense", breaking_model("dense"), "quant_dense"),
        ("binary_weights", BINARY, "batch_normalization_4"),
    ):
        assert [advice.layer for advice in advice_on(rule, model)] == [layer_name]


@pytest.mark.parametrize(
    ("layers", "change"),
    [
        (
            lambda: [layer("PReLU", "random_normal", shared_axes=[1, 2]), norm()],
            "nothing else fuses",
        ),
        (
            lambda: [layer("AveragePooling2D"), norm()],
            "put BatchNormalization between the convolution and the pool",
        ),
        (
            lambda: [norm(), layer("ReLU")],
            "use the order QuantConv2D, ReLU, BatchNormalization, and pad with ones",
        ),
    ],
    ids=["another activation", "pool", "order"],
)
def test_advice_on_unfused_layers_names_an_order_that_fuses(
    layers: Callable[[], list[Any]], change: str
) -> None:
    (advice,) = advice_on(
        "unfused",
        convert(sequence(WIDE, quantised(32), *layers()), Precision.BINARY, samples=NO_SAMPLES),
    )
    assert advice.change.endswith(change)


def test_a_pool_at_the_end_may_be_float() -> None:
    model = convert(
        sequence(WIDE, quantised(32), norm(), layer("MaxPool2D")),
        Precision.BINARY,
        samples=NO_SAMPLES,
    )
    assert "MAX_POOL_2D" in read_anatomy(model).operators
    assert not lint(model).advice


def test_padding_with_zeros_prevents_fusing_even_in_the_right_order() -> None:
    layers = [quantised(32, 1, pad_values=0.0), layer("ReLU"), norm()]
    model = convert(sequence(WIDE, *layers), Precision.BINARY, samples=NO_SAMPLES)
    assert [advice.rule for advice in lint(model).advice] == ["unfused"], (
        "a 1x1 kernel has no edge to correct"
    )


@pytest.mark.parametrize(
    ("shape", "size", "strides"), [((8, 8, 32), 3, 1), ((7, 10, 32), 3, 2), ((9, 6, 32), (5, 2), 1)]
)
def test_corrections_count_the_outputs_that_padding_reaches(
    shape: Shape, size: Any, strides: int
) -> None:
    """The interpreter shows which: those that differ from the outputs of padding with ones."""
    zeros, ones = (
        convert(
            sequence(shape, quantised(32, size, strides=strides, pad_values=pad)),
            Precision.BINARY,
            samples=NO_SAMPLES,
        )
        for pad in (0.0, 1.0)
    )
    images = np.random.default_rng(0).uniform(-1, 1, (4, *shape)).astype(np.float32)
    differ = (predict(zeros, images) != predict(ones, images)).any(axis=(0, 3))
    network, operator = find_convolution(zeros)
    assert count_corrections(network, operator) == 32 * differ.sum() > 0
    assert count_corrections(*find_convolution(ones)) == 0


def find_convolution(model: bytes) -> tuple[Network, Operator]:
    (graph,) = read_graphs(model)
    (convolution,) = (
        operator for operator in graph.operators if operator.kind == BINARY_CONVOLUTION
    )
    return Network(graph), convolution


def test_each_filter_of_a_grouped_convolution_has_one_groups_channels() -> None:
    model = convert(
        sequence((8, 8, 64), quantised(64, groups=2)), Precision.BINARY, samples=NO_SAMPLES
    )
    assert read_anatomy(model).binary_macs == 8 * 8 * 64 * 9 * 32
    assert read_binary_convolution(*find_convolution(model)).stored == 32


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.INT8])
def test_a_network_without_binary_layers_gets_no_advice(precision: Precision) -> None:
    samples = np.zeros((1, 8, 8, 3), np.float32)
    model = convert(
        sequence((8, 8, 3), layer("Conv2D", 12, 3), norm(), layer("ReLU")),
        precision,
        samples=samples,
    )
    assert lint(model).advice == lint(FLOAT).advice == ()
    assert (
        lint(model).summary
        == "Nothing to improve: the rules concern binary layers, and this model has none."
    )


def test_a_network_of_only_dense_binary_layers_gets_advice() -> None:
    report = lint(breaking_model("dense"))
    assert report.binary_layers == 0
    assert {advice.rule for advice in report.advice} == {"dense", "unpacking"}


def test_the_canary_follows_every_rule() -> None:
    assert not lint((CANARIES / "binary.tflite").read_bytes()).advice


def test_advice_is_sorted_by_share_and_summarised() -> None:
    report = lint(BINARY)
    shares = [advice.share for advice in report.advice]
    assert shares == sorted(shares, reverse=True)
    assert report.summary.startswith(
        "4 layers could be faster, which affects 95.2 % of the model's 4.46 k OPs"
    )


def check_shares(report: Report) -> None:
    assert isfinite(report.ops)
    assert report.ops >= 0
    assert all(0 < advice.share <= 1 for advice in report.advice)
    assert sum(advice.share for advice in report.advice) <= 1 + 1e-9, "no work is counted twice"


@pytest.mark.parametrize("rule", RULES)
def test_shares_add_up_to_at_most_1(rule: str) -> None:
    check_shares(lint(breaking_model(rule)))
    check_shares(lint(following_model(rule)))


sizes = st.integers(1, 70)


@given(
    st.tuples(sizes, sizes),
    sizes,
    sizes,
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_shares_of_any_binary_convolution_add_up_to_at_most_1(
    image: tuple[int, int],
    channels: int,
    filters: int,
    kernel: tuple[int, int],
    data: st.DataObject,
) -> None:
    stride, dilation = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    options = {
        "channels_in": channels,
        "padding": 0,
        "pad_values": data.draw(st.integers(0, 1)),
        **{f"stride_{axis}": stride for axis in ("height", "width")},
        **{f"dilation_{axis}_factor": dilation for axis in ("height", "width")},
    }
    outputs = tuple(-(-size // stride) for size in image)
    tensors = (
        Tensor("image", (1, *image, -(-channels // 32)), dtype="int32"),
        Tensor("filters", (filters, *kernel, -(-channels // 32)), dtype="int32"),
        Tensor("scores", (1, *outputs, filters), dtype="float32"),
        Tensor("signs", (1, *outputs, -(-filters // 32)), dtype="int32"),
    )
    convolution = Operator(BINARY_CONVOLUTION, (0, 1, -1), outputs=(2,), options=options, macs=0)
    graph = Graph(
        tensors,
        (convolution, Operator("LceQuantize", (2,), outputs=(3,), options={}, macs=0)),
        constants={},
    )
    check_shares(lint_graphs([graph]))
    sizes = read_binary_convolution(Network(graph), convolution)
    assert sizes.macs >= sizes.positions * filters * channels * sizes.kernel
    assert 0 <= count_corrections(Network(graph), convolution) <= sizes.positions * filters


@given(st.sampled_from([BINARY, FLOAT]), st.data())
@settings(max_examples=150, deadline=None)
def test_a_model_with_damaged_bytes_is_checked_or_refused(
    model: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(model)
    near_an_end = st.integers(0, 600) | st.integers(len(model) - 6000, len(model) - 1)
    for position in data.draw(st.lists(near_an_end, min_size=1, max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    try:
        report = lint(bytes(damaged))
    except ValueError as error:
        assert str(error).startswith("not a ")  # noqa: PT017
    else:
        assert report.summary


def test_every_rule_is_explained_in_the_manual(repository: Path) -> None:
    manual = (repository / "docs" / "guides" / "fast_models.md").read_text()
    rows = [f"| `{name}` | {rule.statement} | {rule.source} |" for name, rule in RULES.items()]
    assert section(manual.splitlines(), rows[0], length=len(rows)) == rows
    assert [line for line in manual.splitlines() if line.startswith("### ")] == [
        f"### `{name}`" for name in RULES
    ]


def section(lines: Sequence[str], first: str, length: int) -> list[str]:
    start = lines.index(first)
    return [*lines[start : start + length]]
