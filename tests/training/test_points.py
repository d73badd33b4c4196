"""Ray Tune's searcher takes points from a source, which may have none for now."""

import threading
import time
from collections import deque
from typing import Any

from ray import cloudpickle
from ray.tune.search import Searcher

from harness.training.points import build_searcher, search_settings
from tests.waiting import wait_until

POINT = {"units": 8}


class Source:
    """A source of points with a lock, which can't be pickled."""

    def __init__(self, *points: dict[str, Any]) -> None:
        self.points = deque(points)
        self.is_exhausted = False
        self.requests = 0
        self.lock = threading.Lock()

    def take(self) -> dict[str, Any] | None:
        with self.lock:
            self.requests += 1
            return self.points.popleft() if self.points else None


def build(source: Source, deadline: float = float("inf")) -> Any:
    return build_searcher(source, deadline)


def test_tune_gets_points_none_while_others_run_and_the_end() -> None:
    source = Source(POINT)
    searcher = build(source)
    assert searcher.suggest("first") == POINT
    assert searcher.suggest("second") is None
    source.points.append({"units": 16})
    assert searcher.suggest("second") == {"units": 16}
    searcher.on_trial_complete("first", {"done": True}, error=False)
    assert searcher.suggest("third") is None
    source.is_exhausted = True
    assert searcher.suggest("third") == Searcher.FINISHED
    assert build(source).suggest("another") == Searcher.FINISHED


def test_a_search_without_a_running_trial_waits_for_a_point() -> None:
    source = Source()
    searcher = build(source)
    suggestions: list[Any] = []
    thread = threading.Thread(
        target=lambda: suggestions.append(searcher.suggest("first")), daemon=True
    )
    thread.start()
    wait_until(lambda: source.requests >= 2, "Tune asks again")
    assert suggestions == []
    source.points.append(POINT)
    thread.join()
    assert suggestions == [POINT]


def test_nothing_is_given_out_after_the_deadline() -> None:
    assert build(Source(POINT), deadline=time.monotonic()).suggest("first") == Searcher.FINISHED
    settings = search_settings(Source(), budget_s=0.2)
    assert settings["search_alg"].suggest("first") == Searcher.FINISHED, "it ends the waiting, too"
    assert settings["num_samples"] == -1
    assert search_settings(None, budget_s=0.2) == {}


def test_a_searcher_is_pickled_without_its_source() -> None:
    """Tune pickles its settings when it starts."""
    assert isinstance(cloudpickle.loads(cloudpickle.dumps(build(Source()))), Searcher)
