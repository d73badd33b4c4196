"""The parts of a `.tflite` file: operators, multiply-accumulates, inputs and outputs."""

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import tflite
from flatbuffers import flexbuffers
from tflite.BuiltinOperator import BuiltinOperator
from tflite.Model import Model
from tflite.TensorType import TensorType
from tflite.utils import BUILTIN_OPCODE2NAME

from harness.conversion.loops import count_runs, order_by_calls
from harness.conversion.shapes import resolve_shapes
from harness.conversion.work import BINARY_CONVOLUTION, OperatorOptions, count_macs
from harness.core.ids import sha256_of
from harness.core.sweep import Anatomy, Artifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IDENTIFIER = b"TFL3"
_KINDS_WITH_STATE = frozenset(
    {
        BuiltinOperator.VAR_HANDLE,
        BuiltinOperator.CALL_ONCE,
        BuiltinOperator.MULTINOMIAL,
        BuiltinOperator.RANDOM_STANDARD_NORMAL,
        BuiltinOperator.RANDOM_UNIFORM,
    }
)
# The deprecated one-byte field holds this value where the operator's code does not fit into a byte.
_PLACEHOLDER_CODE = 127
_BUILTIN_NAMES = frozenset(BUILTIN_OPCODE2NAME.values())
_DTYPES = {value: name.lower() for name, value in vars(TensorType).items() if name.isupper()}
# Bounds on what is read: far beyond every real model, and they keep a damaged file from taking
# for ever. Tables may share their parts, so the size of the file alone bounds nothing.
_MAX_TABLES = 200_000  # operators and tensors of all subgraphs
_MAX_OPERANDS = 2_000_000
_MAX_RANK = 16
_MAX_COUNT = 2**62  # of elements and multiply-accumulates; the database stores 63 bits
_MAX_OPTION = 2**31
_MAX_SIGNATURES = 1000
_LONGEST_NAME = 200
_CONVOLUTION_OPTIONS = (
    "channels_in",
    "padding",
    "pad_values",
    "stride_height",
    "stride_width",
    "dilation_height_factor",
    "dilation_width_factor",
)
_POSITIVE_OPTIONS = {name for name in _CONVOLUTION_OPTIONS if name not in ("padding", "pad_values")}
_Parsed = TypeVar("_Parsed")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model; `shape` has 1 for each of its `dynamic` axes.

    `dtype` is numpy's name where numpy has the type; others are `string`, `int4` or `unknown`.
    Quantized whole numbers are steps of real ones.
    """

    name: str
    shape: Shape
    dtype: str
    dynamic: tuple[int, ...] = ()
    is_quantized: bool = False


@dataclass(frozen=True)
class Operator:
    """One step of an inference.

    `kind` is the builtin operator's name, or `BUILTIN_` and its number if this version does not
    know it. A custom operator has its own name, after `CUSTOM_` if a builtin one has the same.
    `inputs` and `outputs` are indices of its graph's tensors, -1 for an omitted optional one.
    `options` has those that the harness uses, and `subgraphs`, which the operator runs.
    `macs` counts multiply-accumulates, without those of subgraphs; None if unknown.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: OperatorOptions
    macs: int | None


@dataclass(frozen=True)
class Graph:
    """A subgraph: its operators in execution order, and the bytes of constant tensors by index.

    One inference runs it `runs` times, None if unknown.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    constants: Mapping[int, "NDArray[np.uint8]"] = field(repr=False, compare=False)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    runs: int | None = 1


def describe_file(flatbuffer: bytes) -> Artifact:
    """Return the artifact of a file that nothing is known of but its content.

    Raises ValueError like `read_anatomy`.
    """
    anatomy = read_anatomy(flatbuffer)
    return Artifact(sha256_of(flatbuffer), "tflite", size_bytes=len(flatbuffer), anatomy=anatomy)


def read_anatomy(flatbuffer: bytes) -> Anatomy:
    """Count operators and multiply-accumulates of one inference.

    Only subgraphs count that the first one reaches: their operators once, and their
    multiply-accumulates as often as they run. Raises ValueError if the bytes are not a TensorFlow
    Lite model.
    """
    graphs = read_graphs(flatbuffer)
    kinds = Counter[str]()
    for graph in graphs:
        kinds.update(operator.kind for operator in graph.operators)
    return Anatomy(
        dict(sorted(kinds.items())),
        binary_macs=_sum_macs(graphs, binary=True),
        float_macs=_sum_macs(graphs, binary=False),
        signature=_parse(flatbuffer, _read_signature),
    )


def _read_signature(model: Any) -> str:
    """Return the name of the first subgraph's signature, which tools run, or ""."""
    signature = _find_signature(model)
    return _decode_name(signature.SignatureKey())[:_LONGEST_NAME] if signature else ""


