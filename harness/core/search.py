"""How a sweep looks for its best points."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen

from harness.core.bench import STRICT

Number = int | float
Objective = Literal["accuracy", "size"]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: whole ones where both are.

    By `step` where there is one; evenly in their logarithm where `log`.
    """

    low: Number
    high: Number
    log: bool = False
    step: Annotated[Number, Gt(0)] | None = None
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("low has to be under high")
        if self.log and (self.low <= 0 or self.step):
            raise ValueError("a logarithmic range starts above 0 and has no step")
        if self.step and _written(self.step) > _written(self.high) - _written(self.low):
            raise ValueError("step has to be at most high - low")
        if (
            self.step
            and isinstance(self.low, int)
            and isinstance(self.high, int)
            and not isinstance(self.step, int)
        ):
            raise ValueError("step has to be whole where low and high are")

    def count_points(self) -> int:
        """How many its steps make, which go by 1 where there is no step."""
        return int((_written(self.high) - _written(self.low)) / _written(self.step or 1)) + 1

    def point_at(self, number: int) -> Number:
        """As people would write it: 0.3, and not 0.30000000000000004."""
        step = self.step or 1
        exact = _written(self.low) + number * _written(step)
        return int(exact) if isinstance(self.low, int) and isinstance(step, int) else float(exact)


def _written(number: Number) -> Fraction:
    """Exactly what the file says: 0.3 - 0.2 is no less than 0.1."""
    return Fraction(str(number))


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving (Li et al. 2020).

    After `grace_epochs`, and after every `reduction` times as many, only the best in `reduction` go on.
    """

    grace_epochs: Annotated[int, Ge(1)] = 1
    reduction: Annotated[Number, Gt(1)] = 3
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Search:
    """How a sweep looks for its best points.

    `grid` tries every point of the file. `random` and `optuna` try `trials` points of `space`, which has a list of
    choices or a Range for each key. Objectives are means over a point's precisions and seeds: the validation accuracy,
    as high as can be, and the artifact's size. After `budget_s` seconds nothing is begun or gone on with.
    """

    method: Literal["grid", "random", "optuna"] = "grid"
    trials: Annotated[int, Ge(1)] | None = None
    space: (
        Annotated[Mapping[str, Annotated[tuple[Any, ...], MinLen(1)] | Range], MinLen(1)] | None
    ) = None
    objectives: Annotated[tuple[Objective, ...], MinLen(1)] = ("accuracy",)
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0
    budget_s: Annotated[float, Gt(0)] | None = None
    asha: Asha | None = None
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        sampled = self.method != "grid"
        if sampled != (self.space is not None) or sampled != (self.trials is not None):
            raise ValueError("random and optuna need trials and a space, and grid takes neither")
        if any(key.split(".")[0] == "seeds" for key in self.space or {}):
            raise ValueError(
                "seeds can't be searched, or one would be chosen for its luck; list them in seeds"
            )
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives names one twice; name each once")
        if self.asha and self.objectives != ("accuracy",):
            raise ValueError(
                "asha looks at accuracy alone; take size out of objectives, or leave asha out"
            )
