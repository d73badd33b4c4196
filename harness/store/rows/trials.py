"""Sweeps, trials, their curves and their artifacts, as rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import zstandard
from sqlalchemy import Connection, Engine, and_, insert, select, update

from harness.core.errors import Reason
from harness.core.ids import to_plain
from harness.core.sweep import Artifact, Epoch, Failure, Sweep, Timings, Trial, TrialOutcome
from harness.store.database import now, write_transaction
from harness.store.rows.values import compress_text, insert_missing, is_any_of, replace_nul, to_json
from harness.store.tables import artifacts, epochs, failures, sweep_trials, trial_artifacts, trials

_LONGEST_NAME = 200
DONE, FAILED, PLANNED, STOPPED = "done", "failed", "planned", "stopped"


@dataclass(frozen=True)
class TrialState:
    """What the database knows of a trial; `artifacts` maps format to SHA-256, the newest of each."""

    status: str
    artifacts: Mapping[str, str]
    reason: str | None = None

    @property
    def done(self) -> bool:
        return self.status == DONE

    @property
    def outclassed(self) -> bool:
        """Ended early by a search, as others did better."""
        return self.status == STOPPED and self.reason == Reason.OUTCLASSED


class TrialRows:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_states(self, wanted: Iterable[Trial]) -> dict[str, TrialState]:
        """Of those trials that were ever submitted, by id."""
        ids = {trial.id for trial in wanted}
        with self._engine.connect() as connection:
            known = connection.execute(
                select(trials.c.id, trials.c.status, trials.c.reason).where(
                    is_any_of(connection.dialect, trials.c.id, ids)
                )
            ).all()
            made = connection.execute(
                select(trial_artifacts.c.trial_id, artifacts.c.format, artifacts.c.sha256)
                .join(artifacts, artifacts.c.sha256 == trial_artifacts.c.artifact)
                .where(is_any_of(connection.dialect, trial_artifacts.c.trial_id, ids))
                .order_by(trial_artifacts.c.created_at)
            ).all()
        files: dict[str, dict[str, str]] = {}
        for trial_id, form, sha256 in made:
            files.setdefault(trial_id, {})[form] = sha256
        return {
            trial_id: TrialState(status, files.get(trial_id, {}), reason=reason)
            for trial_id, status, reason in known
        }

    def get_sweep_artifacts(self, name: str) -> list[str]:
        """The artifacts of a sweep's finished trials, whoever trained them first; twins follow each other."""
        query = (
            select(trial_artifacts.c.artifact, trials.c.twin)
            .join(sweep_trials, sweep_trials.c.trial_id == trial_artifacts.c.trial_id)
            .where(sweep_trials.c.sweep == name)
            .join(trials, trials.c.id == trial_artifacts.c.trial_id)
            .order_by(trial_artifacts.c.created_at)
        )
        twins: dict[str, list[str]] = {}
        with self._engine.connect() as connection:
            for artifact, twin in connection.execute(query):
                twins.setdefault(twin, []).append(artifact)
        return list(dict.fromkeys(artifact for alike in twins.values() for artifact in alike))

    def list_sweeps(self) -> list[str]:
        with self._engine.connect() as connection:
            return list(
                connection.scalars(
                    select(sweep_trials.c.sweep).distinct().order_by(sweep_trials.c.sweep)
                )
            )

    def submit(self, sweep: Sweep, again: Sequence[Trial]) -> None:
        """Writes the sweep's trials down as planned; `again` are those to be run, whatever came of them before."""
        with write_transaction(self._engine) as connection:
            _plan(connection, sweep.name, wanted=sweep.trials, again=again)

    def submit_point(self, sweep: str, point: Mapping[str, Any], sampled: Sequence[Trial]) -> None:
        """Writes down the trials of a point that the sweep's search has just begun to try."""
        with write_transaction(self._engine) as connection:
            _plan(connection, sweep, wanted=sampled, again=sampled, point=to_json(dict(point)))

    def list_points(self, sweep: str) -> list[dict[str, Any]]:
        """Those that the sweep's search has begun to try, each once, the first one first."""
        query = (
            select(sweep_trials.c.point)
            .where(sweep_trials.c.sweep == sweep, sweep_trials.c.point.is_not(None))
            .order_by(sweep_trials.c.submitted_at)
        )
        with self._engine.connect() as connection:
            return [json.loads(point) for point in dict.fromkeys(connection.scalars(query))]

    def get_curves(self, wanted: Iterable[Trial]) -> dict[str, tuple[Epoch, ...]]:
        """By trial."""
        found: dict[str, list[Epoch]] = {}
        query = (
            select(epochs)
            .where(
                is_any_of(self._engine.dialect, epochs.c.trial_id, {trial.id for trial in wanted})
            )
            .order_by(epochs.c.number)
        )
        with self._engine.connect() as connection:
            for row in connection.execute(query).mappings():
                values = dict(row)
                found.setdefault(values.pop("trial_id"), []).append(Epoch(**values))
        return {trial_id: tuple(curve) for trial_id, curve in found.items()}

    def get_artifact_sizes(self, wanted: Iterable[str]) -> dict[str, int]:
        """In bytes, by the artifact's SHA-256."""
        query = select(artifacts.c.sha256, artifacts.c.size_bytes).where(
            is_any_of(self._engine.dialect, artifacts.c.sha256, set(wanted))
        )
        with self._engine.connect() as connection:
            return {row.sha256: row.size_bytes for row in connection.execute(query)}

    def stop(self, trial_id: str, why: Failure) -> None:
        """It was ended before its time, and not by a fault."""
        stopped = {
            "status": STOPPED,
            "reason": str(why.reason),
            "message": why.message,
            "finished_at": now(),
        }
        with write_transaction(self._engine) as connection:
            connection.execute(update(trials).where(trials.c.id == trial_id).values(**stopped))

    def finish(self, outcome: TrialOutcome) -> None:
        """A finished trial, whole or not at all; a curve of an earlier run gives way to this one's."""
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(trials).where(trials.c.id == outcome.trial_id).values(**_finished(outcome))
            )
            connection.execute(epochs.delete().where(epochs.c.trial_id == outcome.trial_id))
            connection.execute(
                insert(epochs), [_epoch(outcome.trial_id, epoch) for epoch in outcome.curve]
            )
            for artifact in outcome.artifacts:
                _link(connection, outcome.trial_id, artifact=artifact)

    def fail(
        self,
        trial_id: str,
        failure: Failure,
        timings: Timings | None = None,
        node: str | None = None,
    ) -> None:
        at = now()
        told = {"reason": str(failure.reason), "message": replace_nul(failure.message)}
        with write_transaction(self._engine) as connection:
            ended = {
                **told,
                "status": FAILED,
                "finished_at": at,
                "node": node,
                **(asdict(timings) if timings else {}),
            }
            connection.execute(update(trials).where(trials.c.id == trial_id).values(**ended))
            row = {
                **told,
                "trial_id": trial_id,
                "failed_at": at,
                "log_zstd": compress_text(failure.log),
            }
            connection.execute(insert(failures), [row])

    def add_artifact(self, artifact: Artifact, name: str) -> None:
        """A model file of the user's own; the name that it had last is the one to call it by."""
        with write_transaction(self._engine) as connection:
            insert_missing(connection, artifacts, _artifact(artifact))
            connection.execute(
                update(artifacts)
                .where(artifacts.c.sha256 == artifact.sha256)
                .values(name=name[-_LONGEST_NAME:])
            )


