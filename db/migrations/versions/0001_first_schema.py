"""The first schema: sweeps, trials, artifacts, cases, measurements, runs, failures."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("format", sa.String(length=32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("operators", sa.Text(), nullable=False),
        sa.Column("binary_macs", sa.BigInteger(), nullable=False),
        sa.Column("float_macs", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "trials",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("twin", sa.String(length=16), nullable=False),
        sa.Column("sweep", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("precision", sa.String(length=16), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("accuracy", sa.Float(), nullable=True),
        sa.Column("params", sa.BigInteger(), nullable=True),
        sa.Column("node", sa.String(length=200), nullable=True),
        sa.Column("versions", sa.Text(), nullable=True),
        sa.Column("waiting_s", sa.Float(), nullable=True),
        sa.Column("import_s", sa.Float(), nullable=True),
        sa.Column("data_s", sa.Float(), nullable=True),
        sa.Column("fit_s", sa.Float(), nullable=True),
        sa.Column("convert_s", sa.Float(), nullable=True),
        sa.Column("evaluate_s", sa.Float(), nullable=True),
        sa.Column("submitted_at", sa.String(length=32), nullable=False),
        sa.Column("finished_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_trials_sweep"), "trials", ["sweep"], unique=False)
    op.create_index(op.f("ix_trials_twin"), "trials", ["twin"], unique=False)
    op.create_table(
        "cases",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("artifact", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("device_kind", sa.String(length=16), nullable=False),
        sa.Column("tool", sa.String(length=100), nullable=False),
        sa.Column("tool_sha256", sa.String(length=64), nullable=False),
        sa.Column("interpreter", sa.String(length=100), nullable=False),
        sa.Column("protocol", sa.String(length=32), nullable=False),
        sa.Column("protocol_settings", sa.Text(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("planned_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact"],
            ["artifacts.sha256"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_cases_artifact"), "cases", ["artifact"], unique=False)
    op.create_index(op.f("ix_cases_device"), "cases", ["device"], unique=False)
    op.create_table(
        "epochs",
        sa.Column("trial_id", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Float(), nullable=False),
        sa.Column("accuracy", sa.Float(), nullable=False),
        sa.Column("validation_loss", sa.Float(), nullable=True),
        sa.Column("validation_accuracy", sa.Float(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["trial_id"],
            ["trials.id"],
        ),
        sa.PrimaryKeyConstraint("trial_id", "number"),
    )
    op.create_table(
        "sweep_trials",
        sa.Column("sweep", sa.String(length=200), nullable=False),
        sa.Column("trial_id", sa.String(length=16), nullable=False),
        sa.Column("submitted_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["trial_id"],
            ["trials.id"],
        ),
        sa.PrimaryKeyConstraint("sweep", "trial_id"),
    )
    op.create_table(
        "trial_artifacts",
        sa.Column("trial_id", sa.String(length=16), nullable=False),
        sa.Column("artifact", sa.String(length=64), nullable=False),
        sa.Column("accuracy", sa.Float(), nullable=False),
        sa.Column("agreement", sa.Float(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact"],
            ["artifacts.sha256"],
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"],
            ["trials.id"],
        ),
        sa.PrimaryKeyConstraint("trial_id", "artifact"),
    )
    op.create_index(
        op.f("ix_trial_artifacts_artifact"), "trial_artifacts", ["artifact"], unique=False
    )
    op.create_table(
        "failures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.String(length=16), nullable=True),
        sa.Column("case_id", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("log_zstd", sa.LargeBinary(), nullable=False),
        sa.Column("failed_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"],
            ["trials.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_failures_case_id"), "failures", ["case_id"], unique=False)
    op.create_index(op.f("ix_failures_trial_id"), "failures", ["trial_id"], unique=False)
    op.create_table(
        "measurements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(length=16), nullable=False),
        sa.Column("measured_at", sa.String(length=32), nullable=False),
        sa.Column("valid", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("artifact_run", sa.String(length=64), nullable=False),
        sa.Column("latency_us", sa.Float(), nullable=False),
        sa.Column("latency_low_us", sa.Float(), nullable=True),
        sa.Column("latency_high_us", sa.Float(), nullable=True),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("energy_uj", sa.Float(), nullable=True),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("harness_version", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_measurements_case_id"), "measurements", ["case_id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("measurement_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.String(length=32), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_us", sa.Float(), nullable=False),
        sa.Column("min_us", sa.Float(), nullable=False),
        sa.Column("max_us", sa.Float(), nullable=False),
        sa.Column("avg_us", sa.Float(), nullable=False),
        sa.Column("std_us", sa.Float(), nullable=True),
        sa.Column("init_us", sa.Float(), nullable=True),
        sa.Column("warmup_avg_us", sa.Float(), nullable=True),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("stdout_zstd", sa.LargeBinary(), nullable=False),
        sa.Column("stderr_zstd", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["measurement_id"],
            ["measurements.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_runs_measurement_id"), "runs", ["measurement_id"], unique=False)
