"""The search of a sweep for its best points."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from harness.core.bench import MAX_THREADS, STRICT
from harness.core.key_help import KeyHelp
from harness.core.units import count_noun, format_bytes, format_percent, format_uj, format_us

Number = int | float
Metric = Literal["accuracy", "size", "latency", "energy", "memory"]
LimitedMetric = Literal["latency", "energy", "memory", "size"]
DEVICE_METRICS: tuple[Metric, ...] = ("latency", "energy", "memory")
"""The metrics that a device measures; the harness knows the others after a training."""

_ON = KeyHelp(
    "The device that measures the metric: its id, or a tag, whose worst device counts.",
    example="pi4",
)
_THREADS = KeyHelp(
    "The tool's threads, one of `bench.threads`; needed only if that has several.",
    unit="threads",
    example=4,
)


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


def format_metric(metric: Metric, value: float) -> str:
    """Return a value in its column's unit (0 to 1, bytes, µs, µJ) as people read it."""
    match metric:
        case "accuracy":
            return format_percent(value)
        case "latency":
            return format_us(value)
        case "energy":
            return format_uj(value)
        case "size" | "memory":
            return format_bytes(round(value))


def describe_point(values: Mapping[str, Any]) -> str:
    """Return the values of a point as people read them, such as `model.units=128`."""
    words = []
    for key, value in values.items():
        text = f"{value:.4g}" if isinstance(value, float) else value
        words.append(f"{key}={text}")
    return " ".join(words)


@dataclass(frozen=True)
class Objective:
    """A metric that makes a point good: accuracy by being high, any other by being low.

    Its text is its name in messages, in tables and in Ray Tune's results.
    """

    metric: Annotated[Metric, KeyHelp("What is compared.", example="latency")]
    on: Annotated[Annotated[str, MinLen(1)] | None, _ON] = None
    threads: Annotated[Annotated[int, Ge(1), Le(MAX_THREADS)] | None, _THREADS] = None
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        _check_device(self)

    def __str__(self) -> str:
        return name_metric(self)


@dataclass(frozen=True)
class Constraint:
    """A limit that a point must keep; without `on` it is one for the artifact's size.

    `at_most` is in the unit of the metric's column: µs, µJ or bytes.
    """

    metric: Annotated[LimitedMetric, KeyHelp("What is limited.", example="latency")]
    at_most: Annotated[
        float,
        Gt(0),
        KeyHelp("The largest value that is allowed, with its unit.", example="5 ms"),
    ]
    on: Annotated[Annotated[str, MinLen(1)] | None, _ON] = None
    threads: Annotated[Annotated[int, Ge(1), Le(MAX_THREADS)] | None, _THREADS] = None
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        _check_device(self)

    def __str__(self) -> str:
        return f"{name_metric(self)}, at most {format_metric(self.metric, self.at_most)}"


SearchMetric = Objective | Constraint


def is_of_device(metric: SearchMetric) -> bool:
    """Return whether a device measures the metric."""
    return metric.metric in DEVICE_METRICS


def _check_device(metric: SearchMetric) -> None:
    if is_of_device(metric) and metric.on is None:
        raise ValueError(f"{metric.metric} is measured on a device; add its id or tag as on")
    if not is_of_device(metric) and (metric.on is not None or metric.threads is not None):
        raise ValueError(f"{metric.metric} is the same on all devices; remove on and threads")


def name_metric(metric: SearchMetric) -> str:
    """Return such as `latency on pi4 with 2 threads`."""
    place = "" if metric.on is None else f" on {metric.on}"
    threads = "" if metric.threads is None else f" with {count_noun(metric.threads, 'thread')}"
    return f"{metric.metric}{place}{threads}"


ACCURACY = Objective("accuracy")
MAX_WAITING = 10
"""As many as Optuna draws at random before it learns: so few do not make a search blind."""


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
            "a high validation accuracy, a small artifact, little of a device's metric.",
            example=["accuracy", {"metric": "latency", "on": "pi4"}],
        ),
    ] = (ACCURACY,)
    constraints: Annotated[
        tuple[Constraint, ...],
        KeyHelp(
            "Limits that a point must keep, whatever its objectives.",
            example=[{"metric": "latency", "on": "phones", "at_most": "5 ms"}],
        ),
    ] = ()
    max_waiting: Annotated[
        int,
        Ge(1),
        KeyHelp(
            "The most points that wait for devices; the search proposes no more until one has "
            "been measured.",
            unit="points",
        ),
    ] = MAX_WAITING
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
        if self.asha and self.objectives != (ACCURACY,):
            raise ValueError(
                "asha compares accuracy only; remove the other objectives, or remove asha"
            )
        if self.method != "optuna" and any(map(is_of_device, self.objectives)):
            raise ValueError(
                f"{self.method} tries all its points; move the devices' objectives to constraints, "
                "or set method to optuna"
            )

    @property
    def device_metrics(self) -> tuple[SearchMetric, ...]:
        """The objectives and constraints that devices measure."""
        return tuple(filter(is_of_device, (*self.objectives, *self.constraints)))
