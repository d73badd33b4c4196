"""Measuring the artifacts of a sweep that another process trains, as they come."""

import time
from collections.abc import Callable, Iterator, Sequence

from harness.fleet.events import FleetEvent
from harness.fleet.run import FleetBench
from harness.pipeline.order import ArtifactsOrdered, Order
from harness.pipeline.twins import TwinGroups
from harness.store.rows.trials import SweepTrial

_LOOK_S = 1.0
SEARCH_PATIENCE_S = 60.0
"""How long a search may go without a trial under way before it counts as ended.

Between two points it has none, and the database does not know how many will come.
"""


def follow_sweep(
    bench: FleetBench,
    order: Order,
    read_trials: Callable[[], Sequence[SweepTrial]],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[FleetEvent | ArtifactsOrdered]:
    """Order each artifact once it stands, and yield the fleet's events until both have ended.

    The training has ended when none of the sweep's trials is planned any more.
    """
    arrivals = _Arrivals()
    is_training = True
    while is_training:
        now_s = clock()
        is_training = arrivals.update(read_trials(), now_s)
        yield from order.add_due(arrivals.twins, now_s if is_training else float("inf"))
        while is_training and clock() - now_s < _LOOK_S:
            if (event := bench.receive(_LOOK_S / 4)) is not None:
                yield event
    yield from order.finish()


class _Arrivals:
    """The trials of a followed sweep that have ended so far."""

    def __init__(self) -> None:
        self.twins = TwinGroups()
        self._planned: set[str] = set()
        self._ended: set[str] = set()
        self._active_at_s: float | None = None

    def update(self, trials: Sequence[SweepTrial], now_s: float) -> bool:
        """Take note of the trials as they stand, and return whether more are to come."""
        planned = [trial for trial in trials if trial.is_planned]
        self.twins.expect(trial for trial in planned if trial.id not in self._planned)
        self._planned = {trial.id for trial in planned}
        self._ended -= self._planned  # those that are trained again
        for trial in trials:
            if not trial.is_planned and trial.id not in self._ended:
                self._ended.add(trial.id)
                self.twins.end(trial, trial.artifacts, now_s=now_s)
        if planned or self._active_at_s is None:
            self._active_at_s = now_s
        is_search = any(trial.is_sampled for trial in trials)
        patience_s = SEARCH_PATIENCE_S if is_search else 0.0
        return bool(planned) or now_s - self._active_at_s < patience_s
