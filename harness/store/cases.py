"""Cases, measurements, their runs and failures, as rows."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from harness import __version__
from harness.core.bench import Case, Measurement, Run
from harness.core.errors import CaseFailed
from harness.core.ids import plain
from harness.store.database import now, writing
from harness.store.rows import as_json, insert_missing, packed, storable
from harness.store.tables import cases, failures, measurements, runs


class CaseRows:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def measured(self, wanted: Iterable[Case]) -> set[str]:
        """The ids of those cases that have a valid measurement."""
        ids = [case.id for case in wanted]
        query = select(measurements.c.case_id).where(measurements.c.case_id.in_(ids), measurements.c.valid).distinct()
        with self._engine.connect() as connection:
            return set(connection.scalars(query))

    def finish(self, device_kind: str, measurement: Measurement) -> None:
        """A measurement and its runs, whole or not at all; earlier ones of the case stay."""
        with writing(self._engine) as connection:
            _plan(connection, measurement.case, device_kind)
            number = connection.scalars(
                insert(measurements).returning(measurements.c.id), [_measurement(measurement)]
            ).one()
            connection.execute(insert(runs), [_run(number, run) for run in measurement.runs])

    def fail(self, case: Case, device_kind: str, failure: CaseFailed) -> None:
        with writing(self._engine) as connection:
            _plan(connection, case, device_kind)
            row = {
                "case_id": case.id,
                "reason": str(failure.reason),
                "message": storable(str(failure)),
                "failed_at": now(),
            }
            connection.execute(insert(failures), [{**row, "log_zstd": packed(failure.log)}])


def _plan(connection: Connection, case: Case, device_kind: str) -> None:
    row = {
        "id": case.id,
        "artifact": case.artifact,
        "device": case.device,
        "device_kind": device_kind,
        "tool": case.tool.name,
        "tool_sha256": case.tool.sha256,
        "interpreter": case.tool.interpreter,
        "protocol": case.protocol.name,
        "protocol_settings": as_json(plain(case.protocol)),
        "threads": case.protocol.threads,
        "planned_at": now(),
    }
    insert_missing(connection, cases, row)


def _measurement(measurement: Measurement) -> dict[str, Any]:
    return {
        "case_id": measurement.case.id,
        "measured_at": measurement.measured_at,
        "artifact_run": measurement.artifact_sha256,
        **plain(measurement.summary),
        "facts": as_json(measurement.facts),
        "harness_version": __version__,
    }


def _run(measurement_id: int, run: Run) -> dict[str, Any]:
    timing = run.log.inference
    return {
        "measurement_id": measurement_id,
        "number": run.number,
        "started_at": run.started_at,
        "seconds": run.seconds,
        "exit_code": run.exit_code,
        **plain(timing),
        "init_us": run.log.init_us,
        "warmup_avg_us": run.log.warmup.avg_us if run.log.warmup else None,
        "peak_memory_bytes": run.log.peak_memory_bytes,
        "stdout_zstd": packed(run.stdout),
        "stderr_zstd": packed(run.stderr),
    }
