"""Artifacts that wait for their twins, so that all are measured in the same blocks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

MAX_WAIT_S = 120.0
"""How long an artifact waits for its twins.

A twin that takes longer is compared through a reference, so a device need not idle for it.
"""


class TrialWithTwins(Protocol):
    """A trial, or its row: `twin` is shared by all precisions of its hyperparameters."""

    @property
    def id(self) -> str: ...

    @property
    def twin(self) -> str: ...


@dataclass
class _Waiting:
    """Artifacts of twins that wait for the others, the first of them since `since_s`."""

    since_s: float
    artifacts: list[str] = field(default_factory=list)


class TwinGroups:
    """The artifacts of a running sweep that wait for their twins, and for how long they have.

    Times are of any clock, in seconds.
    """

    def __init__(self) -> None:
        self._unfinished: dict[str, set[str]] = {}  # trials by twin
        self._waiting: dict[str, _Waiting] = {}  # by twin

    def expect(self, trials: Iterable[TrialWithTwins]) -> None:
        """Note that these trials will end some time."""
        for trial in trials:
            self._unfinished.setdefault(trial.twin, set()).add(trial.id)

    def end(self, trial: TrialWithTwins, artifacts: Iterable[str], now_s: float) -> None:
        """Note that a trial has ended with these artifacts, which are none if it failed."""
        unfinished = self._unfinished.get(trial.twin, set())
        unfinished.discard(trial.id)
        if not unfinished:
            self._unfinished.pop(trial.twin, None)
        for artifact in artifacts:
            self._waiting.setdefault(trial.twin, _Waiting(now_s)).artifacts.append(artifact)

    def count_waiting(self) -> int:
        """Return how many artifacts wait for their twins."""
        return sum(len(waiting.artifacts) for waiting in self._waiting.values())

    def take(self, now_s: float) -> list[tuple[str, ...]]:
        """Return each group that is complete or has waited long enough, and forget it."""
        due = [
            twin
            for twin, waiting in self._waiting.items()
            if twin not in self._unfinished or now_s - waiting.since_s >= MAX_WAIT_S
        ]
        return [tuple(self._waiting.pop(twin).artifacts) for twin in due]
