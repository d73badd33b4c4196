"""Sweeps, trials, their curves and their artifacts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import zstandard
from sqlalchemy import Connection, Engine, bindparam, insert, select, update

from harness.core.errors import Reason
from harness.core.ids import to_plain
from harness.core.quality import format_quality
from harness.core.recipe import Recipe
from harness.core.sweep import Artifact, Epoch, Failure, Sweep, Timings, Trial, TrialOutcome
from harness.store.database import now, write_transaction
from harness.store.rows.values import (
    compress_text,
    insert_missing,
    insert_or_replace,
    is_any_of,
    make_storable,
    to_json,
)
from harness.store.tables import (
    artifacts,
    epochs,
    failures,
    forms,
    sweep_trials,
    trial_artifacts,
    trials,
)

_LONGEST_NAME = 200
_CHUNK = 1_000
DONE, FAILED, PLANNED, STOPPED = "done", "failed", "planned", "stopped"
INFEASIBLE = "infeasible"


@dataclass(frozen=True)
class TrialState:
    """The state of a submitted trial; `artifacts` maps each format to its newest SHA-256."""

    status: str
    artifacts: Mapping[str, str]
    reason: str | None = None

    @property
    def done(self) -> bool:
        return self.status == DONE

    @property
    def outclassed(self) -> bool:
        """Return whether a search ended the trial early because others did better."""
        return self.status == STOPPED and self.reason == Reason.OUTCLASSED


@dataclass(frozen=True)
class SweepTrial:
    """A trial of a sweep as it stands; `is_sampled` if a search chose its point."""

    id: str
    twin: str
    is_planned: bool
    is_sampled: bool
    artifacts: tuple[str, ...]


class TrialRows:
    """Sweeps and their trials, with the curves, artifacts and failures of these.

    A trial that is done has all its artifacts, also for a reader that meets its `finish` halfway.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_states(self, submitted: Iterable[Trial]) -> dict[str, TrialState]:
        """Return the states of those of the trials that were ever submitted, by id."""
        ids = {trial.id for trial in submitted}
        # The status comes first: what it promises is stored when the artifacts are read.
        states = select(trials.c.id, trials.c.status, trials.c.reason).where(
            is_any_of(self._engine.dialect, trials.c.id, values=ids)
        )
        formats = (
            select(trial_artifacts.c.trial_id, artifacts.c.format, artifacts.c.sha256)
            .join(artifacts, artifacts.c.sha256 == trial_artifacts.c.artifact)
            .where(is_any_of(self._engine.dialect, trial_artifacts.c.trial_id, values=ids))
            .order_by(trial_artifacts.c.created_at)
        )
        newest: dict[str, dict[str, str]] = {}
        with self._engine.connect() as connection:
            state_rows = connection.execute(states).all()
            for trial_id, format, sha256 in connection.execute(formats):
                newest.setdefault(trial_id, {})[format] = sha256
        return {
            trial_id: TrialState(status, newest.get(trial_id, {}), reason=reason)
            for trial_id, status, reason in state_rows
        }

    def get_sweep_artifacts(self, name: str) -> list[str]:
        """Return the artifacts of a sweep's finished trials, twins next to each other.

        Trials that another sweep trained first are included.
        """
        query = (
            select(trial_artifacts.c.artifact, trials.c.twin)
            .join(sweep_trials, sweep_trials.c.trial_id == trial_artifacts.c.trial_id)
            .where(sweep_trials.c.sweep == name)
            .join(trials, trials.c.id == trial_artifacts.c.trial_id)
            .order_by(trial_artifacts.c.created_at)
        )
        by_twin: dict[str, list[str]] = {}
        with self._engine.connect() as connection:
            for artifact, twin in connection.execute(query):
                by_twin.setdefault(twin, []).append(artifact)
        return list(dict.fromkeys(chain.from_iterable(by_twin.values())))

    def list_trials(self, sweep: str) -> list[SweepTrial]:
        """Return the sweep's trials with their artifacts, the earliest submitted first."""
        # The status comes first: what it promises is stored when the artifacts are read.
        states = (
            select(trials.c.id, trials.c.twin, trials.c.status, sweep_trials.c.point)
            .join(sweep_trials, sweep_trials.c.trial_id == trials.c.id)
            .where(sweep_trials.c.sweep == sweep)
            .order_by(sweep_trials.c.submitted_at, trials.c.id)
        )
        files = (
            select(trial_artifacts.c.trial_id, trial_artifacts.c.artifact)
            .join(sweep_trials, sweep_trials.c.trial_id == trial_artifacts.c.trial_id)
            .where(sweep_trials.c.sweep == sweep)
            .order_by(trial_artifacts.c.created_at)
        )
        by_trial: dict[str, list[str]] = {}
        with self._engine.connect() as connection:
            rows = connection.execute(states).all()
            for trial_id, artifact in connection.execute(files):
                by_trial.setdefault(trial_id, []).append(artifact)
        return [
            SweepTrial(
                row.id,
                row.twin,
                is_planned=row.status == PLANNED,
                is_sampled=row.point is not None,
                artifacts=tuple(by_trial.get(row.id, ())),
            )
            for row in rows
        ]

    def list_sweeps(self) -> list[str]:
        query = select(sweep_trials.c.sweep).distinct().order_by(sweep_trials.c.sweep)
        with self._engine.connect() as connection:
            return list(connection.scalars(query))

    def submit(self, sweep: Sweep, again: Sequence[Trial]) -> None:
        """Store the sweep's trials as planned, if they are new.

        The trials `again` are planned once more, whatever their state was.
        """
        with write_transaction(self._engine) as connection:
            _plan(connection, sweep.name, planned=sweep.trials, again=again)

    def submit_point(self, sweep: str, point: Mapping[str, Any], sampled: Sequence[Trial]) -> None:
        """Store the trials of a point that the sweep's search has just begun to try."""
        with write_transaction(self._engine) as connection:
            _plan(connection, sweep, planned=sampled, again=sampled, point=to_json(dict(point)))

    def list_points(self, sweep: str) -> list[dict[str, Any]]:
        """Return the points that the sweep's search has begun to try, the earliest first."""
        query = (
            select(sweep_trials.c.point)
            .where(sweep_trials.c.sweep == sweep, sweep_trials.c.point.is_not(None))
            .order_by(sweep_trials.c.submitted_at)
        )
        with self._engine.connect() as connection:
            return [json.loads(point) for point in dict.fromkeys(connection.scalars(query))]

    def get_curves(self, trained: Iterable[Trial]) -> dict[str, tuple[Epoch, ...]]:
        """Return the epochs of the trials, by trial."""
        ids = {trial.id for trial in trained}
        query = (
            select(epochs)
            .where(is_any_of(self._engine.dialect, epochs.c.trial_id, values=ids))
            .order_by(epochs.c.number)
        )
        curves: dict[str, list[Epoch]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query).mappings():
                values = dict(row)
                curves.setdefault(values.pop("trial_id"), []).append(Epoch(**values))
        return {trial_id: tuple(curve) for trial_id, curve in curves.items()}

    def get_artifact_sizes(self, hashes: Iterable[str]) -> dict[str, int]:
        """Return the sizes of the artifacts in bytes, by SHA-256."""
        query = select(artifacts.c.sha256, artifacts.c.size_bytes).where(
            is_any_of(self._engine.dialect, artifacts.c.sha256, values=set(hashes))
        )
        with self._engine.connect() as connection:
            return {row.sha256: row.size_bytes for row in connection.execute(query)}

    def stop(self, trial_id: str, failure: Failure) -> None:
        """Store that the trial was ended early or never begun, without a fault of its own."""
        is_infeasible = failure.reason is Reason.INFEASIBLE
        values = {
            "status": INFEASIBLE if is_infeasible else STOPPED,
            "reason": str(failure.reason),
            "message": failure.message,
            "finished_at": now(),
        }
        with write_transaction(self._engine) as connection:
            connection.execute(update(trials).where(trials.c.id == trial_id).values(**values))

    def finish(self, outcome: TrialOutcome) -> None:
        """Store a finished trial; its curve replaces that of an earlier run."""
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(trials)
                .where(trials.c.id == outcome.trial_id)
                .values(**_outcome_columns(outcome))
            )
            connection.execute(epochs.delete().where(epochs.c.trial_id == outcome.trial_id))
            connection.execute(
                insert(epochs),
                [{"trial_id": outcome.trial_id, **asdict(epoch)} for epoch in outcome.curve],
            )
            for artifact in outcome.artifacts:
                _link_artifact(connection, outcome.trial_id, artifact=artifact)

    def fail(
        self,
        trial_id: str,
        failure: Failure,
        timings: Timings | None = None,
        node: str | None = None,
        processors: str | None = None,
    ) -> None:
        """Store that the trial failed, and add the failure with its log."""
        failed_at = now()
        message = {"reason": str(failure.reason), "message": make_storable(failure.message)}
        trial = {
            **message,
            "status": FAILED,
            "finished_at": failed_at,
            "node": node,
            "processors": processors,
            **(asdict(timings) if timings else {}),
        }
        row = {
            **message,
            "trial_id": trial_id,
            "failed_at": failed_at,
            "log_zstd": compress_text(failure.log),
        }
        with write_transaction(self._engine) as connection:
            connection.execute(update(trials).where(trials.c.id == trial_id).values(**trial))
            connection.execute(insert(failures), [row])

    def add_artifact(self, artifact: Artifact, name: str) -> None:
        """Store a model file of the user's own; a new name replaces its earlier one.

        So do new counts: an earlier version of the harness may not have known an operator. The file
        of an untrained network keeps the name that says so.
        """
        columns = _artifact_columns(artifact)
        read = ("operators", "binary_macs", "float_macs", "signature")
        counts = {key: columns[key] for key in read}
        with write_transaction(self._engine) as connection:
            insert_missing(connection, artifacts, columns)
            stored = update(artifacts).where(artifacts.c.sha256 == artifact.sha256)
            is_untrained = select(forms.c.id).where(forms.c.artifact == artifact.sha256).exists()
            connection.execute(stored.values(**counts))
            connection.execute(stored.where(~is_untrained).values(name=name[-_LONGEST_NAME:]))


