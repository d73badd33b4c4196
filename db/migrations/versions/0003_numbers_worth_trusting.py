"""Batches, sensor readings, canaries, answers, kernels and operators.

An artifact also gets a bit for each test image: whether its class was right.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SLOT = (("batch", sa.String(length=16)), ("block", sa.Integer()), ("position", sa.Integer()))


def upgrade() -> None:
    _add("trial_artifacts", ("correct_zstd", sa.LargeBinary()))
    _add_required("measurements", "disturbed_runs", kind=sa.Integer(), default="0")
    floats = ("temperature_c", "frequency_khz", "energy_low_uj", "energy_high_uj")
    _add("measurements", *((name, sa.Float()) for name in floats))
    floats = ("p5_us", "median_us", "p95_us", "frequency_khz", "busy", "power_uw")
    _add("runs", *_SLOT, *((name, sa.Float()) for name in floats))
    _add(
        "runs",
        ("resident_memory_bytes", sa.BigInteger()),
        ("throttled", sa.Boolean()),
        ("watch_zstd", sa.LargeBinary()),
    )
    _add_required("runs", "disturbed", kind=sa.String(length=200), default="")
    _add("pending_runs", *_SLOT, ("watch_zstd", sa.LargeBinary()))
    op.drop_column("pending_runs", "temperature_c")
    _batches()
    _canaries()
    _answers()
    _kernels()
    _operators()


def _add(table: str, *columns: tuple[str, sa.types.TypeEngine]) -> None:
    for name, kind in columns:
        op.add_column(table, sa.Column(name, kind, nullable=True))


def _add_required(table: str, name: str, kind: sa.types.TypeEngine, default: str) -> None:
    op.add_column(table, sa.Column(name, kind, server_default=default, nullable=False))


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.String(length=32), nullable=False),
        sa.Column("ordering", sa.String(length=16), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("waited_s", sa.Float(), server_default="0", nullable=False),
        sa.Column("waited_for", sa.Text(), server_default="", nullable=False),
        sa.Column("idle_power_uw", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_batches_device", "batches", ["device"])


def _canaries() -> None:
    op.create_table(
        "canaries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("moment", sa.String(length=8), nullable=False),
        sa.Column("measured_at", sa.String(length=32), nullable=False),
        sa.Column("artifact", sa.String(length=64), nullable=False),
        sa.Column("tool", sa.String(length=100), nullable=False),
        sa.Column("tool_sha256", sa.String(length=64), nullable=False),
        sa.Column("interpreter", sa.String(length=100), nullable=False),
        sa.Column("cpus", sa.String(length=200), nullable=False),
        sa.Column("latency_us", sa.Float(), nullable=True),
        sa.Column("temperature_c", sa.Float(), nullable=True),
        sa.Column("frequency_khz", sa.Float(), nullable=True),
        sa.Column("disturbed", sa.String(length=200), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("stdout_zstd", sa.LargeBinary(), nullable=False),
        sa.Column("stderr_zstd", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_canaries_batch", "canaries", ["batch"])
    op.create_index("ix_canaries_device", "canaries", ["device"])


def _answers() -> None:
    op.create_table(
        "answers",
        sa.Column("artifact", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("tool_sha256", sa.String(length=64), nullable=False),
        sa.Column("interpreter", sa.String(length=100), nullable=False),
        sa.Column("tool", sa.String(length=100), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("largest_difference", sa.Float(), nullable=True),
        sa.Column("classes_agree", sa.Boolean(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["artifacts.sha256"]),
        sa.PrimaryKeyConstraint("artifact", "device", "tool_sha256", "interpreter"),
    )


def _kernels() -> None:
    op.create_table(
        "kernels",
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("tool_sha256", sa.String(length=64), nullable=False),
        sa.Column("interpreter", sa.String(length=100), nullable=False),
        sa.Column("tool", sa.String(length=100), nullable=False),
        sa.Column("ratio", sa.Float(), nullable=True),
        sa.Column("ratio_low", sa.Float(), nullable=True),
        sa.Column("ratio_high", sa.Float(), nullable=True),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("device", "tool_sha256", "interpreter"),
    )


def _operators() -> None:
    op.create_table(
        "operators",
        sa.Column("case_id", sa.String(length=16), nullable=False),
        sa.Column("profiled_at", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=200), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("avg_us", sa.Float(), nullable=False),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("case_id", "profiled_at", "number"),
    )
