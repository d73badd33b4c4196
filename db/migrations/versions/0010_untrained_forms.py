"""The forms of networks, and the untrained artifacts that are measured before any training."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "forms",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("precision", sa.String(length=16), nullable=True),
        sa.Column("input_shape", sa.Text(), nullable=True),
        sa.Column("classes", sa.Integer(), nullable=True),
        sa.Column("converter", sa.String(length=100), nullable=False),
        sa.Column("artifact", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("built_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["artifacts.sha256"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_forms_artifact", "forms", ["artifact"])
    op.add_column("trials", sa.Column("form", sa.String(length=16), nullable=True))
    op.create_index("ix_trials_form", "trials", ["form"])