def _plan(
    connection: Connection,
    sweep: str,
    planned: Sequence[Trial],
    again: Sequence[Trial],
    point: str | None = None,
) -> None:
    submitted_at = now()
    in_order = sorted(planned, key=lambda trial: trial.id)  # that of all other writers
    for first in range(0, len(in_order), _CHUNK):
        chunk = in_order[first : first + _CHUNK]
        rows = [_trial_columns(trial, sweep, submitted_at=submitted_at) for trial in chunk]
        insert_missing(connection, trials, *rows)
    for first in range(0, len(in_order), _CHUNK):
        chunk = in_order[first : first + _CHUNK]
        links = [
            {"sweep": sweep, "trial_id": trial.id, "submitted_at": submitted_at, "point": point}
            for trial in chunk
        ]
        insert_missing(connection, sweep_trials, *links)
    if again:
        replan = (
            update(trials)
            .where(trials.c.id == bindparam("trial_id"))
            .values(status=PLANNED, reason=None, message=None)
        )
        ids = sorted(trial.id for trial in again)  # in the order of all other writers
        connection.execute(replan, [{"trial_id": trial_id} for trial_id in ids])


def _trial_columns(trial: Trial, sweep: str, submitted_at: str) -> dict[str, Any]:
    return {
        "id": trial.id,
        "twin": trial.twin,
        "sweep": sweep,
        "model": trial.architecture,
        "parameters": to_json(to_plain(trial.parameters)),
        "precision": trial.precision.value,
        "dataset": trial.dataset,
        "recipe": _format_recipe(trial.recipe),
        "seed": trial.seed,
        "status": PLANNED,
        "submitted_at": submitted_at,
    }


