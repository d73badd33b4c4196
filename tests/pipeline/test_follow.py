"""A sweep that another process trains is measured as its trials end."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.fleet.events import CaseMeasured, LaneEnded
from harness.pipeline.follow import SEARCH_PATIENCE_S, follow_sweep
from harness.pipeline.order import Order
from harness.store.rows.trials import SweepTrial
from tests.fleet.shelf import PLAIN, Shelf, make_request

PLANNED = SweepTrial("trial", "twin", is_planned=True, is_sampled=False, artifacts=())
SAMPLED = replace(PLANNED, is_sampled=True)


def end(trial: SweepTrial, *artifacts: str) -> SweepTrial:
    return replace(trial, is_planned=False, artifacts=artifacts)


def follow(shelf: Shelf, looks: Sequence[Sequence[SweepTrial]], seconds: float = 10.0) -> list[str]:
    """Follow a training that stands like this at each look, and return the measured artifacts.

    So many seconds pass between two looks.
    """
    states = iter(looks)
    with shelf.open(make_request(["board"], PLAIN)) as bench:
        order = Order(bench, shelf.make_devices(["board"]))
        following = follow_sweep(
            bench, order, read_trials=lambda: next(states), clock=tick(seconds / 2)
        )
        events = list(following)
    assert isinstance(events[-1], LaneEnded)
    assert next(states, None) is None, "the training is watched to its end"
    return [event.case.artifact for event in events if isinstance(event, CaseMeasured)]


def tick(seconds: float) -> Callable[[], float]:
    """Return a clock that goes on by so many seconds each time it is read: twice for each look."""
    times = iter(range(1_000_000))
    return lambda: next(times) * seconds


def test_each_artifact_is_measured_once(shelf: Shelf) -> None:
    first, second = shelf.artifacts
    later = replace(PLANNED, id="later", twin="other")
    measured = follow(
        shelf,
        [
            [PLANNED, later],
            [end(PLANNED, first), later],
            [end(PLANNED, first), later],
            [end(PLANNED, first), end(later, second)],
        ],
    )
    assert measured == [first, second]


def test_a_finished_sweep_is_measured_at_once(shelf: Shelf) -> None:
    (artifact, _) = shelf.artifacts
    assert follow(shelf, [[end(PLANNED, artifact)]]) == [artifact]


def test_a_trial_that_is_trained_again_is_waited_for(shelf: Shelf) -> None:
    first, second = shelf.artifacts
    looks = [[end(PLANNED, first)], [replace(PLANNED, artifacts=(first,))], [end(PLANNED, second)]]
    other = replace(PLANNED, id="other", twin="other")
    assert follow(
        shelf, [[*looks[0], other], [*looks[1], end(other)], [*looks[2], end(other)]]
    ) == [first, second]


def test_a_search_may_pause_between_two_points(shelf: Shelf) -> None:
    first, second = shelf.artifacts
    later = replace(SAMPLED, id="later", twin="other")
    pause = [[end(SAMPLED, first)]] * 2
    ended = [[end(SAMPLED, first), end(later, second)]] * 3
    looks = [[SAMPLED], *pause, [end(SAMPLED, first), later], *ended]
    assert follow(shelf, looks, seconds=SEARCH_PATIENCE_S / 3) == [first, second]
