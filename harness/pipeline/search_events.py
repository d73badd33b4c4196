"""The events of a search that hears devices."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from harness.core.rating import Rating
from harness.core.sweep import Failure
from harness.sweep.study import SearchPoint


@dataclass(frozen=True)
class PointProposed:
    """The search wants to try a point; its networks are measured before they are trained."""

    point: SearchPoint


@dataclass(frozen=True)
class PointFeasible:
    """A point keeps all constraints, as far as devices answer, and is trained.

    `rating` has the numbers of its untrained networks.
    """

    point: SearchPoint
    rating: Rating


@dataclass(frozen=True)
class PointInfeasible:
    """A point breaks a constraint, so it is never trained; `cause` has the number and device."""

    point: SearchPoint
    cause: Failure
    rating: Rating


@dataclass(frozen=True)
class PointFailed:
    """A point has no result and will have none; the search goes on without it."""

    point: SearchPoint
    failure: Failure


@dataclass(frozen=True)
class PointTold:
    """The last number of a point is there, and the search knows it.

    `objectives` are by their text; the point counts only if it `is_feasible`.
    """

    point: SearchPoint
    objectives: Mapping[str, float]
    is_feasible: bool


@dataclass(frozen=True)
class NothingFeasible:
    """None of the first points keeps the constraints; `nearest` came closest."""

    points: int
    nearest: PointInfeasible


@dataclass(frozen=True)
class LookMisled:
    """A trained network differs from its untrained one by more than noise.

    The first looks of its architecture are not trusted any more.
    """

    architecture: str
    device: str
    message: str


SearchEvent: TypeAlias = (
    PointProposed
    | PointFeasible
    | PointInfeasible
    | PointFailed
    | PointTold
    | NothingFeasible
    | LookMisled
)
