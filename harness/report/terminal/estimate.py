"""Estimates of what is left to train and to measure, from the trials and cases that have ended."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from harness.core.units import format_seconds


@dataclass(frozen=True)
class RunningTrial:
    """A trial in training: its time so far, and the share of its epochs that has ended."""

    seconds: float
    share: float


@dataclass(frozen=True)
class DeviceRest:
    """The cases that a device has left, and how long one takes on it, if one has ended.

    `future` cases are those of trials that have not ended, and `latest` of them come with the last
    trial. A device that trains, too, starts when training is over.
    """

    cases: float
    seconds_per_case: float | None
    future: float = 0.0
    latest: float = 0.0
    starts_after_training: bool = False


@dataclass(frozen=True)
class Remaining:
    """The time until all has ended, or None; a lower bound if some part is unknown."""

    seconds: float | None
    is_lower_bound: bool = False

    def __str__(self) -> str:
        if self.seconds is None:
            return "time left unknown"
        word = "at least" if self.is_lower_bound else "about"
        return f"{word} {format_seconds(self.seconds)} left"


UNKNOWN = Remaining(None)


def estimate_training(
    finished_s: Sequence[float], running: Sequence[RunningTrial], waiting: int
) -> float | None:
    """Return how long the rest of the trials takes in seconds, or None if nothing tells.

    `finished_s` has the times of trials that have ended. As many trials as run now go on side by
    side.
    """
    if not running and not waiting:
        return 0.0
    lengths = [trial.seconds / trial.share for trial in running if trial.share]
    if not finished_s and not lengths:
        return None
    typical_s = fmean(finished_s or lengths)
    rests = [_estimate_rest(trial, typical_s) for trial in running]
    shared_s = (sum(rests) + waiting * typical_s) / max(1, len(running))
    return max(shared_s, *rests, 0.0)


@dataclass(frozen=True)
class TrialEnd:
    """A trial that has ended so many seconds ago, after a worker was busy with it for `work_s`."""

    seconds_ago: float
    work_s: float


def estimate_from_ends(ends: Sequence[TrialEnd], waiting: int) -> float | None:
    """Return how long so many trials take in seconds, judging by when others ended.

    `ends` are in their order. Between two, no more than the later one's work can have been done:
    the rest is a pause of the training.
    """
    if not waiting:
        return 0.0
    if not ends:
        return None
    gaps = [
        min(earlier.seconds_ago - later.seconds_ago, later.work_s)
        for earlier, later in pairwise(ends)
    ]
    pace_s = fmean(gaps) if gaps else ends[0].work_s
    return max(0.0, pace_s * waiting - min(pace_s, ends[-1].seconds_ago))


def _estimate_rest(trial: RunningTrial, typical_s: float) -> float:
    """Return a trial's time to its end; after its last epoch, its conversion is left."""
    length_s = trial.seconds / trial.share if 0 < trial.share < 1 else typical_s
    return max(0.0, length_s - trial.seconds)


def estimate_whole(training_s: float | None, devices: Iterable[DeviceRest]) -> Remaining:
    """Return when both halves have ended; `training_s` is None if unknown, 0 if it is over."""
    estimates: list[float | None] = [training_s]
    for device in devices:
        if device.cases + device.future > 0:
            estimates.append(_estimate_device(device, training_s))
    seconds = [estimate for estimate in estimates if estimate is not None]
    is_complete = len(seconds) == len(estimates)
    if not is_complete and max(seconds, default=0.0) == 0.0:
        return UNKNOWN
    return Remaining(max(seconds), is_lower_bound=not is_complete)


def _estimate_device(device: DeviceRest, training_s: float | None) -> float | None:
    if device.seconds_per_case is None:
        return None
    measuring_s = device.seconds_per_case * (device.cases + device.future)
    if not device.future and not device.starts_after_training:
        return measuring_s
    if training_s is None:
        return None
    if device.starts_after_training:
        return training_s + measuring_s
    return max(measuring_s, training_s + device.seconds_per_case * device.latest)
