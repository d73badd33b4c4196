"""The runs of each subgraph in one inference of a model: loops, branches and calls.

A loop is followed with the scalars that are known from the file, such as a counter and its limit.
"""

import operator as python
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from harness.conversion.anatomy import Graph, Operator

# An evaluation takes several microseconds; all loops of a model share this many.
_MAX_EVALUATIONS = 50_000
_MAX_SCALAR = 2**31  # beyond it, 32-bit counters wrap around
# Floats would be rounded differently. Smaller integers are quantized, or wrap around.
_NUMBERS = {"int32", "int64", "bool"}
_LOOPS = {"WHILE", "STABLEHLO_WHILE"}
_EVALUATORS: Mapping[str, Callable[..., Any]] = {
    "ADD": python.add,
    "SUB": python.sub,
    "MUL": python.mul,
    "MINIMUM": min,
    "MAXIMUM": max,
    "NEG": python.neg,
    "LESS": python.lt,
    "LESS_EQUAL": python.le,
    "GREATER": python.gt,
    "GREATER_EQUAL": python.ge,
    "EQUAL": python.eq,
    "NOT_EQUAL": python.ne,
    "LOGICAL_AND": lambda left, right: left and right,
    "LOGICAL_OR": lambda left, right: left or right,
    "LOGICAL_NOT": python.not_,
    "RESHAPE": lambda value, *_: value,
    "SQUEEZE": lambda value: value,
    "EXPAND_DIMS": lambda value, *_: value,
}
_FIRST_OPERAND_ONLY = {"RESHAPE", "EXPAND_DIMS"}  # the others are a shape and an axis
Scalars = Mapping[int, Any]  # by tensor


def count_runs(graphs: Sequence["Graph"]) -> tuple[int | None, ...]:
    """Return the runs of each subgraph in one inference of the first; None if unknown.

    A subgraph that is never called has 0. Raises ValueError if subgraphs call each other in a
    circle or do not exist.
    """
    loops = sum(_count_loops(graph) for graph in graphs)
    runs: list[int | None] = [1, *[0] * (len(graphs) - 1)]
    for index in order_by_calls(graphs):
        graph = graphs[index]
        for step in graph.operators:
            for callee, times in _count_calls(graphs, graph, step=step, loops=loops):
                runs[callee] = _add(runs[callee], _multiply(runs[index], times))
    return tuple(runs)


def _count_loops(graph: "Graph") -> int:
    return sum(step.kind in _LOOPS for step in graph.operators)


def list_callees(step: "Operator") -> tuple[int, ...]:
    """Return the subgraphs that an operator runs in each inference."""
    return tuple(step.options.get("subgraphs", ()))


def order_by_calls(graphs: Sequence["Graph"]) -> list[int]:
    """Return the first subgraph and those that it reaches, each before those that it calls."""
    callees: dict[int, list[int]] = {}
    callers: dict[int, int] = {}
    pending = [0]
    while pending:
        index = pending.pop()
        if index in callees:
            continue
        callees[index] = []
        for step in graphs[index].operators:
            callees[index] += list_callees(step)
        for callee in callees[index]:
            if not 0 <= callee < len(graphs):
                raise ValueError(f"there is no subgraph {callee}")
            callers[callee] = callers.get(callee, 0) + 1
            pending.append(callee)
    order, ready = [], [0] if not callers.get(0) else []
    while ready:
        order.append(index := ready.pop())
        for callee in callees[index]:
            callers[callee] -= 1
            if not callers[callee]:
                ready.append(callee)
    if len(order) < len(callees):
        raise ValueError("subgraphs call each other in a circle")
    return order


