"""The inputs that a model is measured with: sizes that it leaves open, ranges and values."""

import io
import math
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.conversion.anatomy import Graph, Shape, Tensor, read_graphs
from harness.core.bench import ModelInput
from harness.core.errors import RequestError
from harness.core.ids import sha256_of

_SHAPE_OPTION, _RANGE_OPTION, _FILE_OPTION = "--input-shape", "--input-range", "--input-file"
_EXAMPLES = {
    _SHAPE_OPTION: "NAME:SIZES, such as image:1,224,224,3",
    _RANGE_OPTION: "NAME:LOW,HIGH, such as words:0,99",
    _FILE_OPTION: "NAME:FILE, such as words:words.npy",
}
_NUMPY_MAGIC = b"\x93NUMPY"
_MAX_SIZE = 2**31 - 1
_MAX_ELEMENTS = 2**31
_MAX_FILE_BYTES = 2**31
_MAX_RANK = 16
_EXAMPLE_IMAGE, _EXAMPLE_LENGTH = 224, 128
Bounds = tuple[int, int]
InputValues: TypeAlias = NDArray[Any]
# The operand of an operator that looks rows up in it: their number is its first size.
_TABLE_OPERANDS = {"GATHER": 0, "GATHER_ND": 0, "EMBEDDING_LOOKUP": 1}
_EXAMPLE_ROWS = 100
_INDEX_TYPES = ("int32", "int64")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,10}")


@dataclass(frozen=True)
class InputChoices:
    """The shapes, ranges and files of values that a user chose, by the inputs' names."""

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        return {*self.shapes, *self.ranges, *self.files}

    def rename(self, names: Mapping[str, str]) -> "InputChoices":
        """Return the choices with these new names by their old ones.

        Raises RequestError if an input then has two choices of a kind, or a range and a file.
        """
        choices = InputChoices(
            _rename(_SHAPE_OPTION, self.shapes, names=names),
            _rename(_RANGE_OPTION, self.ranges, names=names),
            files=_rename(_FILE_OPTION, self.files, names=names),
        )
        for name in sorted(choices.ranges.keys() & choices.files.keys()):
            raise RequestError(
                f"the input {name} has {_RANGE_OPTION} and {_FILE_OPTION}; remove one of them."
            )
        return choices


