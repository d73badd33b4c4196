"""The one door to Optuna for proposing points: a study in memory, safe for several threads."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, Literal, NamedTuple

from harness.core.search import Objective, Range, Search
from harness.training.search import Config

_RANDOM_POINTS = 10
"""Optuna's default: so many points are drawn at random before it learns."""


class Proposal(NamedTuple):
    """A point that Optuna proposed, or that it was asked to adopt, by Optuna's number."""

    number: int
    values: Config


class Proposals:
    """Points by a tree-structured Parzen estimator (Bergstra et al. 2011).

    Those under way count as bad until they end (Ginsbourger et al. 2010, a constant liar), so that
    others are proposed elsewhere. A point that is never told stays under way.
    """

    def __init__(self, search: Search) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = search.space or {}
        self._distributions = {
            key: _build_distribution(values) for key, values in self._space.items()
        }
        # Adopted points need no sampler. The one that proposes comes with the first proposal.
        self._study = optuna.create_study(
            directions=[_find_direction(objective) for objective in search.objectives],
            sampler=optuna.samplers.RandomSampler(search.seed),
        )
        self._seed = search.seed
        self._adopted = 0
        self._has_sampler = False
        self._trials: dict[int, Any] = {}
        self._lock = Lock()
        self._learned = 0

    @property
    def draws_blindly(self) -> bool:
        """Return whether points are random, as there are too few results to learn from."""
        return self._learned < _RANDOM_POINTS

    def propose(self) -> Proposal:
        """Return the next point, which may be one that is known already."""
        with self._lock:
            if not self._has_sampler:
                self._study.sampler = self._build_sampler()
                self._has_sampler = True
            trial = self._ask()
            return Proposal(trial.number, _decode(trial.params, self._space))

    def adopt(self, values: Config) -> Proposal:
        """Return a point with these values of the space, as if it had been proposed."""
        with self._lock:
            self._adopted += 1
            self._study.enqueue_trial(_encode(values, self._space))
            return Proposal(self._ask().number, values)

    def complete(
        self, number: int, objectives: Sequence[float], violations: Mapping[str, float]
    ) -> None:
        """Report the results of a point; a violation above 0 makes it infeasible.

        Raises KeyError for a point that is not under way.
        """
        self._end(number, violations, values=list(objectives))

    def prune(self, number: int, violations: Mapping[str, float]) -> None:
        """Report that a point ended without objectives. Raises KeyError like `complete`."""
        from optuna.trial import TrialState

        self._end(number, violations, state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """Report a point of which nothing was learned. Raises KeyError like `complete`."""
        from optuna.trial import TrialState

        self._end(number, {}, state=TrialState.FAIL)

    def _build_sampler(self) -> Any:
        import optuna

        # With the same seed, a resumed search would draw the same points again.
        return optuna.samplers.TPESampler(
            seed=self._seed + self._adopted, constant_liar=True, n_startup_trials=_RANDOM_POINTS
        )

    def _ask(self) -> Any:
        trial = self._study.ask(self._distributions)
        self._trials[trial.number] = trial
        return trial

    def _end(self, number: int, violations: Mapping[str, float], **result: Any) -> None:
        from optuna.trial import TrialState

        with self._lock:
            trial = self._trials.pop(number)
            for constraint, violation in violations.items():
                trial.set_constraint(constraint, violation)
            ended = self._study.tell(trial, **result)
            self._learned += ended.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _find_direction(objective: Objective) -> Literal["maximize", "minimize"]:
    return "maximize" if objective.metric == "accuracy" else "minimize"


def _encode(values: Config, space: Mapping[str, Sequence[Any] | Range]) -> dict[str, Any]:
    """Replace choices by their indices: Optuna knows no lists or mappings as choices."""
    return {
        key: values[key] if isinstance(choices, Range) else choices.index(values[key])
        for key, choices in space.items()
    }


def _decode(params: Config, space: Mapping[str, Sequence[Any] | Range]) -> dict[str, Any]:
    return {
        key: params[key] if isinstance(choices, Range) else choices[params[key]]
        for key, choices in space.items()
    }


def _build_distribution(values: Sequence[Any] | Range) -> Any:
    from optuna import distributions

    if not isinstance(values, Range):
        return distributions.CategoricalDistribution(range(len(values)))
    # Optuna warns if the last step does not end at `high`.
    high = values.point_at(values.count_points() - 1) if values.step else values.high
    if isinstance(values.low, int) and isinstance(values.high, int):
        return distributions.IntDistribution(
            values.low, int(high), log=values.log, step=int(values.step or 1)
        )
    return distributions.FloatDistribution(values.low, high, log=values.log, step=values.step)
