"""A search asked for points and told of their results, both at any time and in any order."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Protocol, TypeAlias

from harness.config.search import count_points, draw_points
from harness.core.ids import canonical_json
from harness.core.search import Search
from harness.core.sweep import Trial
from harness.training.proposals import Proposal, Proposals
from harness.training.search import Config

_PATIENCE = 20
"""Repeated proposals in a row after which an untried point is drawn at random."""
_MAX_DRAWS = 1_000_000_000  # draws without an end, as one of them is an untried point
_DIGITS = 12  # of a float: 0.30000000000000004 and 0.3 are one point

TrialBuilder: TypeAlias = Callable[[Config], Sequence[Trial]]


@dataclass(frozen=True)
class SearchPoint:
    """A point of a search's space, by its number in the study, with the trials that it needs."""

    number: int
    values: Config
    trials: tuple[Trial, ...]


class Study(Protocol):
    """The points of a search.

    Several threads may use it. No point is given out twice, and each is reported at most once by
    `tell`, `prune` or `fail`. A point that is not reported stays under way.
    """

    @property
    def remaining(self) -> int:
        """The number of points that `ask` still returns; adopted ones have been counted."""
        ...

    @property
    def draws_blindly(self) -> bool:
        """Return whether the next point does not depend on the results of earlier ones."""
        ...

    def ask(self) -> SearchPoint | None:
        """Return the next point; None if none is left."""
        ...

    def adopt(self, values: Config) -> SearchPoint:
        """Return a point that an earlier process tried; it is under way until it is reported."""
        ...

    def tell(
        self, number: int, objectives: Sequence[float], violations: Mapping[str, float]
    ) -> None:
        """Report a point's results: its objectives in their order, its violations by constraint.

        A violation above 0 makes it infeasible; see `core.feasibility.compute_violation`.
        """
        ...

    def prune(self, number: int, violations: Mapping[str, float]) -> None:
        """Report a point without objectives: ended early, or infeasible and never trained."""
        ...

    def fail(self, number: int) -> None:
        """Report a point of which nothing was learned."""
        ...


class OptunaStudy:
    """A study whose points Optuna chooses from the results of earlier ones."""

    def __init__(self, search: Search, build_trials: TrialBuilder) -> None:
        self._search = search
        self._build_trials = build_trials
        self._proposals = Proposals(search)
        self._identities: set[str] = set()
        self._lock = Lock()

    @property
    def remaining(self) -> int:
        points = self._search.trials or 0
        size = count_points(self._search)
        if size is not None:
            points = min(points, size)
        return max(0, points - len(self._identities))

    @property
    def draws_blindly(self) -> bool:
        return self._proposals.draws_blindly

    def ask(self) -> SearchPoint | None:
        with self._lock:
            if not self.remaining:
                return None
            return self._build_point(self._propose())

    def adopt(self, values: Config) -> SearchPoint:
        with self._lock:
            return self._build_point(self._proposals.adopt(values))

    def tell(
        self, number: int, objectives: Sequence[float], violations: Mapping[str, float]
    ) -> None:
        self._proposals.complete(number, objectives, violations)

    def prune(self, number: int, violations: Mapping[str, float]) -> None:
        self._proposals.prune(number, violations)

    def fail(self, number: int) -> None:
        self._proposals.fail(number)

    def _propose(self) -> Proposal:
        """Return an untried point: the sampler may like one so much that it proposes it again."""
        for _ in range(_PATIENCE):
            proposal = self._proposals.propose()
            if identify_point(proposal.values) not in self._identities:
                return proposal
            self._proposals.fail(proposal.number)
        seed = self._search.seed + len(self._identities)
        draws = draw_points(replace(self._search, seed=seed % 2**32, trials=_MAX_DRAWS))
        untried = next(values for values in draws if identify_point(values) not in self._identities)
        return self._proposals.adopt(untried)

    def _build_point(self, proposal: Proposal) -> SearchPoint:
        self._identities.add(identify_point(proposal.values))
        trials = tuple(self._build_trials(proposal.values))
        return SearchPoint(proposal.number, proposal.values, trials=trials)


class ListedStudy:
    """A study whose points are all known, as those of a grid or a random search.

    It gives them out in their order, whatever it is told.
    """

    def __init__(self, points: Iterable[Config], build_trials: TrialBuilder) -> None:
        self.build_trials = build_trials
        by_identity = {identify_point(values): values for values in points}
        self._numbers = {identity: number for number, identity in enumerate(by_identity)}
        self._waiting = deque(by_identity.values())
        self._lock = Lock()

    @property
    def remaining(self) -> int:
        return len(self._waiting)

    @property
    def draws_blindly(self) -> bool:
        return True

    def ask(self) -> SearchPoint | None:
        with self._lock:
            return self._build_point(self._waiting.popleft()) if self._waiting else None

    def adopt(self, values: Config) -> SearchPoint:
        identity = identify_point(values)
        with self._lock:
            self._numbers.setdefault(identity, len(self._numbers))
            self._waiting = deque(
                waiting for waiting in self._waiting if identify_point(waiting) != identity
            )
            return self._build_point(values)

    def tell(
        self, number: int, objectives: Sequence[float], violations: Mapping[str, float]
    ) -> None:
        pass

    def prune(self, number: int, violations: Mapping[str, float]) -> None:
        pass

    def fail(self, number: int) -> None:
        pass

    def _build_point(self, values: Config) -> SearchPoint:
        number = self._numbers[identify_point(values)]
        return SearchPoint(number, values, trials=tuple(self.build_trials(values)))


def identify_point(values: Config) -> str:
    """Return a text that two points have in common only if they are the same."""
    return canonical_json({key: _round(value) for key, value in values.items()})


def _round(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
