"""Sweeps, trials, their curves and their artifacts, as rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import zstandard
from sqlalchemy import Connection, Engine, and_, insert, select, update

from harness.core.ids import plain
from harness.core.sweep import Artifact, Epoch, Failure, Sweep, Timings, Trial, TrialOutcome
from harness.store.database import now, writing
from harness.store.rows import as_json, insert_missing, packed, storable
from harness.store.tables import artifacts, epochs, failures, sweep_trials, trial_artifacts, trials

_LONGEST_NAME = 200
DONE, FAILED, PLANNED = "done", "failed", "planned"


@dataclass(frozen=True)
class TrialState:
    """What the database knows of a trial; `artifacts` maps format to SHA-256, the newest of each."""

    status: str
    artifacts: Mapping[str, str]


class TrialRows:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def states(self, wanted: Iterable[Trial]) -> dict[str, TrialState]:
        """Of those trials that were ever submitted, by id."""
        ids = {trial.id for trial in wanted}
        with self._engine.connect() as connection:
            known = connection.execute(select(trials.c.id, trials.c.status).where(trials.c.id.in_(ids))).all()
            made = connection.execute(
                select(trial_artifacts.c.trial_id, artifacts.c.format, artifacts.c.sha256)
                .join(artifacts, artifacts.c.sha256 == trial_artifacts.c.artifact)
                .where(trial_artifacts.c.trial_id.in_(ids))
                .order_by(trial_artifacts.c.created_at)
            ).all()
        files: dict[str, dict[str, str]] = {}
        for trial_id, form, sha256 in made:
            files.setdefault(trial_id, {})[form] = sha256
        return {trial_id: TrialState(status, files.get(trial_id, {})) for trial_id, status in known}

    def of_sweep(self, name: str) -> list[str]:
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

    def sweeps(self) -> list[str]:
        with self._engine.connect() as connection:
            return list(connection.scalars(select(sweep_trials.c.sweep).distinct().order_by(sweep_trials.c.sweep)))

    def submit(self, sweep: Sweep, again: Sequence[Trial]) -> None:
        """Writes the sweep's trials down as planned; `again` are those to be run, whatever came of them before."""
        at = now()
        with writing(self._engine) as connection:
            for trial in sweep.trials:
                insert_missing(connection, trials, _planned(trial, sweep.name, at))
                insert_missing(
                    connection, sweep_trials, {"sweep": sweep.name, "trial_id": trial.id, "submitted_at": at}
                )
            ids = [trial.id for trial in again]
            connection.execute(
                update(trials).where(trials.c.id.in_(ids)).values(status=PLANNED, reason=None, message=None)
            )

    def finish(self, outcome: TrialOutcome) -> None:
        """A finished trial, whole or not at all; a curve of an earlier run gives way to this one's."""
        with writing(self._engine) as connection:
            connection.execute(update(trials).where(trials.c.id == outcome.trial_id).values(**_finished(outcome)))
            connection.execute(epochs.delete().where(epochs.c.trial_id == outcome.trial_id))
            connection.execute(insert(epochs), [_epoch(outcome.trial_id, epoch) for epoch in outcome.curve])
            for artifact in outcome.artifacts:
                _link(connection, outcome.trial_id, artifact)

    def fail(self, trial_id: str, failure: Failure, timings: Timings | None = None, node: str | None = None) -> None:
        at = now()
        told = {"reason": str(failure.reason), "message": storable(failure.message)}
        with writing(self._engine) as connection:
            ended = {**told, "status": FAILED, "finished_at": at, "node": node, **(asdict(timings) if timings else {})}
            connection.execute(update(trials).where(trials.c.id == trial_id).values(**ended))
            row = {**told, "trial_id": trial_id, "failed_at": at, "log_zstd": packed(failure.log)}
            connection.execute(insert(failures), [row])

    def add_artifact(self, artifact: Artifact, name: str) -> None:
        """A model file of the user's own; the name that it had last is the one to call it by."""
        with writing(self._engine) as connection:
            insert_missing(connection, artifacts, _artifact(artifact))
            connection.execute(
                update(artifacts).where(artifacts.c.sha256 == artifact.sha256).values(name=name[-_LONGEST_NAME:])
            )


def _planned(trial: Trial, sweep: str, at: str) -> dict[str, Any]:
    return {
        "id": trial.id,
        "twin": trial.twin,
        "sweep": sweep,
        "model": trial.architecture,
        "parameters": as_json(plain(trial.parameters)),
        "precision": trial.precision.value,
        "dataset": trial.dataset,
        "recipe": as_json(plain(trial.recipe)),
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
        "versions": as_json(dict(outcome.versions)),
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
        "operators": as_json(dict(artifact.anatomy.operators)),
        "binary_macs": artifact.anatomy.binary_macs,
        "float_macs": artifact.anatomy.float_macs,
        "created_at": now(),
    }


def _link(connection: Connection, trial_id: str, artifact: Artifact) -> None:
    insert_missing(connection, artifacts, _artifact(artifact))
    same = and_(trial_artifacts.c.trial_id == trial_id, trial_artifacts.c.artifact == artifact.sha256)
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
