"""Cases, measurements, their runs and failures."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
)

from harness import __version__
from harness.core.bench import (
    BatchSlot,
    Case,
    Gates,
    Measurement,
    Process,
    Protocol,
    Run,
    Summary,
    Tool,
    parse_inputs,
)
from harness.core.errors import CaseFailed
from harness.core.ids import content_id, omit_defaults, to_plain
from harness.core.quality import format_quality, parse_quality
from harness.store.database import now, write_transaction
from harness.store.rows.values import (
    compress_text,
    decompress_text,
    insert_missing,
    insert_or_replace,
    is_any_of,
    make_storable,
    to_json,
)
from harness.store.tables import artifacts, cases, failures, measurements, pending_runs, queue, runs

_SLOT_COLUMNS = tuple(field.name for field in fields(BatchSlot))


class CaseRows:
    """Cases, their measurements with the runs of each, and their failures.

    Measurements and failures are only ever added. A case that two threads finish has two
    measurements, and the view `results` shows the newer one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_first_measurements(
        self, devices: Collection[str], artifacts: Collection[str]
    ) -> dict[str, int]:
        """Return the first valid measurement of the artifacts' cases on these devices, by case."""
        query = (
            select(measurements.c.case_id, func.min(measurements.c.id).label("number"))
            .join(cases, cases.c.id == measurements.c.case_id)
            .where(self._is_among(devices, artifacts), measurements.c.valid)
            .group_by(measurements.c.case_id)
        )
        with self._engine.connect() as connection:
            return {row.case_id: row.number for row in connection.execute(query)}

    def get_pending_processes(
        self, devices: Collection[str], artifacts: Collection[str]
    ) -> dict[str, list[Process]]:
        """Return the processes that have ended of cases that have not, by case."""
        query = (
            select(pending_runs)
            .join(cases, cases.c.id == pending_runs.c.case_id)
            .where(self._is_among(devices, artifacts))
            .order_by(pending_runs.c.case_id, pending_runs.c.number)
        )
        processes: dict[str, list[Process]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query).mappings():
                processes.setdefault(row["case_id"], []).append(process_from_row(row))
        return processes

    def _is_among(
        self, devices: Collection[str], artifacts: Collection[str]
    ) -> ColumnElement[bool]:
        """Return the condition that a case is of these devices and artifacts."""
        dialect = self._engine.dialect
        return and_(
            is_any_of(dialect, cases.c.device, values=devices),
            is_any_of(dialect, cases.c.artifact, values=artifacts),
        )

    def filter_binary(self, candidates: Collection[str]) -> frozenset[str]:
        """Return those of the artifacts that have binary layers."""
        query = select(artifacts.c.sha256).where(
            is_any_of(self._engine.dialect, artifacts.c.sha256, values=candidates),
            # The binary work is unknown only where there is some.
            or_(artifacts.c.binary_macs > 0, artifacts.c.binary_macs.is_(None)),
        )
        with self._engine.connect() as connection:
            return frozenset(connection.scalars(query))

    def plan(self, planned: Sequence[Case], device_kind: str) -> None:
        """Store the cases, if they are new."""
        rows = [_case_columns(case, device_kind) for case in planned]
        with write_transaction(self._engine) as connection:
            insert_missing(connection, cases, *rows)

    def add_pending_run(self, case: Case, process: Process) -> None:
        """Store a process that has ended while its case goes on.

        It replaces an earlier process of the same number, whose output could not be read.
        """
        row = {
            "case_id": case.id,
            **_process_columns(process),
            "artifact_sha256": process.artifact_sha256,
        }
        with write_transaction(self._engine) as connection:
            insert_or_replace(connection, pending_runs, row=row)

    def drop_pending_runs(self, planned: Iterable[Case]) -> None:
        """Delete the pending runs of cases that start again with their first process."""
        ids = [case.id for case in planned]
        with write_transaction(self._engine) as connection:
            condition = is_any_of(connection.dialect, pending_runs.c.case_id, values=ids)
            connection.execute(delete(pending_runs).where(condition))

    def finish(self, device_kind: str, measurement: Measurement) -> None:
        """Store a measurement with its runs, beside earlier ones of the case."""
        case = measurement.case
        with write_transaction(self._engine) as connection:
            insert_missing(connection, cases, _case_columns(case, device_kind))
            measurement_id = connection.scalars(
                insert(measurements).returning(measurements.c.id),
                [_measurement_columns(measurement)],
            ).one()
            connection.execute(
                insert(runs),
                [
                    {
                        "measurement_id": measurement_id,
                        **_process_columns(run.process),
                        **run_columns(run),
                    }
                    for run in measurement.runs
                ],
            )
            connection.execute(delete(pending_runs).where(pending_runs.c.case_id == case.id))
            unqueue(
                connection, case.device, artifact=case.artifact, protocol=protocol_id(case.protocol)
            )

    def fail(self, case: Case, device_kind: str, failure: CaseFailed) -> None:
        """Store why the case has ended for now.

        Its pending runs stay: they can be parsed again, and a later bench continues after them.
        """
        with write_transaction(self._engine) as connection:
            insert_missing(connection, cases, _case_columns(case, device_kind))
            connection.execute(insert(failures), [{"case_id": case.id, **failure_row(failure)}])
            unqueue(
                connection, case.device, artifact=case.artifact, protocol=protocol_id(case.protocol)
            )