def _count_calls(
    graphs: Sequence["Graph"], graph: "Graph", step: "Operator", loops: int
) -> list[tuple[int, int | None]]:
    callees = list_callees(step)
    if step.kind in _LOOPS:
        condition, body = callees
        trips = _count_trips(graphs, graph, loop=step, budget=_MAX_EVALUATIONS // loops)
        return [(condition, None if trips is None else trips + 1), (body, trips)]
    if step.kind == "IF":
        chosen = _read_scalar(graph, step.inputs[0])
        if chosen is None:
            return [(callee, None) for callee in callees]
        return [(callees[0 if chosen else 1], 1)]
    return [(callee, 1) for callee in callees]


def _count_trips(
    graphs: Sequence["Graph"], graph: "Graph", loop: "Operator", budget: int
) -> int | None:
    """Return how often the loop runs its body, or None if scalars of the file do not tell."""
    condition, body = (graphs[index] for index in list_callees(loop))
    states = _find_states(condition, body)
    if _changes_shapes(body):
        return None
    if len(condition.outputs) != 1 or states is None or max(states, default=0) >= len(loop.inputs):
        return None
    values = {state: _read_scalar(graph, loop.inputs[state]) for state in states}
    test = _Program(condition, condition.outputs)
    step = _Program(body, [body.outputs[state] for state in states])
    limit = budget // (len(test.steps) + len(step.steps) + 1)
    for trips in range(limit):
        (goes_on,) = test.run({condition.inputs[state]: values[state] for state in states})
        if goes_on is None:
            return None
        if not goes_on:
            return trips
        results = step.run({body.inputs[state]: values[state] for state in states})
        values = dict(zip(states, results, strict=True))
    return None


def _changes_shapes(body: "Graph") -> bool:
    """Return whether a variable may have another shape in the next trip, and so other work."""
    for before, after in zip(body.inputs, body.outputs, strict=False):
        first, last = body.tensors[before], body.tensors[after]
        if first.shape != last.shape or first.dynamic or last.dynamic:
            return True
    return False


def _find_states(condition: "Graph", body: "Graph") -> list[int] | None:
    """Return the loop's variables on which the condition depends, also by way of the body."""
    if not len(condition.inputs) == len(body.inputs) == len(body.outputs):
        return None
    states = _Program(condition, condition.outputs).reads
    while True:
        read = _Program(body, [body.outputs[state] for state in states]).reads
        if read <= states:
            return sorted(states)
        states = states | read


class _Program:
    """The operators of a graph that some of its tensors depend on."""

    def __init__(self, graph: "Graph", results: Sequence[int]) -> None:
        needed, steps = set(results), []
        for step in reversed(graph.operators):
            if needed.intersection(step.outputs):
                steps.append(step)
                needed.update(step.inputs)
        self.steps = tuple(reversed(steps))
        self.reads = {place for place, tensor in enumerate(graph.inputs) if tensor in needed}
        self._results = tuple(results)
        self._constants = {
            tensor: value for tensor in needed if (value := _read_scalar(graph, tensor)) is not None
        }

    def run(self, values: Scalars) -> list[Any]:
        """Return the results, None where unknown."""
        scalars = {**self._constants, **values}
        for step in self.steps:
            scalars.update(dict.fromkeys(step.outputs, _evaluate(step, scalars)))
        return [scalars.get(tensor) for tensor in self._results]


def _evaluate(step: "Operator", scalars: Scalars) -> Any:
    evaluate = _EVALUATORS.get(step.kind)
    tensors = step.inputs[:1] if step.kind in _FIRST_OPERAND_ONLY else step.inputs
    operands = [scalars.get(tensor) for tensor in tensors]
    if evaluate is None or step.options.get("activation") or None in operands:
        return None
    result = evaluate(*operands)
    return result if abs(result) < _MAX_SCALAR else None


def _read_scalar(graph: "Graph", tensor: int) -> Any:
    """Return the value of a constant with one element, else None."""
    content = graph.constants.get(tensor)
    dtype = graph.tensors[tensor].dtype if content is not None else ""
    if content is None or dtype not in _NUMBERS or content.nbytes != np.dtype(dtype).itemsize:
        return None
    return content.view(dtype)[0].item()


def _add(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right


def _multiply(left: int | None, right: int | None) -> int | None:
    if 0 in (left, right):
        return 0
    return None if left is None or right is None else left * right