@lru_cache
def _format_recipe(recipe: Recipe) -> str:
    return to_json(to_plain(recipe))


def _outcome_columns(outcome: TrialOutcome) -> dict[str, Any]:
    return {
        "status": DONE,
        "reason": None,
        "message": None,
        "accuracy": outcome.accuracy,
        "params": outcome.params,
        "node": outcome.node,
        "processors": outcome.processors,
        "versions": to_json(dict(outcome.versions)),
        "quality": format_quality(outcome.warnings),
        "finished_at": now(),
        **asdict(outcome.timings),
    }


def _artifact_columns(artifact: Artifact) -> dict[str, Any]:
    return {
        "sha256": artifact.sha256,
        "format": artifact.format,
        "size_bytes": artifact.size_bytes,
        "operators": to_json(dict(artifact.anatomy.operators)),
        "binary_macs": artifact.anatomy.binary_macs,
        "float_macs": artifact.anatomy.float_macs,
        "signature": artifact.anatomy.signature,
        "created_at": now(),
    }


def _link_artifact(connection: Connection, trial_id: str, artifact: Artifact) -> None:
    insert_missing(connection, artifacts, _artifact_columns(artifact))
    row = {
        "trial_id": trial_id,
        "artifact": artifact.sha256,
        "accuracy": artifact.accuracy,
        "agreement": artifact.agreement,
        "correct_zstd": zstandard.compress(artifact.correct) if artifact.correct else None,
        "created_at": now(),
    }
    insert_or_replace(connection, trial_artifacts, row=row)
