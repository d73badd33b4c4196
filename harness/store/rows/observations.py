"""Batches, canaries, answer checks, kernel checks and operator profiles."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Engine, insert, select, update

from harness.core.bench import Case, Tool
from harness.core.ids import to_plain
from harness.core.observations import (
    AnswerCheck,
    Batch,
    Canary,
    Kernels,
    KernelVerdict,
    OperatorTime,
)
from harness.store.database import now, write_transaction
from harness.store.rows.cases import format_cpus, parse_cpus
from harness.store.rows.values import (
    compress_text,
    insert_missing,
    insert_or_replace,
    make_storable,
)
from harness.store.tables import answers, batches, canaries, kernels, operators


class ObservationRows:
    """Batches of cases, and what was observed beside: canaries, answers, kernels, operators."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin_batch(self, batch: Batch) -> None:
        with write_transaction(self._engine) as connection:
            insert_missing(connection, batches, to_plain(batch))

    def end_batch(self, batch: Batch) -> None:
        """Store the batch again, with how long it waited and for what."""
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(batches).where(batches.c.id == batch.id).values(to_plain(batch))
            )

    def add_canary(self, canary: Canary) -> None:
        row = _to_columns(canary)
        logs = {
            "stdout_zstd": compress_text(row.pop("stdout")),
            "stderr_zstd": compress_text(row.pop("stderr")),
        }
        with write_transaction(self._engine) as connection:
            connection.execute(
                insert(canaries), [{**row, **logs, "cpus": format_cpus(canary.cpus)}]
            )

    def list_canaries(self, devices: Collection[str]) -> list[Canary]:
        """Return the undisturbed canaries that gave a latency, oldest first, without their logs."""
        query = (
            select(canaries)
            .where(
                canaries.c.device.in_(devices),
                canaries.c.latency_us.is_not(None),
                canaries.c.disturbed == "",
            )
            .order_by(canaries.c.id)
        )
        with self._engine.connect() as connection:
            return [_canary_from_row(row) for row in connection.execute(query).mappings()]

    def add_answer(self, answer: AnswerCheck) -> None:
        """Store an answer check, in place of an earlier one of the artifact, device and tool."""
        with write_transaction(self._engine) as connection:
            insert_or_replace(connection, answers, row=_to_columns(answer))

    def get_answers(self, devices: Collection[str]) -> dict[tuple[str, str, Tool], bool | None]:
        """Return by artifact, device and tool whether the classes agreed; None if unknown."""
        query = select(answers).where(answers.c.device.in_(devices))
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return {
                (row["artifact"], row["device"], _tool_from_row(row)): row["classes_agree"]
                for row in rows
            }

    def add_kernels(self, check: Kernels) -> None:
        """Store a kernel check, in place of an earlier one of the device and tool."""
        with write_transaction(self._engine) as connection:
            insert_or_replace(connection, kernels, row=_to_columns(check))

    def get_kernel_verdicts(
        self, devices: Collection[str]
    ) -> dict[tuple[str, Tool], KernelVerdict]:
        query = select(kernels).where(kernels.c.device.in_(devices))
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return {
                (row["device"], _tool_from_row(row)): KernelVerdict(row["verdict"]) for row in rows
            }

    def add_profile(self, case: Case, profile: Sequence[OperatorTime]) -> None:
        profiled_at = now()
        rows = [
            {
                **to_plain(operator),
                "role": str(operator.role),
                "case_id": case.id,
                "profiled_at": profiled_at,
            }
            for operator in profile
        ]
        with write_transaction(self._engine) as connection:
            connection.execute(insert(operators), rows)


def _to_columns(observation: Canary | AnswerCheck | Kernels) -> dict[str, Any]:
    row = {**to_plain(observation), "message": make_storable(observation.message)}
    tool = row.pop("tool")
    verdict = {"verdict": str(observation.verdict)} if isinstance(observation, Kernels) else {}
    return {
        **row,
        **verdict,
        "tool": tool["name"],
        "tool_sha256": tool["sha256"],
        "interpreter": tool["interpreter"],
    }


def _tool_from_row(row: Any) -> Tool:
    return Tool(row["tool"], row["tool_sha256"], interpreter=row["interpreter"])


def _canary_from_row(row: Any) -> Canary:
    return Canary(
        row["batch"],
        row["device"],
        moment=row["moment"],
        measured_at=row["measured_at"],
        artifact=row["artifact"],
        tool=_tool_from_row(row),
        cpus=parse_cpus(row["cpus"]),
        latency_us=row["latency_us"],
        temperature_c=row["temperature_c"],
        frequency_khz=row["frequency_khz"],
    )
