"""Forms: what the latency of a network depends on, whatever its weights are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from harness.core.ids import content_id, to_plain
from harness.core.sweep import Precision, Trial


class FormTask(NamedTuple):
    """The task of a form: images of `shape` (height, width, channels), classes and precision."""

    shape: tuple[int, int, int]
    classes: int
    precision: Precision


@dataclass(frozen=True)
class Form:
    """A network without its weights, and the converter that makes its artifact.

    Trials that differ only in their recipe, their seed or the content of their data share a form.
    The same network at another precision is another form. `parameters` are all of the
    architecture's; only `chosen`, which differ from its defaults, enter the id. `converter` is a
    name with a version. `task` is None for a user's function that takes none.
    """

    architecture: str
    parameters: Mapping[str, Any]
    chosen: Mapping[str, Any]
    converter: str
    task: FormTask | None = None

    @classmethod
    def of_trial(
        cls, trial: Trial, shape: tuple[int, int, int], classes: int, converter: str
    ) -> "Form":
        """Return the form of a trial whose images have this shape, and these classes."""
        return cls(
            trial.architecture,
            trial.parameters,
            chosen=trial.chosen,
            converter=converter,
            task=FormTask(shape, classes, precision=trial.precision),
        )

    @cached_property
    def id(self) -> str:
        content = {
            "model": {"name": self.architecture, **to_plain(self.chosen)},
            "converter": self.converter,
        }
        if self.task:
            content["task"] = {
                "shape": list(self.task.shape),
                "classes": self.task.classes,
                "precision": self.task.precision.value,
            }
        return content_id(content)

    def __str__(self) -> str:
        """Return `mlp units=64 binary 28x28x1 to 10, untrained`: the name of its artifact."""
        words = [self.architecture, *(f"{key}={value}" for key, value in self.chosen.items())]
        if self.task:
            size = "x".join(map(str, self.task.shape))
            words += [str(self.task.precision), size, "to", str(self.task.classes)]
        return f"{' '.join(words)}, untrained"


@dataclass(frozen=True)
class Latency:
    """A measured latency with its 95 % interval, which is unknown after a single run; µs."""

    value_us: float
    low_us: float | None
    high_us: float | None


@dataclass(frozen=True)
class SecondLook:
    """A trained network's latency on a device, and what its untrained form had led to expect."""

    form: str
    architecture: str
    device: str
    threads: int
    untrained: Latency
    trained: Latency
    same_operators: bool

    @property
    def change(self) -> float:
        """The trained latency over the untrained one, minus 1; 0.02 is 2 % slower."""
        return self.trained.value_us / self.untrained.value_us - 1


NOISE = 0.05
"""The change, as a share of 1, that a device's own drift may cause between two batches.

The canary may change by as much without a warning (`harness/bench/quality.py`).
"""


def find_wrong_looks(looks: Iterable[SecondLook]) -> list[SecondLook]:
    """Return the looks that show that the untrained network misled.

    The trained one has other operators, or its interval lies wholly more than `NOISE` beyond the
    untrained one's. Without both intervals, the latencies themselves are compared.
    """
    return [look for look in looks if not look.same_operators or _differs(look)]


def _differs(look: SecondLook) -> bool:
    first_low, first_high = _bounds(look.untrained)
    second_low, second_high = _bounds(look.trained)
    return second_low > (1 + NOISE) * first_high or first_low > (1 + NOISE) * second_high


def _bounds(latency: Latency) -> tuple[float, float]:
    if latency.low_us is None or latency.high_us is None:
        return latency.value_us, latency.value_us
    return latency.low_us, latency.high_us