def _rename(option: str, choices: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, choice in choices.items():
        new_name = names.get(name, name)
        if new_name in renamed:
            raise RequestError(f"the input {new_name} has {option} under two names; keep one.")
        renamed[new_name] = choice
    return renamed


def parse_choices(
    shapes: Sequence[str], ranges: Sequence[str], files: Sequence[str] = ()
) -> InputChoices:
    """Parse `NAME:1,224,224,3`, `NAME:0,99` and `NAME:FILE`.

    A name may hold colons, a file may not. Raises RequestError.
    """
    choices = InputChoices(
        _parse_all(_SHAPE_OPTION, shapes, parse=_parse_shape),
        _parse_all(_RANGE_OPTION, ranges, parse=_parse_range),
        files=_parse_all(_FILE_OPTION, files, parse=_parse_file),
    )
    return choices.rename({})


def _parse_all(option: str, texts: Sequence[str], parse: Any) -> dict[str, Any]:
    choices: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.rpartition(":")
        if not name:
            raise RequestError(f"{option} {text}: write {_EXAMPLES[option]}.")
        if name in choices:
            raise RequestError(f"{option} {text}: the input {name} has two of them; keep one.")
        choices[name] = parse(f"{option} {text}", value)
    return choices


def _parse_shape(request: str, text: str) -> Shape:
    sizes = text.split(",")
    if len(sizes) > _MAX_RANK or not all(_is_size(size) for size in sizes):
        raise RequestError(f"{request}: give whole numbers from 1, such as 1,224,224,3.")
    shape = tuple(map(int, sizes))
    if math.prod(shape) > _MAX_ELEMENTS:
        raise RequestError(f"{request}: is {math.prod(shape):,} values; give a smaller shape.")
    return shape


def _is_size(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= _MAX_SIZE


def _parse_range(request: str, text: str) -> Bounds:
    values = [value.strip() for value in text.split(",")]
    if len(values) != 2 or not all(map(_WHOLE_NUMBER.fullmatch, values)):
        raise RequestError(f"{request}: give the least and the largest whole number, as 0,99.")
    low, high = map(int, values)
    if low > high:
        raise RequestError(f"{request}: the least value comes first.")
    return low, high


def _parse_file(request: str, text: str) -> Path:
    if not text or "\0" in text:
        raise RequestError(f"{request}: give the path of a file, such as words:words.npy.")
    return Path(text)


def read_values(
    model: str, tensors: Sequence[Tensor], choices: InputChoices
) -> dict[str, InputValues]:
    """Return the values of each input of a model that has a file, by the input's name.

    A file that numpy saved has their shape. Any other file has the raw values, little-endian, of
    the shape that was chosen. Raises RequestError if a file can't be read or does not fit.
    """
    return {
        tensor.name: _read_values(model, tensor, choices=choices)
        for tensor in tensors
        if tensor.name in choices.files
    }


def _read_values(model: str, tensor: Tensor, choices: InputChoices) -> InputValues:
    file = choices.files[tensor.name]
    try:
        dtype = np.dtype(tensor.dtype).newbyteorder("<")
    except TypeError as error:
        raise RequestError(
            f"{model}: its input {tensor.name} is {tensor.dtype}, "
            f"which takes no file; remove its {_FILE_OPTION}."
        ) from error
    content = _read_file(file)
    if content.startswith(_NUMPY_MAGIC):
        return _read_array(file, content, dtype=dtype)
    shape = choices.shapes.get(tensor.name)
    if shape is None:
        _check_size(model, tensor)
        shape = tensor.shape
    size = math.prod(shape) * dtype.itemsize
    if len(content) != size:
        raise RequestError(
            f"{file}: has {len(content)} bytes, but the input {tensor.name} has {size} "
            f"({_join(shape)} of {tensor.dtype}); give another file."
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _read_file(file: Path) -> bytes:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE_BYTES:
            raise RequestError(f"{file}: is not a file of at most 2 GiB; check the path.")
        return file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file}: can't be read: {error.strerror}; check the path.") from error


def _read_array(file: Path, content: bytes, dtype: np.dtype[Any]) -> InputValues:
    try:
        values: InputValues = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # numpy lets those of Python's tokenizer and parser pass
        raise RequestError(
            f"{file}: is damaged or has objects; save it with numpy again."
        ) from error
    if values.dtype.newbyteorder("<") != dtype:
        raise RequestError(f"{file}: has {values.dtype}, not {dtype.name}; convert its values.")
    return values.astype(dtype)


def choose_inputs(
    model: str,
    tensors: Sequence[Tensor],
    choices: InputChoices,
    values: Mapping[str, InputValues] = MappingProxyType({}),
) -> tuple[ModelInput, ...]:
    """Return what to feed to a model with these inputs; none if the tool's own choice will do.

    `model` names it in errors, and `values` are those of the files. Raises RequestError if the
    model leaves a size open that nothing gives, or if a choice does not fit.
    """
    inputs = tuple(
        _choose(model, tensor, choices=choices, values=values.get(tensor.name))
        for tensor in tensors
    )
    names = {tensor.name for tensor in tensors}
    return inputs if names & choices.names else ()


def _choose(
    model: str, tensor: Tensor, choices: InputChoices, values: InputValues | None
) -> ModelInput:
    shape = choices.shapes.get(tensor.name)
    if values is not None:
        if shape not in (None, values.shape):
            raise RequestError(
                f"{choices.files[tensor.name]}: is {_join(values.shape)}, "
                f"not {_join(shape)}; remove {_SHAPE_OPTION}."
            )
        shape = values.shape
    if shape is None:
        _check_size(model, tensor)
    else:
        option = _SHAPE_OPTION if values is None else _FILE_OPTION
        _check_shape(model, tensor, shape=shape, option=option)
    low, high = choices.ranges.get(tensor.name, (None, None))
    if low is not None and high is not None:
        _check_range(model, tensor, low=low, high=high)
    return ModelInput(
        tensor.name,
        tensor.shape if shape is None else shape,
        low=low,
        high=high,
        values="" if values is None else sha256_of(values.tobytes()),
        resized=shape not in (None, tensor.shape),
    )


def suggest_ranges(flatbuffer: bytes, chosen: Sequence[ModelInput] = ()) -> str:
    """Return how to keep indices in the model's smallest table; empty without indices.

    `chosen` are the inputs that were fed. Raises ValueError as `read_anatomy` does.
    """
    graphs = read_graphs(flatbuffer)
    tensors = [graphs[0].tensors[index] for index in graphs[0].inputs]
    names = [tensor.name for tensor in tensors if tensor.dtype in _INDEX_TYPES]
    rows = min(chain.from_iterable(map(_count_rows, graphs)), default=_EXAMPLE_ROWS)
    with_file = {entry.name for entry in chosen if entry.values}
    if with_file.intersection(names):
        return f"keep the values in the file from 0 to {rows - 1}, if those are its table's rows"
    options = " ".join(f"{_RANGE_OPTION} {name}:0,{rows - 1}" for name in names)
    return options and f"give {options}, or the range that its values have"


def _count_rows(graph: Graph) -> list[int]:
    """Return the number of rows of each table that this graph looks up."""
    tables = [
        graph.tensors[operator.inputs[_TABLE_OPERANDS[operator.kind]]]
        for operator in graph.operators
        if operator.kind in _TABLE_OPERANDS and len(operator.inputs) > 1
    ]
    return [table.shape[0] for table in tables if table.shape and not table.dynamic]


def _open_axes(tensor: Tensor) -> list[int]:
    """Return the dynamic axes, without the batch, which is measured with one image."""
    batch = 0 if len(tensor.shape) > 1 else None
    return [axis for axis in tensor.dynamic if axis != batch]


def _format(tensor: Tensor) -> str:
    sizes = ["?" if axis in tensor.dynamic else str(size) for axis, size in enumerate(tensor.shape)]
    return " × ".join(sizes) or "a single value"


def _join(shape: Shape) -> str:
    return ",".join(map(str, shape)) or "a single value"


def _example(tensor: Tensor) -> str:
    size = _EXAMPLE_IMAGE if len(tensor.shape) == 4 else _EXAMPLE_LENGTH
    open_axes = _open_axes(tensor)
    return ",".join(
        str(size if axis in open_axes else fixed) for axis, fixed in enumerate(tensor.shape)
    )


def _check_size(model: str, tensor: Tensor) -> None:
    if _open_axes(tensor):
        raise RequestError(
            f"{model}: its input {tensor.name} has no fixed size ({_format(tensor)}); "
            f"add {_SHAPE_OPTION} {tensor.name}:{_example(tensor)}, with the size to measure."
        )


def _check_shape(model: str, tensor: Tensor, shape: Shape, option: str) -> None:
    fits = len(shape) == len(tensor.shape) and all(
        axis in tensor.dynamic or size == fixed
        for axis, (size, fixed) in enumerate(zip(shape, tensor.shape, strict=False))
    )
    if not fits:
        raise RequestError(
            f"{model}: its input {tensor.name} is {_format(tensor)}, "
            f"which {_join(shape)} does not fit; change {option}."
        )


def _check_range(model: str, tensor: Tensor, low: int, high: int) -> None:
    problem = f"{model}: its input {tensor.name} is {tensor.dtype}, which "
    try:
        dtype = np.dtype(tensor.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiu":
        raise RequestError(f"{problem}has no range; remove its {_RANGE_OPTION}.")
    bounds = np.iinfo(dtype) if dtype.kind in "iu" else np.iinfo(np.int32)
    least, most = max(bounds.min, -_MAX_SIZE), min(bounds.max, _MAX_SIZE)
    if not least <= low <= high <= most:
        raise RequestError(
            f"{problem}may have whole numbers from {least} to {most} as its range; "
            f"change {_RANGE_OPTION}."
        )