def failure_row(failure: CaseFailed) -> dict[str, Any]:
    return {
        "reason": str(failure.reason),
        "message": make_storable(str(failure)),
        "log_zstd": compress_text(failure.log),
        "failed_at": now(),
    }


def format_cpus(cpus: Sequence[int]) -> str:
    return ",".join(map(str, cpus))


def parse_cpus(text: str) -> tuple[int, ...]:
    return tuple(int(cpu) for cpu in text.split(",") if cpu)


def protocol_id(protocol: Protocol) -> str:
    return content_id(omit_defaults(protocol))


def unqueue(connection: Connection, device: str, artifact: str, protocol: str) -> None:
    key = (queue.c.device == device, queue.c.artifact == artifact, queue.c.protocol_id == protocol)
    connection.execute(delete(queue).where(*key))


def _case_columns(case: Case, device_kind: str) -> dict[str, Any]:
    return {
        "id": case.id,
        "artifact": case.artifact,
        "device": case.device,
        "device_kind": device_kind,
        "tool": case.tool.name,
        "tool_sha256": case.tool.sha256,
        "interpreter": case.tool.interpreter,
        "protocol": case.protocol.name,
        "protocol_settings": to_json(to_plain(case.protocol)),
        "threads": case.protocol.threads,
        "cpus": format_cpus(case.cpus),
        "inputs": to_json(omit_defaults(case.inputs)) if case.inputs else None,
        "resized": any(entry.resized for entry in case.inputs),
        "planned_at": now(),
    }


def _measurement_columns(measurement: Measurement) -> dict[str, Any]:
    return {
        "case_id": measurement.case.id,
        "measured_at": measurement.measured_at,
        "artifact_run": measurement.artifact_sha256,
        **summary_columns(measurement.summary),
        "facts": to_json(measurement.facts),
        "harness_version": __version__,
    }


def summary_columns(summary: Summary) -> dict[str, Any]:
    """Return the columns of a measurement's numbers; its warnings are the text of `quality`."""
    columns: dict[str, Any] = to_plain(summary)
    del columns["warnings"]
    return {**columns, "quality": format_quality(summary.warnings)}


def summary_from_row(row: RowMapping) -> Summary:
    names = (field.name for field in fields(Summary) if field.name != "warnings")
    return Summary(**{name: row[name] for name in names}, warnings=parse_quality(row["quality"]))


def run_columns(run: Run) -> dict[str, Any]:
    """Return the columns of the numbers that were parsed from a run's output."""
    return {
        **to_plain(run.log.inference),
        **to_plain(run.sensors),
        "init_us": run.log.init_us,
        "warmup_avg_us": run.log.warmup.avg_us if run.log.warmup else None,
        "peak_memory_bytes": run.log.peak_memory_bytes,
        "resident_memory_bytes": run.log.resident_memory_bytes,
        "disturbed": run.disturbed,
    }


def _process_columns(process: Process) -> dict[str, Any]:
    return {
        "number": process.number,
        "started_at": process.started_at,
        "seconds": process.seconds,
        "exit_code": process.exit_code,
        **(to_plain(process.slot) if process.slot else dict.fromkeys(_SLOT_COLUMNS)),
        "stdout_zstd": compress_text(process.stdout),
        "stderr_zstd": compress_text(process.stderr),
        "watch_zstd": compress_text(process.watch) if process.watch else None,
    }


def process_from_row(row: RowMapping, artifact: str | None = None) -> Process:
    """Return the process of a row; `artifact` is what it ran, unless the row has it."""
    return Process(
        row["number"],
        row["started_at"],
        seconds=row["seconds"],
        exit_code=row["exit_code"],
        stdout=decompress_text(row["stdout_zstd"]),
        stderr=decompress_text(row["stderr_zstd"]),
        watch=decompress_text(row["watch_zstd"]) if row["watch_zstd"] is not None else "",
        artifact_sha256=artifact or row["artifact_sha256"],
        slot=BatchSlot(*(row[name] for name in _SLOT_COLUMNS))
        if row["batch"] is not None
        else None,
    )


def case_from_row(row: RowMapping) -> Case:
    """Return the case as it was planned, from a row with the columns of `cases`."""
    return Case(
        row["artifact"],
        row["device"],
        tool=Tool(row["tool"], row["tool_sha256"], interpreter=row["interpreter"]),
        protocol=_protocol_from_settings(json.loads(row["protocol_settings"])),
        cpus=parse_cpus(row["cpus"]),
        inputs=parse_inputs(row["inputs"]),
    )


def _protocol_from_settings(settings: dict[str, Any]) -> Protocol:
    gates = settings.get("gates")
    return Protocol(**{**settings, "gates": Gates(**gates) if gates else None})
