"""A sweep's search → Ray Tune's: what is tried, in which order, and what is ended early."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal, Protocol, TypeAlias

from harness.core.recipe import Recipe
from harness.core.search import Asha, Objective, Range, Search
from harness.core.sweep import Epoch, Trial, validation_accuracy
from harness.training.unit import Unit, group_trials

_DIRECTIONS: dict[Objective, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "size": "minimize",
}
_STUDY = "search"
_ANY_EPOCH = 1_000_000  # more than any training has
Config = Mapping[str, Any]
Result: TypeAlias = tuple[
    Recipe, Sequence[Epoch], int
]  # of a trial: its artifact's size in bytes comes last


class UnitSource(Protocol):
    """What there is to train: what Tune passes to a worker, as units."""

    def units_at(self, config: Config) -> tuple[Unit, ...]: ...

    def param_space(self) -> dict[str, Any]:
        """Tune's parameters."""
        ...

    def tuner_settings(self, search: Search) -> dict[str, Any]:
        """Tune's settings."""
        ...


@dataclass(frozen=True)
class FixedUnits:
    """Units that are known before the first one is trained."""

    units: tuple[Unit, ...]

    def units_at(self, config: Config) -> tuple[Unit, ...]:
        return (self.units[config["index"]],)

    def param_space(self) -> dict[str, Any]:
        from ray import tune

        return {"index": tune.grid_search(list(range(len(self.units))))}

    def tuner_settings(self, search: Search) -> dict[str, Any]:
        return {}


ENDED_EARLY: tuple[float, ...] = ()


@dataclass(frozen=True)
class TriedPoint:
    """A point that the search has begun before; `objectives` where all its trials have ended well, or early."""

    point: Config
    objectives: tuple[float, ...] | None = None


@dataclass(frozen=True)
class AdaptiveSearch:
    """Points that Optuna finds as it goes: by a tree-structured Parzen estimator (Bergstra et al. 2011).

    What was tried before is known to it; what was begun and has not ended comes first.
    """

    build_trials: Callable[[Config], Sequence[Trial]]
    tried_points: tuple[TriedPoint, ...] = ()
    saved: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def units_at(self, config: Config) -> tuple[Unit, ...]:
        return group_trials(self.build_trials(config), self.saved)

    def tried_trials(self) -> tuple[Trial, ...]:
        """Of every point that was tried."""
        return tuple(trial for one in self.tried_points for trial in self.build_trials(one.point))

    def count_remaining(self, search: Search) -> int:
        """How many points are to be trained."""
        return max(search.trials or 0, len(self.tried_points)) - sum(
            one.objectives is not None for one in self.tried_points
        )

    def param_space(self) -> dict[str, Any]:
        return {}

    def tuner_settings(self, search: Search) -> dict[str, Any]:
        from ray.tune.search.optuna import OptunaSearch

        space = {key: _distribution(values) for key, values in (search.space or {}).items()}
        directions = [_DIRECTIONS[objective] for objective in search.objectives]
        several = len(directions) > 1  # else ASHA's early ends would tell it nothing
        algorithm = OptunaSearch(
            space,
            metric=list(search.objectives) if several else search.objectives[0],
            mode=[direction[:3] for direction in directions] if several else directions[0][:3],
            study_name=_STUDY,
            storage=self._storage(space, directions),
            seed=search.seed
            + len(self.tried_points),  # another one, or what goes on would draw the same again
        )
        return {"search_alg": algorithm, "num_samples": self.count_remaining(search)}

    def _storage(
        self, space: Mapping[str, Any], directions: Sequence[Literal["maximize", "minimize"]]
    ) -> Any:
        """With what was tried in it: Tune's own way knows one objective only."""
        import optuna

        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(storage=storage, study_name=_STUDY, directions=directions)
        for one in self.tried_points:
            if one.objectives is None:
                study.enqueue_trial(dict(one.point))
            else:
                study.add_trial(_known(one.point, one.objectives, space=space))
        return storage


def _known(point: Config, objectives: tuple[float, ...], space: Mapping[str, Any]) -> Any:
    from optuna.trial import TrialState, create_trial

    ended = TrialState.PRUNED if objectives == ENDED_EARLY else TrialState.COMPLETE
    values = list(objectives) or None
    return create_trial(state=ended, values=values, params=dict(point), distributions=dict(space))


def scheduler(asha: Asha | None) -> dict[str, Any]:
    """Tune's setting for what ends trials early."""
    if asha is None:
        return {}
    from ray.tune.schedulers import ASHAScheduler

    return {
        "scheduler": ASHAScheduler(
            time_attr="epoch",
            metric="accuracy",
            mode="max",
            max_t=_ANY_EPOCH,
            grace_period=asha.grace_epochs,
            reduction_factor=asha.reduction,
        )
    }


def objectives(results: Iterable[Result]) -> dict[str, float]:
    """What a search looks at: means over those of a point's trials that have ended well; nothing where none has."""
    told = [(validation_accuracy(recipe, curve), size) for recipe, curve, size in results]
    known = [accuracy for accuracy, _ in told if accuracy is not None]
    return {"accuracy": fmean(known), "size": fmean(size for _, size in told)} if known else {}


def _distribution(values: Sequence[Any] | Range) -> Any:
    from optuna import distributions

    if not isinstance(values, Range):
        return distributions.CategoricalDistribution(list(values))
    if isinstance(values.low, int) and isinstance(values.high, int):
        return distributions.IntDistribution(
            values.low, values.high, values.log, int(values.step or 1)
        )
    return distributions.FloatDistribution(values.low, values.high, values.log, values.step)
