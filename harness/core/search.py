"""The search of a sweep for its best points."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen

from harness.core.bench import STRICT
from harness.core.key_help import KeyHelp

Number = int | float
Objective = Literal["accuracy", "size"]


@dataclass(frozen=True)
class Range:
    """Numbers to draw from; whole numbers if both ends are whole."""

    low: Annotated[Number, KeyHelp("The smallest value, included.", example=64)]
    high: Annotated[Number, KeyHelp("The largest value, included.", example=512)]
    log: Annotated[bool, KeyHelp("Draw evenly in the logarithm.")] = False
    step: Annotated[
        Annotated[Number, Gt(0)] | None, KeyHelp("The distance between values.", example=64)
    ] = None
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("low must be less than high")
        if self.log and (self.low <= 0 or self.step):
            raise ValueError("a logarithmic range must start above 0 and have no step")
        if self.step and _to_fraction(self.step) > _to_fraction(self.high) - _to_fraction(self.low):
            raise ValueError("step must be at most high - low")
        if (
            self.step
            and isinstance(self.low, int)
            and isinstance(self.high, int)
            and not isinstance(self.step, int)
        ):
            raise ValueError("step must be a whole number if low and high are")

    def count_points(self) -> int:
        """Return the number of points; without a step they are 1 apart."""
        return (
            int((_to_fraction(self.high) - _to_fraction(self.low)) / _to_fraction(self.step or 1))
            + 1
        )

    def point_at(self, number: int) -> Number:
        """Return a point by its number, as people would write it: 0.3, not 0.30000000000000004."""
        step = self.step or 1
        exact = _to_fraction(self.low) + number * _to_fraction(step)
        return int(exact) if isinstance(self.low, int) and isinstance(step, int) else float(exact)


def _to_fraction(number: Number) -> Fraction:
    """Return exactly what the file says, so that 0.3 - 0.2 is 0.1."""
    return Fraction(str(number))


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving (Li et al. 2020).

    After `grace_epochs`, and after each `reduction` times as many, one in `reduction` continues.
    """

    grace_epochs: Annotated[
        int, Ge(1), KeyHelp("How long every trial trains before the first cut.", unit="epochs")
    ] = 1
    reduction: Annotated[
        Number,
        Gt(1),
        KeyHelp(
            "Of this many trials, one survives a cut; the next comes after this many times as long."
        ),
    ] = 3
    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Search:
    """The way in which a sweep looks for its best points."""

    method: Annotated[
        Literal["grid", "random", "optuna"],
        KeyHelp("`grid` tries every point of the file; the others choose points of `space`."),
    ] = "grid"
    trials: Annotated[
        Annotated[int, Ge(1)] | None,
        KeyHelp(
            "How many points are tried; each is a trial of every precision and seed.",
            unit="points",
            example=24,
        ),
    ] = None
    space: Annotated[
        Annotated[Mapping[str, Annotated[tuple[Any, ...], MinLen(1)] | Range], MinLen(1)] | None,
        KeyHelp(
            "For each swept key, its choices or its range.",
            example={"model.units": {"low": 64, "high": 512, "step": 64}},
        ),
    ] = None
    objectives: Annotated[
        tuple[Objective, ...],
        MinLen(1),
        KeyHelp(
            "What makes a point good, averaged over its precisions and seeds: "
            "a high validation accuracy, a small artifact.",
            example=["accuracy", "size"],
        ),
    ] = ("accuracy",)
    seed: Annotated[int, Ge(0), Lt(2**32), KeyHelp("The seed by which points are drawn.")] = 0
    budget_s: Annotated[
        Annotated[float, Gt(0)] | None,
        KeyHelp("The time after which nothing is started or continued.", unit="s", example=7200),
    ] = None
    asha: Annotated[
        Asha | None,
        KeyHelp(
            "Ends trials that others outperform: asynchronous successive halving.",
            example={"grace_epochs": 2, "reduction": 3},
        ),
    ] = None
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        sampled = self.method != "grid"
        if sampled != (self.space is not None) or sampled != (self.trials is not None):
            raise ValueError("random and optuna need both trials and space; grid takes neither")
        if any(key.split(".")[0] == "seeds" for key in self.space or {}):
            raise ValueError(
                "seeds can't be searched, since the luckiest would win; list them in seeds"
            )
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives has a repeated name; list each once")
        if self.asha and self.objectives != ("accuracy",):
            raise ValueError(
                "asha compares accuracy only; remove size from objectives, or remove asha"
            )
