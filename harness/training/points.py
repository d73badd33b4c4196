"""Points for Ray Tune's workers, from a source that may have none for now."""

import time
from typing import Any, Protocol

from harness.training.search import Config

_POLL_S = 0.05


class PointSource(Protocol):
    """A search as Ray Tune needs it. Its thread calls both members."""

    def take(self) -> Config | None:
        """Return the next point to train; None if there is none yet, or none any more."""
        ...

    @property
    def is_exhausted(self) -> bool:
        """Return whether `take` will never return a point again."""
        ...


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

            Without one that runs, Tune would look again only after a second, and its time budget
            would not end the search. So this waits.
            """
            while (config := self._take()) is None and not self._live:
                time.sleep(_POLL_S)
            if config not in (None, Searcher.FINISHED):
                self._live.add(trial_id)
            return config

        def _take(self) -> Any:
            if time.monotonic() >= deadline:
                return Searcher.FINISHED
            if (config := points.take()) is not None:
                return dict(config)
            return Searcher.FINISHED if points.is_exhausted else None

        def on_trial_complete(
            self, trial_id: str, result: Any = None, *, error: bool = False
        ) -> None:
            self._live.discard(trial_id)

        def __getstate__(self) -> dict[str, Any]:
            return {}  # Tune stores its searcher to restore it; a search continues from its rows

    return TakenPoints()
