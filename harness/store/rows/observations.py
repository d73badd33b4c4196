"""Batches, canaries, answers, kernels and operators, as rows."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update

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
from harness.store.rows.cases import format_cpus
from harness.store.rows.values import compress_text, insert_missing, replace_nul
from harness.store.tables import answers, batches, canaries, kernels, operators


class ObservationRows:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin_batch(self, batch: Batch) -> None:
        with write_transaction(self._engine) as connection:
            insert_missing(connection, batches, to_plain(batch))

    def end_batch(self, batch: Batch) -> None:
        """What it waited for is known once it has ended."""
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(batches).where(batches.c.id == batch.id).values(to_plain(batch))
            )

    def add_canary(self, canary: Canary) -> None:
        row = _flat(canary)
        logs = {
            "stdout_zstd": compress_text(row.pop("stdout")),
            "stderr_zstd": compress_text(row.pop("stderr")),
        }
        with write_transaction(self._engine) as connection:
            connection.execute(
                insert(canaries), [{**row, **logs, "cpus": format_cpus(canary.cpus)}]
            )

    def list_canaries(self, devices: Collection[str]) -> list[Canary]:
        """Those that gave a number undisturbed, the oldest first, without their logs."""
        told = (
            canaries.c.device.in_(devices),
            canaries.c.latency_us.is_not(None),
            canaries.c.disturbed == "",
        )
        query = select(canaries).where(*told).order_by(canaries.c.id)
        with self._engine.connect() as connection:
            return [_canary(row) for row in connection.execute(query).mappings()]

    def add_answer(self, answer: AnswerCheck) -> None:
        key = [
            column == value
            for column, value in zip(
                answers.primary_key, _key(answer.artifact, answer), strict=True
            )
        ]
        with write_transaction(self._engine) as connection:
            connection.execute(delete(answers).where(*key))
            connection.execute(insert(answers), [_flat(answer)])

    def get_answers(self, devices: Collection[str]) -> dict[tuple[str, str, Tool], bool | None]:
        """By artifact, device and tool, whether the classes agreed; None where the tool could not tell."""
        query = select(answers).where(answers.c.device.in_(devices))
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return {
                (row["artifact"], row["device"], _tool(row)): row["classes_agree"] for row in rows
            }

    def add_kernels(self, found: Kernels) -> None:
        """The newest answer of a device and tool is the one that is kept."""
        key = [
            column == value
            for column, value in zip(kernels.primary_key, _key(found.device, found), strict=True)
        ]
        with write_transaction(self._engine) as connection:
            connection.execute(delete(kernels).where(*key))
            connection.execute(insert(kernels), [_flat(found)])

    def get_kernel_verdicts(
        self, devices: Collection[str]
    ) -> dict[tuple[str, Tool], KernelVerdict]:
        query = select(kernels).where(kernels.c.device.in_(devices))
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return {(row["device"], _tool(row)): KernelVerdict(row["verdict"]) for row in rows}

    def add_profile(self, case: Case, found: Sequence[OperatorTime]) -> None:
        at = now()
        rows = [
            {
                **to_plain(operator),
                "role": str(operator.role),
                "case_id": case.id,
                "profiled_at": at,
            }
            for operator in found
        ]
        with write_transaction(self._engine) as connection:
            connection.execute(insert(operators), rows)


def _flat(value: Canary | AnswerCheck | Kernels) -> dict[str, Any]:
    row = {**to_plain(value), "message": replace_nul(value.message)}
    tool = row.pop("tool")
    verdict = {"verdict": str(value.verdict)} if isinstance(value, Kernels) else {}
    return {
        **row,
        **verdict,
        "tool": tool["name"],
        "tool_sha256": tool["sha256"],
        "interpreter": tool["interpreter"],
    }


def _key(first: str, value: AnswerCheck | Kernels) -> tuple[str, ...]:
    device = (value.device,) if isinstance(value, AnswerCheck) else ()
    return (first, *device, value.tool.sha256, value.tool.interpreter)


def _tool(row: Any) -> Tool:
    return Tool(row["tool"], row["tool_sha256"], interpreter=row["interpreter"])


def _canary(row: Any) -> Canary:
    return Canary(
        row["batch"],
        row["device"],
        moment=row["moment"],
        measured_at=row["measured_at"],
        artifact=row["artifact"],
        tool=_tool(row),
        cpus=tuple(int(cpu) for cpu in row["cpus"].split(",") if cpu),
        latency_us=row["latency_us"],
        temperature_c=row["temperature_c"],
        frequency_khz=row["frequency_khz"],
    )