def _plan(
    connection: Connection,
    sweep: str,
    wanted: Sequence[Trial],
    again: Sequence[Trial],
    point: str | None = None,
) -> None:
    at = now()
    for trial in wanted:
        insert_missing(connection, trials, _planned(trial, sweep, at=at))
        row = {"sweep": sweep, "trial_id": trial.id, "submitted_at": at, "point": point}
        insert_missing(connection, sweep_trials, row)
    ids = [trial.id for trial in again]
    connection.execute(
        update(trials)
        .where(is_any_of(connection.dialect, trials.c.id, ids))
        .values(status=PLANNED, reason=None, message=None)
    )


def _planned(trial: Trial, sweep: str, at: str) -> dict[str, Any]:
    return {
        "id": trial.id,
        "twin": trial.twin,
        "sweep": sweep,
        "model": trial.architecture,
        "parameters": to_json(to_plain(trial.parameters)),
        "precision": trial.precision.value,
        "dataset": trial.dataset,
        "recipe": to_json(to_plain(trial.recipe)),
        "seed": trial.seed,
        "status": PLANNED,
        "submitted_at": at,
    }


def _finished(outcome: TrialOutcome) -> dict[str, Any]:
    return {
        "status": DONE,
        "reason": None,
        "message": None,
        "accuracy": outcome.accuracy,
        "params": outcome.params,
        "node": outcome.node,
        "versions": to_json(dict(outcome.versions)),
        "finished_at": now(),
        **asdict(outcome.timings),
    }


def _epoch(trial_id: str, epoch: Epoch) -> dict[str, Any]:
    return {"trial_id": trial_id, **asdict(epoch)}


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {
        "sha256": artifact.sha256,
        "format": artifact.format,
        "size_bytes": artifact.size_bytes,
        "operators": to_json(dict(artifact.anatomy.operators)),
        "binary_macs": artifact.anatomy.binary_macs,
        "float_macs": artifact.anatomy.float_macs,
        "created_at": now(),
    }


def _link(connection: Connection, trial_id: str, artifact: Artifact) -> None:
    insert_missing(connection, artifacts, _artifact(artifact))
    same = and_(
        trial_artifacts.c.trial_id == trial_id, trial_artifacts.c.artifact == artifact.sha256
    )
    connection.execute(trial_artifacts.delete().where(same))
    row = {
        "trial_id": trial_id,
        "artifact": artifact.sha256,
        "accuracy": artifact.accuracy,
        "agreement": artifact.agreement,
        "correct_zstd": zstandard.compress(artifact.correct) if artifact.correct else None,
        "created_at": now(),
    }
    connection.execute(insert(trial_artifacts), [row])
