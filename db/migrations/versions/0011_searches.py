"""Searches: what a sweep looks for, and the devices that its objectives and constraints name."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "searches",
        sa.Column("sweep", sa.String(length=200), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=True),
        sa.Column("space", sa.Text(), nullable=True),
        sa.Column("submitted_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("sweep"),
    )
    op.create_table(
        "search_metrics",
        sa.Column("sweep", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("device", sa.String(length=200), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=True),
        sa.Column("threads", sa.Integer(), nullable=True),
        sa.Column("at_most", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["sweep"], ["searches.sweep"]),
        sa.PrimaryKeyConstraint("sweep", "number", "device"),
    )
