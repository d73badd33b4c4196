"""Trials that one worker trains together, and what happens meanwhile."""

import os
import platform
import time
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.core.errors import Reason, TrialFailed, first_line
from harness.core.sweep import Failure, Precision, Timings, Trial
from harness.data import Dataset
from harness.models.custom import NOT_SHIPPED
from harness.models.own_code import place_of
from harness.training.events import Checkpoint, EpochEnded, Failed, Finished, Started, UnitEvent
from harness.training.fit import Fit, Scores
from harness.training.snapshot import pack, unpack
from harness.training.trial import Stopwatch, build_model, finish, translate_memory_errors


@dataclass(frozen=True)
class Part:
    """One training: as `leader` says, for `trials`; a teacher's may serve none."""

    leader: Trial
    trials: tuple[Trial, ...]

    @property
    def key(self) -> str:
        """What its checkpoint is called."""
        return f"{self.leader.training}-{self.leader.precision}"

    @property
    def learns(self) -> bool:
        return (
            self.leader.recipe.distillation is not None
            and self.leader.precision is Precision.BINARY
        )


@dataclass(frozen=True)
class Unit:
    """Trials of one `training`: a float network's and its int8 twin's, or a teacher's and its student's.

    `saved` holds the checkpoints that an earlier process left, by key.
    """

    trials: tuple[Trial, ...]
    saved: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> tuple[Part, ...]:
        """In the order in which they are trained: a teacher comes before its student."""
        served: dict[Precision, list[Trial]] = {}
        for trial in self.trials:
            served.setdefault(trial.precision.trained, []).append(trial)
        parts = [self._part(precision, trials) for precision, trials in served.items()]
        if any(part.learns for part in parts) and Precision.FLOAT32 not in served:
            parts.append(self._part(Precision.FLOAT32, ()))
        return tuple(sorted(parts, key=lambda part: part.learns))

    def _part(self, precision: Precision, trials: Sequence[Trial]) -> Part:
        return Part(replace(self.trials[0], precision=precision), tuple(trials))


@dataclass(frozen=True)
class Conditions:
    """How a worker trains: on how many threads, and how often, in seconds, it leaves a checkpoint."""

    threads: int = 1
    checkpoint_s: float = float("inf")


def group_trials(trials: Sequence[Trial], saved: Mapping[str, bytes]) -> tuple[Unit, ...]:
    """Every trial in one of them, in the order of each one's first."""
    together: dict[str, list[Trial]] = {}
    for trial in trials:
        together.setdefault(trial.training, []).append(trial)
    return tuple(
        Unit(
            tuple(group),
            {key: content for key, content in saved.items() if key.startswith(training)},
        )
        for training, group in together.items()
    )


def run_unit(
    unit: Unit, dataset: Dataset, conditions: Conditions, watch: Stopwatch
) -> Iterator[UnitEvent]:
    """Trains it part by part, and ends each trial with a Finished or a Failed.

    What `watch` has measured is told of the trial that ends first: it pays for what all of them share.
    """
    taught: Scores | None = None
    for part in unit.parts:
        taught = yield from _run_part(
            part,
            unit.saved.get(part.key, b""),
            dataset=dataset,
            conditions=conditions,
            watch=watch,
            taught=taught,
        )


def _run_part(
    part: Part,
    saved: bytes,
    dataset: Dataset,
    conditions: Conditions,
    watch: Stopwatch,
    taught: Scores | None,
) -> Generator[UnitEvent, None, Scores | None]:
    """Returns its scores of the images that it was trained on, for a student; None where it failed."""
    yield from (Started(trial, platform.node(), pid=os.getpid()) for trial in part.trials)
    try:
        fit = yield from _train(
            part, saved, dataset=dataset, conditions=conditions, watch=watch, taught=taught
        )
    except Exception as error:  # noqa: BLE001  (told of each trial)
        yield from (_failed(trial, error, watch=watch) for trial in part.trials)
        return None
    for trial in part.trials:
        yield _ended(trial, fit, dataset=dataset, threads=conditions.threads, watch=watch)
    return fit.training_scores() if part.leader.recipe.distillation else None


def _train(
    part: Part,
    saved: bytes,
    dataset: Dataset,
    conditions: Conditions,
    watch: Stopwatch,
    taught: Scores | None,
) -> Generator[UnitEvent, None, Fit]:
    if part.learns and taught is None:
        raise TrialFailed(
            Reason.NO_TEACHER, "The float twin that it was to learn from failed; mend that first."
        )
    leader = part.leader
    with watch.part("fit_s"), translate_memory_errors(leader):
        fit = Fit(
            leader,
            build_model(leader, dataset),
            dataset=dataset,
            taught=taught if part.learns else None,
        )
        with suppress(
            ValueError
        ):  # a checkpoint of another version's: then the training starts anew
            fit.restore(unpack(saved))
        saved_at = time.monotonic()
        for epoch in fit.run_epochs():
            yield from (EpochEnded(trial, epoch) for trial in part.trials)
            if time.monotonic() - saved_at >= conditions.checkpoint_s:
                yield Checkpoint(part.key, pack(fit.snapshot()))
                saved_at = time.monotonic()
    return fit


def _ended(
    trial: Trial, fit: Fit, dataset: Dataset, threads: int, watch: Stopwatch
) -> Finished | Failed:
    try:
        return Finished(trial, finish(trial, fit, dataset=dataset, threads=threads, watch=watch))
    except Exception as error:  # noqa: BLE001  (told)
        return _failed(trial, error, watch=watch)


def _failed(trial: Trial, error: Exception, watch: Stopwatch) -> Failed:
    reason, message = (
        (error.reason, str(error))
        if isinstance(error, TrialFailed)
        else (Reason.BUG, _bug(trial, error))
    )
    failure = Failure(reason, message, log=traceback.format_exc())
    return Failed(trial, failure, timings=Timings(**watch.taken()), node=platform.node())


def _bug(trial: Trial, error: Exception) -> str:
    """What nobody has foreseen, in a sentence that says whose it is."""
    said = _said(error)
    if place := place_of(error):
        mend = NOT_SHIPPED if isinstance(error, ImportError) else "mend it and submit again"
        return f"{trial.architecture} raised {said} ({place}); {mend}."
    call = traceback.extract_tb(error.__traceback__)[-1]
    return f"{said} ({Path(call.filename).name}:{call.lineno}): a bug in the harness or a library; please report it."


def _said(error: Exception) -> str:
    """An error's type and first line; where Keras has put words of its own around another one's, that one's."""
    kind = f"{type(error).__name__}: "
    lines = map(str.strip, str(error).splitlines())
    return next(
        (line.rstrip(".") for line in lines if line.startswith(kind)), kind + first_line(error)
    )
