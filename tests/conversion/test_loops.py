"""The runs of subgraphs that loops and calls reach, for graphs that no converter writes today."""

import numpy as np
import pytest

from harness.conversion.anatomy import Graph, Operator, Tensor
from harness.conversion.loops import count_runs

NOTHING = Graph((), (), constants={})


def operator(kind: str, inputs: tuple[int, ...], output: int, *subgraphs: int) -> Operator:
    return Operator(kind, inputs, outputs=(output,), options={"subgraphs": subgraphs}, macs=None)


def graph(dtype: str, *operators: Operator, constants: dict[int, int]) -> Graph:
    """Return a graph of 3 scalars, with the first as its input and the last as its output."""
    contents = {
        index: np.frombuffer(np.array(value, dtype).tobytes(), np.uint8)
        for index, value in constants.items()
    }
    tensors = tuple(Tensor(str(index), (), dtype=dtype) for index in range(3))
    return Graph(tensors, operators, constants=contents, inputs=(0,), outputs=(2,))


@pytest.mark.parametrize(
    ("dtype", "runs"),
    [
        *(("int32", (1, 5, 4)), ("int64", (1, 5, 4))),
        # An operator of quantized numbers also multiplies by their scales.
        *(("int8", (1, None, None)), ("uint8", (1, None, None)), ("int16", (1, None, None))),
        *(("uint32", (1, None, None)), ("float32", (1, None, None))),
    ],
)
def test_a_loop_is_followed_where_its_numbers_are_plain(
    dtype: str, runs: tuple[int | None, ...]
) -> None:
    """The counter starts at 0 and grows by 2 while it is less than 7."""
    main = graph(dtype, operator("WHILE", (1,), 2, 1, 2), constants={1: 0})
    condition = graph(dtype, operator("LESS", (0, 1), 2), constants={1: 7})
    body = graph(dtype, operator("ADD", (0, 1), 2), constants={1: 2})
    assert count_runs([main, condition, body]) == runs


def test_a_subgraph_that_is_called_twice_runs_twice() -> None:
    calls = [operator("CALL", (0,), 1, 1), operator("CALL", (1,), 2, 1)]
    main = graph("float32", *calls, constants={})
    nested = graph("float32", operator("CALL", (0,), 2, 2), constants={})
    assert count_runs([main, nested, NOTHING]) == (1, 2, 2)
