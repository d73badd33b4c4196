"""Points for Ray Tune's workers, from a source that may have none for now."""

import time
from typing import Any, Protocol

from harness.training.search import Config

_POLL_S = 0.05


class PointSource(Protocol):
    """A search as Ray Tune needs it; both members are used in Tune's thread."""

    def take(self) -> Config | None:
        """Return the next point to train; None if there is none yet, or none any more."""
        ...

    @property
    def is_exhausted(self) -> bool:
        """Return whether `take` will never return a point again."""
        ...


def search_settings(points: PointSource | None, budget_s: float | None) -> dict[str, Any]:
    """Return the arguments of `tune.TuneConfig` that make Tune take its configs from `points`."""
    if points is None:
        return {}
    deadline = float("inf") if budget_s is None else time.monotonic() + budget_s
    return {"search_alg": build_searcher(points, deadline), "num_samples": -1}


def build_searcher(points: PointSource, deadline: float) -> Any:
    """Return a `search_alg` for Ray Tune; it gives out nothing after `deadline`.

    That is a time of `time.monotonic`. Tune learns here only what to train: results reach the
    search through its driver.
    """
    from ray.tune.search import Searcher

    class TakenPoints(Searcher):  # type: ignore[misc]  # Ray ships no types
        def __init__(self) -> None:
            super().__init__()
            self._live: set[str] = set()

        def suggest(self, trial_id: str) -> Any:
            """Return a point, Searcher.FINISHED, or None while other trials run.

            It waits if none runs: Tune would look again only after a second, and would not end the
            search in time.
            """
            while (config := self._take()) is None and not self._live:
                time.sleep(_POLL_S)
            if isinstance(config, dict):
                self._live.add(trial_id)
            return config

        def on_trial_complete(self, trial_id: str, result: Any = None, **_: Any) -> None:
            self._live.discard(trial_id)

        def _take(self) -> Any:
            if time.monotonic() >= deadline:
                return Searcher.FINISHED
            if (config := points.take()) is not None:
                return dict(config)
            return Searcher.FINISHED if points.is_exhausted else None

        def __reduce__(self) -> Any:
            # Tune pickles its searcher to restore it. A search continues from its rows instead.
            return Searcher, ()

    return TakenPoints()
