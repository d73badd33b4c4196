"""The sizes of tensors that follow from a batch of 1, or are unknown."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.conversion.anatomy import Graph, Operator, Tensor
from harness.conversion.shapes import resolve_shapes
from harness.conversion.work import Sizes

BATCH = (0,)
IMAGE = Tensor("image", (1, 8), dtype="float32", dynamic=BATCH)


@pytest.mark.parametrize(
    ("kind", "paddings", "batch"),
    [
        ("PAD", [[0, 0], [1, 1]], 1),
        ("PADV2", [[0, 0], [0, 9]], 1),
        ("MIRROR_PAD", [[0, 0], [3, 3]], 1),
        ("PAD", [[1, 1], [0, 0]], None),
        ("MIRROR_PAD", [[0, 2], [1, 1]], None),
        ("PAD", None, None),
    ],
)
def test_padding_keeps_the_batch_if_it_adds_none_to_it(
    kind: str, paddings: Sequence[Sequence[int]] | None, batch: int | None
) -> None:
    constants = {} if paddings is None else {1: np.array(paddings, np.int32).view(np.uint8)}
    output = Tensor("output", (1, 10), dtype="float32", dynamic=BATCH)
    tensors = (IMAGE, Tensor("paddings", (2, 2), dtype="int32"), output)
    assert resolve(kind, (0, 1), tensors=tensors, constants=constants) == (batch, 10)


@pytest.mark.parametrize(("sizes", "batch"), [((1, 4), 1), ((1, 8), None)])
@pytest.mark.parametrize(("kind", "inputs"), [("SPLIT", (1, 0)), ("SPLIT_V", (0, 1, 1))])
def test_a_part_keeps_the_batch_if_another_axis_is_split(
    kind: str, inputs: tuple[int, ...], sizes: tuple[int, int], batch: int | None
) -> None:
    output = Tensor("part", sizes, dtype="float32", dynamic=BATCH)
    tensors = (IMAGE, Tensor("axis", (), dtype="int32"), output)
    assert resolve(kind, inputs, tensors=tensors) == (batch, sizes[1])


def resolve(
    kind: str,
    inputs: tuple[int, ...],
    tensors: tuple[Tensor, ...],
    constants: dict[int, NDArray[np.uint8]] | None = None,
) -> Sizes:
    """Return the sizes of the last tensor, the output of the graph's only operator."""
    step = Operator(kind, inputs, outputs=(2,), options={}, macs=None)
    graph = Graph(tensors, (step,), constants=constants or {}, inputs=(0,), outputs=(2,))
    return resolve_shapes([graph], [0])[0][2]
