"""The units that a sweep trains, and a sweep's search as settings of Ray Tune.

The settings say what to try, in which order, and what to end early.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal, NamedTuple, Protocol

from harness.core.recipe import Recipe
from harness.core.search import Asha, Metric, Range, Search
from harness.core.sweep import Epoch, Trial, validation_accuracy
from harness.training.unit import Unit, group_trials

_DIRECTIONS: dict[Metric, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "size": "minimize",
}
_STUDY = "search"
_EPOCH_LIMIT = 1_000_000  # more than any training has
Config = Mapping[str, Any]


class TrialResult(NamedTuple):
    """The part of a trial's outcome from which a search computes its objectives."""

    recipe: Recipe
    curve: Sequence[Epoch]
    size_bytes: int


class UnitSource(Protocol):
    """The units that a sweep trains, by the config that Tune passes to a worker."""

    def units_at(self, config: Config) -> tuple[Unit, ...]:
        """Return the units that a worker trains for this config."""
        ...

    def param_space(self) -> dict[str, Any]:
        """Return the `param_space` of `tune.Tuner`."""
        ...

    def tuner_settings(self, search: Search) -> dict[str, Any]:
        """Return arguments of `tune.TuneConfig`."""
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

    def tuner_settings(self, search: Search) -> dict[str, Any]:
        return {}


ENDED_EARLY: tuple[float, ...] = ()
"""The objectives of a point whose trials were ended early."""


@dataclass(frozen=True)
class TriedPoint:
    """A point that the search started before; it has `objectives` unless it was interrupted."""

    point: Config
    objectives: tuple[float, ...] | None = None


@dataclass(frozen=True)
class AdaptiveSearch:
    """A search by Optuna that chooses each point from the results of earlier ones.

    It uses a tree-structured Parzen estimator (Bergstra et al. 2011). It knows the points that were
    tried before, and starts with those that were interrupted.
    """

    build_trials: Callable[[Config], Sequence[Trial]]
    tried_points: tuple[TriedPoint, ...] = ()
    checkpoints: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def units_at(self, config: Config) -> tuple[Unit, ...]:
        return group_trials(self.build_trials(config), self.checkpoints)

    def tried_trials(self) -> tuple[Trial, ...]:
        """Return the trials of every point that was tried."""
        trials: list[Trial] = []
        for tried in self.tried_points:
            trials += self.build_trials(tried.point)
        return tuple(trials)

    def count_remaining(self, search: Search) -> int:
        """Return the number of points still to be trained."""
        completed = sum(tried.objectives is not None for tried in self.tried_points)
        return max(search.trials or 0, len(self.tried_points)) - completed

    def param_space(self) -> dict[str, Any]:
        return {}

    def tuner_settings(self, search: Search) -> dict[str, Any]:
        from ray.tune.search.optuna import OptunaSearch

        space = {key: _build_distribution(values) for key, values in (search.space or {}).items()}
        directions = [_DIRECTIONS[objective.metric] for objective in search.objectives]
        metrics = list(map(str, search.objectives))
        modes = [direction[:3] for direction in directions]
        # Given lists, even of one, Tune does not tell Optuna of trials that ASHA ended early.
        has_several = len(directions) > 1
        algorithm = OptunaSearch(
            space,
            metric=metrics if has_several else metrics[0],
            mode=modes if has_several else modes[0],
            study_name=_STUDY,
            storage=self._create_storage(space, directions),
            # With the same seed, a resumed search would draw the same points again.
            seed=search.seed + len(self.tried_points),
        )
        return {"search_alg": algorithm, "num_samples": self.count_remaining(search)}

    def _create_storage(
        self, space: Mapping[str, Any], directions: Sequence[Literal["maximize", "minimize"]]
    ) -> Any:
        """Return an Optuna storage with the tried points: Tune can pass on one objective only."""
        import optuna

        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(storage=storage, study_name=_STUDY, directions=directions)
        for tried in self.tried_points:
            if tried.objectives is None:
                study.enqueue_trial(dict(tried.point))
            else:
                study.add_trial(_create_trial(tried.point, tried.objectives, space=space))
        return storage


def _create_trial(point: Config, objectives: tuple[float, ...], space: Mapping[str, Any]) -> Any:
    from optuna.trial import TrialState, create_trial

    return create_trial(
        state=TrialState.PRUNED if objectives == ENDED_EARLY else TrialState.COMPLETE,
        values=list(objectives) or None,
        params=dict(point),
        distributions=dict(space),
    )


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


def compute_objectives(results: Iterable[TrialResult]) -> dict[str, float]:
    """Return the means over a point's finished trials; empty if none has an accuracy."""
    accuracies: list[float] = []
    sizes: list[int] = []
    for result in results:
        sizes.append(result.size_bytes)
        accuracy = validation_accuracy(result.recipe, result.curve)
        if accuracy is not None:
            accuracies.append(accuracy)
    return {"accuracy": fmean(accuracies), "size": fmean(sizes)} if accuracies else {}


def _build_distribution(values: Sequence[Any] | Range) -> Any:
    from optuna import distributions

    if not isinstance(values, Range):
        return distributions.CategoricalDistribution(list(values))
    if isinstance(values.low, int) and isinstance(values.high, int):
        return distributions.IntDistribution(
            values.low, values.high, log=values.log, step=int(values.step or 1)
        )
    return distributions.FloatDistribution(
        values.low, values.high, log=values.log, step=values.step
    )