def _find_signature(model: Any) -> Any:
    """Return the signature of the first subgraph, or None."""
    signatures = map(model.SignatureDefs, range(min(model.SignatureDefsLength(), _MAX_SIGNATURES)))
    return next((entry for entry in signatures if entry.SubgraphIndex() == 0), None)


def _decode_name(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")


def _sum_macs(graphs: Sequence[Graph], *, binary: bool) -> int | None:
    """Sum over binary convolutions or all other operators; None if one of them is unknown."""
    total = 0
    for graph in graphs:
        for operator in graph.operators:
            if (operator.kind == BINARY_CONVOLUTION) != binary or 0 in (operator.macs, graph.runs):
                continue
            if operator.macs is None or graph.runs is None:
                return None
            total += operator.macs * graph.runs
    return total if total < _MAX_COUNT else None


def read_graphs(flatbuffer: bytes) -> tuple[Graph, ...]:
    """Return the first subgraph and those that it reaches. Raises ValueError as `read_anatomy`."""
    return _parse(flatbuffer, _read_graphs)


def read_inputs(flatbuffer: bytes) -> tuple[Tensor, ...]:
    """Return the inputs of the first subgraph. Raises ValueError as `read_anatomy` does."""
    return _parse(
        flatbuffer,
        lambda model: _read_tensors(
            model.Subgraphs(0), _read_indices(model.Subgraphs(0).InputsAsNumpy())
        ),
    )


def read_input_names(flatbuffer: bytes) -> dict[str, str]:
    """Return the names of the first subgraph's inputs, by their names in its signature.

    Keras' input `words` is the tensor `serving_default_words:0`. Raises ValueError as
    `read_anatomy` does.
    """
    return _parse(flatbuffer, _read_input_names)


def _read_input_names(model: Any) -> dict[str, str]:
    signature, graph = _find_signature(model), model.Subgraphs(0)
    inputs = _read_indices(graph.InputsAsNumpy())
    names: dict[str, str] = {}
    for index in range(min(signature.InputsLength(), len(inputs)) if signature else 0):
        entry = signature.Inputs(index)
        if entry.TensorIndex() in inputs:
            name = _decode_name(graph.Tensors(entry.TensorIndex()).Name())
            names[_decode_name(entry.Name())] = name
    return {alias: name for alias, name in names.items() if alias not in names.values()}


def read_outputs(flatbuffer: bytes) -> tuple[Tensor, ...]:
    """Return the outputs of the first subgraph. Raises ValueError as `read_anatomy` does."""
    return _parse(
        flatbuffer,
        lambda model: _read_tensors(
            model.Subgraphs(0), _read_indices(model.Subgraphs(0).OutputsAsNumpy())
        ),
    )


def has_state(flatbuffer: bytes) -> bool:
    """Return whether a run of the model may change what the next one answers.

    It may if the model keeps variables from one run to the next, or draws random numbers. Raises
    ValueError as `read_anatomy` does.
    """
    return _parse(flatbuffer, _has_state)


def _has_state(model: Any) -> bool:
    codes = (model.OperatorCodes(index) for index in range(model.OperatorCodesLength()))
    kinds = {max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes}
    if not kinds.isdisjoint(_KINDS_WITH_STATE):
        return True
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        if any(graph.Tensors(index).IsVariable() for index in range(graph.TensorsLength())):
            return True
    return False


def _parse(flatbuffer: bytes, extract: Callable[[Any], _Parsed]) -> _Parsed:
    if flatbuffer[4:8] != IDENTIFIER:
        raise ValueError("not a TensorFlow Lite model: the file identifier is missing")
    try:
        return extract(Model.GetRootAsModel(flatbuffer, 0))
    except (
        struct.error,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        ArithmeticError,
    ) as error:
        raise ValueError(
            "not a valid TensorFlow Lite model: the file is truncated or damaged"
        ) from error


def _read_graphs(model: Any) -> tuple[Graph, ...]:
    subgraphs = [model.Subgraphs(index) for index in range(_check_count(model.SubgraphsLength()))]
    _check_count(sum(graph.TensorsLength() + graph.OperatorsLength() for graph in subgraphs))
    graphs = tuple(_read_graph(model, graph) for graph in subgraphs)
    order = order_by_calls(graphs)
    sizes = resolve_shapes(graphs, order)
    runs = count_runs(graphs)
    return tuple(
        _count_graph(graphs[index], sizes[index], runs=runs[index]) for index in sorted(order)
    )


def _count_graph(graph: Graph, sizes: Sequence[tuple[int | None, ...]], runs: int | None) -> Graph:
    operators = tuple(_count_operator(operator, sizes) for operator in graph.operators)
    return replace(graph, operators=operators, runs=runs)


def _check_count(count: int) -> int:
    if count > _MAX_TABLES:
        raise ValueError(f"{count} parts")
    return count


def _count_operator(operator: Operator, sizes: Sequence[tuple[int | None, ...]]) -> Operator:
    inputs = [_get_sizes(sizes, tensor) for tensor in operator.inputs]
    outputs = [_get_sizes(sizes, tensor) for tensor in operator.outputs]
    macs = count_macs(operator.kind, inputs, outputs=outputs, options=operator.options)
    if macs is not None and macs >= _MAX_COUNT:
        raise ValueError(f"{macs} multiply-accumulates")
    return replace(operator, macs=macs)


def _get_sizes(sizes: Sequence[tuple[int | None, ...]], tensor: int) -> tuple[int | None, ...]:
    return sizes[tensor] if tensor >= 0 else ()


def _read_graph(model: Any, graph: Any) -> Graph:
    tensors = _read_tensors(graph, range(graph.TensorsLength()))
    operators = tuple(
        _read_operator(model, graph.Operators(index)) for index in range(graph.OperatorsLength())
    )
    inputs, outputs = (
        _read_indices(indices) for indices in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
    )
    _check_indices(operators, (*inputs, *outputs), tensors=len(tensors))
    buffers = {index: model.Buffers(graph.Tensors(index).Buffer()) for index in range(len(tensors))}
    constants = {
        index: buffer.DataAsNumpy()
        for index, buffer in buffers.items()
        if buffer is not None and buffer.DataLength()
    }
    return Graph(tensors, operators, constants=constants, inputs=inputs, outputs=outputs)


def _check_indices(operators: Sequence[Operator], ends: Sequence[int], tensors: int) -> None:
    operands = sum(len(operator.inputs) + len(operator.outputs) for operator in operators)
    if operands > _MAX_OPERANDS:
        raise ValueError(f"{operands} operands")
    for operator in operators:
        for index in (*operator.inputs, *operator.outputs):
            if not -1 <= index < tensors:
                raise ValueError(f"there is no tensor {index}")
    if any(not 0 <= index < tensors for index in ends):
        raise ValueError("an input or output is not a tensor")


def _read_indices(vector: Any) -> tuple[int, ...]:
    """Return a vector of integers; flatbuffers gives 0 for one that is absent."""
    if isinstance(vector, int):
        return ()
    if len(vector) > _MAX_OPERANDS:
        raise ValueError(f"{len(vector)} operands")
    return tuple(vector.tolist())


def _read_operator(model: Any, operator: Any) -> Operator:
    kind = _read_kind(model.OperatorCodes(operator.OpcodeIndex()))
    inputs = _read_indices(operator.InputsAsNumpy())
    outputs = _read_indices(operator.OutputsAsNumpy())
    read_options = _OPTION_READERS.get(kind)
    return Operator(
        kind,
        inputs,
        outputs=outputs,
        options=read_options(operator) if read_options else {},
        macs=None,
    )


def _read_convolution_options(operator: Any) -> OperatorOptions:
    """Read the options by name: a damaged map may refer to itself over and over."""
    options = flexbuffers.GetRoot(bytearray(operator.CustomOptionsAsNumpy().tobytes())).AsMap
    values = {"channels_in": options["channels_in"].AsInt}
    for name in _CONVOLUTION_OPTIONS:
        try:
            values[name] = options[name].AsInt
        except KeyError:
            continue
    for name, value in values.items():
        if not (name in _POSITIVE_OPTIONS) <= value < _MAX_OPTION:
            raise ValueError(f"{name} is {value}")
    return values


def _read_builtin_options(operator: Any, table: str) -> Any:
    """Return a table of options, or None if it is absent, which means that all have defaults."""
    for kinds, kind, content in (
        (tflite.BuiltinOptions, operator.BuiltinOptionsType(), operator.BuiltinOptions()),
        (tflite.BuiltinOptions2, operator.BuiltinOptions2Type(), operator.BuiltinOptions2()),
    ):
        if content is not None and kind == getattr(kinds, table, None):
            options = getattr(tflite, table)()
            options.Init(content.Bytes, content.Pos)
            return options
    return None


def _read_matmul_options(operator: Any) -> OperatorOptions:
    options = _read_builtin_options(operator, "BatchMatMulOptions")
    return {"adj_x": bool(options.AdjX())} if options else {}


def _read_dot_options(operator: Any) -> OperatorOptions:
    options = _read_builtin_options(operator, "StablehloDotGeneralOptions")
    axes = options.LhsContractingDimensionsAsNumpy() if options else 0
    return {"contracting_axes": _read_indices(axes)}


def _make_activation_reader(table: str) -> Callable[[Any], OperatorOptions]:
    def read(operator: Any) -> OperatorOptions:
        options = _read_builtin_options(operator, table)
        return {"activation": options.FusedActivationFunction()} if options else {}

    return read


def _make_callee_reader(table: str, *fields: str) -> Callable[[Any], OperatorOptions]:
    def read(operator: Any) -> OperatorOptions:
        options = _read_builtin_options(operator, table)
        return {"subgraphs": tuple(getattr(options, name)() for name in fields)}

    return read


_OPTION_READERS: Mapping[str, Callable[[Any], OperatorOptions]] = {
    BINARY_CONVOLUTION: _read_convolution_options,
    "BATCH_MATMUL": _read_matmul_options,
    "STABLEHLO_DOT_GENERAL": _read_dot_options,
    **{kind: _make_activation_reader(f"{kind.title()}Options") for kind in ("ADD", "SUB", "MUL")},
    "WHILE": _make_callee_reader("WhileOptions", "CondSubgraphIndex", "BodySubgraphIndex"),
    "STABLEHLO_WHILE": _make_callee_reader(
        "StablehloWhileOptions", "CondSubgraphIndex", "BodySubgraphIndex"
    ),
    "IF": _make_callee_reader("IfOptions", "ThenSubgraphIndex", "ElseSubgraphIndex"),
    "CALL": _make_callee_reader("CallOptions", "Subgraph"),
    "STABLEHLO_COMPOSITE": _make_callee_reader(
        "StableHLOCompositeOptions", "DecompositionSubgraphIndex"
    ),
}


def _read_tensors(graph: Any, indices: Sequence[int]) -> tuple[Tensor, ...]:
    return tuple(_read_tensor(graph.Tensors(index)) for index in indices)


def _read_tensor(tensor: Any) -> Tensor:
    sizes, signature = (
        _read_indices(vector) for vector in (tensor.ShapeAsNumpy(), tensor.ShapeSignatureAsNumpy())
    )
    # The signature has -1 for a dynamic dimension; the shape has 1, or -1 in a few old files.
    dynamic = tuple(
        axis
        for axis, size in enumerate(sizes)
        if size == -1 or (len(signature) == len(sizes) and signature[axis] == -1)
    )
    shape = tuple(1 if size == -1 else size for size in sizes)
    if len(shape) > _MAX_RANK or min(shape, default=0) < 0 or prod(shape) >= _MAX_COUNT:
        raise ValueError(f"the shape {shape}")
    quantization = tensor.Quantization()
    return Tensor(
        _decode_name(tensor.Name()),
        shape,
        dtype=_DTYPES.get(tensor.Type(), "unknown"),
        dynamic=dynamic,
        is_quantized=quantization is not None and quantization.ScaleLength() > 0,
    )


def _read_kind(code: Any) -> str:
    deprecated, current = code.DeprecatedBuiltinCode(), code.BuiltinCode()
    is_placeholder = deprecated == _PLACEHOLDER_CODE
    number = current if is_placeholder else max(deprecated, current)
    if number < 0:
        raise ValueError(f"there is no operator {number}")
    if number == BuiltinOperator.CUSTOM and (custom := code.CustomCode()):
        name = str(custom.decode())
        return f"CUSTOM_{name}" if name in _BUILTIN_NAMES else name
    return str(BUILTIN_OPCODE2NAME.get(number, f"BUILTIN_{number}"))
