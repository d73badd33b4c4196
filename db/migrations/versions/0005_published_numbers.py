"""Published latencies, and indexes for a million runs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "published",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("precision", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("latency_us", sa.Float(), nullable=False),
        sa.Column("accuracy", sa.Float(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("dated", sa.String(length=32), nullable=False),
        sa.Column("imported_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("model", "precision", "device", "threads", "source", "dated"),
    )
    op.create_index("ix_sweep_trials_trial_id", "sweep_trials", ["trial_id"])
    # Each also serves queries of its first column alone.
    op.create_index(
        "ix_measurements_newest", "measurements", ["case_id", "valid", "measured_at", "id"]
    )
    op.drop_index("ix_measurements_case_id", "measurements")
    op.create_index("ix_cases_place", "cases", ["artifact", "device"])
    op.drop_index("ix_cases_artifact", "cases")
    op.create_index("ix_runs_spread", "runs", ["measurement_id", "disturbed", "avg_us"])
    op.drop_index("ix_runs_measurement_id", "runs")
    op.create_index("ix_measurements_measured_at", "measurements", ["measured_at"])
