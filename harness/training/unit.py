"""Units: trials that one worker trains together, and the events of their training."""

import os
import platform
import time
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain

from harness.core.errors import Reason, TrialFailed
from harness.core.sweep import Failure, Precision, Timings, Trial
from harness.data import Dataset
from harness.training.bugs import describe_bug
from harness.training.events import Checkpoint, EpochEnded, Failed, Finished, Started, UnitEvent
from harness.training.fit import Fit, Scores
from harness.training.processors import describe_processors, require_gpu
from harness.training.snapshot import pack, unpack
from harness.training.trial import (
    Stopwatch,
    build_model,
    finish_trial,
    translate_memory_errors,
)


@dataclass(frozen=True)
class Part:
    """One training for all of `trials`, with the settings of `leader`.

    A teacher's training may serve no trial of its own.
    """

    leader: Trial
    trials: tuple[Trial, ...]

    @property
    def key(self) -> str:
        """The name of its checkpoint."""
        return f"{self.leader.training}-{self.leader.precision}"

    @property
    def is_student(self) -> bool:
        return (
            self.leader.recipe.distillation is not None
            and self.leader.precision is Precision.BINARY
        )


@dataclass(frozen=True)
class Unit:
    """Trials of one `training`: a float network's and its int8 twin's, or teacher and student.

    `checkpoints` holds those that an earlier process left, by key.
    """

    trials: tuple[Trial, ...]
    checkpoints: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The trainings in their order: a teacher comes before its student."""
        by_precision: dict[Precision, list[Trial]] = {}
        for trial in self.trials:
            by_precision.setdefault(trial.precision.trained, []).append(trial)
        parts = [self._part(precision, trials) for precision, trials in by_precision.items()]
        if any(part.is_student for part in parts) and Precision.FLOAT32 not in by_precision:
            parts.append(self._part(Precision.FLOAT32, ()))
        return tuple(sorted(parts, key=lambda part: part.is_student))

    def _part(self, precision: Precision, trials: Sequence[Trial]) -> Part:
        return Part(replace(self.trials[0], precision=precision), tuple(trials))


@dataclass(frozen=True)
class Conditions:
    """The threads and the GPUs that a worker trains with, and the seconds between checkpoints."""

    threads: int = 1
    checkpoint_s: float = float("inf")
    gpus: float = 0.0


def group_trials(trials: Sequence[Trial], checkpoints: Mapping[str, bytes]) -> tuple[Unit, ...]:
    """Put each trial into a unit; units are in the order of their first trials."""
    by_training: dict[str, list[Trial]] = {}
    for trial in trials:
        by_training.setdefault(trial.training, []).append(trial)
    units = []
    for training, group in by_training.items():
        matching = {
            key: content for key, content in checkpoints.items() if key.startswith(training)
        }
        units.append(Unit(tuple(group), matching))
    return tuple(units)


def trials_in(units: Iterable[Unit]) -> list[Trial]:
    return list(chain.from_iterable(unit.trials for unit in units))


def run_unit(
    unit: Unit, dataset: Dataset, conditions: Conditions, watch: Stopwatch
) -> Iterator[UnitEvent]:
    """Train the unit part by part; each trial ends with a Finished or a Failed.

    The trial that ends first carries the times that `watch` has measured, as it pays for what all
    of them share.
    """
    teacher_scores: Scores | None = None
    for part in unit.parts:
        teacher_scores = yield from _run_part(
            part,
            unit.checkpoints.get(part.key, b""),
            dataset=dataset,
            conditions=conditions,
            watch=watch,
            teacher_scores=teacher_scores,
        )


def _run_part(
    part: Part,
    checkpoint: bytes,
    dataset: Dataset,
    conditions: Conditions,
    watch: Stopwatch,
    teacher_scores: Scores | None,
) -> Generator[UnitEvent, None, Scores | None]:
    """Train and finish the part's trials.

    Return its scores of the training images if a student may need them; None if it failed.
    """
    yield from (Started(trial, platform.node(), pid=os.getpid()) for trial in part.trials)
    try:
        fit = yield from _train(
            part,
            checkpoint,
            dataset=dataset,
            conditions=conditions,
            watch=watch,
            teacher_scores=teacher_scores,
        )
    except Exception as error:  # noqa: BLE001  (each trial reports it)
        yield from (_fail(trial, error, watch=watch) for trial in part.trials)
        return None
    for trial in part.trials:
        yield _finish(trial, fit, dataset=dataset, threads=conditions.threads, watch=watch)
    return fit.compute_training_scores() if part.leader.recipe.distillation else None


def _train(
    part: Part,
    checkpoint: bytes,
    dataset: Dataset,
    conditions: Conditions,
    watch: Stopwatch,
    teacher_scores: Scores | None,
) -> Generator[UnitEvent, None, Fit]:
    if part.is_student and teacher_scores is None:
        raise TrialFailed(
            Reason.NO_TEACHER,
            "The training of its teacher, the float twin, failed; fix that first.",
        )
    if conditions.gpus:
        require_gpu()
    leader = part.leader
    with watch.measure("fit_s"), translate_memory_errors(leader):
        fit = Fit(
            leader,
            build_model(leader, dataset),
            dataset=dataset,
            teacher_scores=teacher_scores if part.is_student else None,
        )
        # A checkpoint that does not fit, such as another version's, is ignored.
        with suppress(ValueError):
            fit.restore(unpack(checkpoint))
        saved_at = time.monotonic()
        for epoch in fit.run_epochs():
            yield from (EpochEnded(trial, epoch) for trial in part.trials)
            if time.monotonic() - saved_at >= conditions.checkpoint_s:
                yield Checkpoint(part.key, pack(fit.snapshot()))
                saved_at = time.monotonic()
    return fit


def _finish(
    trial: Trial, fit: Fit, dataset: Dataset, threads: int, watch: Stopwatch
) -> Finished | Failed:
    try:
        outcome = finish_trial(trial, fit, dataset=dataset, threads=threads, watch=watch)
    except Exception as error:  # noqa: BLE001  (the trial reports it)
        return _fail(trial, error, watch=watch)
    return Finished(trial, outcome)


def _fail(trial: Trial, error: Exception, watch: Stopwatch) -> Failed:
    if isinstance(error, TrialFailed):
        reason, message = error.reason, str(error)
    else:
        reason, message = Reason.BUG, describe_bug(trial.architecture, error)
    failure = Failure(reason, message, log=traceback.format_exc())
    return Failed(
        trial,
        failure,
        timings=Timings(**watch.collect()),
        node=platform.node(),
        processors=describe_processors(),
    )
