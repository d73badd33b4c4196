"""The units that a sweep trains, by the configs that Ray Tune passes to its workers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.core.search import Asha
from harness.core.sweep import Trial
from harness.training.unit import Unit, group_trials

_EPOCH_LIMIT = 1_000_000  # more than any training has
Config = Mapping[str, Any]
CheckpointLoader = Callable[[set[str]], Mapping[str, bytes]]
"""Return the checkpoints of these trainings, by training, where there are any."""


class UnitSource(Protocol):
    """The units that a sweep trains, by the config that Tune passes to a worker."""

    def units_at(self, config: Config) -> tuple[Unit, ...]:
        """Return the units that a worker trains for this config."""
        ...

    def param_space(self) -> dict[str, Any]:
        """Return the `param_space` of `tune.Tuner`."""
        ...


@dataclass(frozen=True)
class FixedUnits:
    """Units that are all known before training starts."""

    units: tuple[Unit, ...]

    def units_at(self, config: Config) -> tuple[Unit, ...]:
        return (self.units[config["index"]],)

    def param_space(self) -> dict[str, Any]:
        from ray import tune

        return {"index": tune.grid_search(list(range(len(self.units))))}


@dataclass(frozen=True)
class SearchedUnits:
    """Units of the points that a search chooses while others train; a config is a point."""

    build_trials: Callable[[Config], Sequence[Trial]]
    checkpoints: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def units_at(self, config: Config) -> tuple[Unit, ...]:
        return group_trials(self.build_trials(config), self.checkpoints)

    def param_space(self) -> dict[str, Any]:
        return {}


def scheduler_settings(asha: Asha | None) -> dict[str, Any]:
    """Return the argument of `tune.TuneConfig` that makes Tune end trials early, if any."""
    if asha is None:
        return {}
    from ray.tune.schedulers import ASHAScheduler

    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric="accuracy",
        mode="max",
        max_t=_EPOCH_LIMIT,
        grace_period=asha.grace_epochs,
        reduction_factor=asha.reduction,
    )
    return {"scheduler": scheduler}
