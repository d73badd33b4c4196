"""Add what TensorFlow saw when it trained a trial, and warnings about the trained network."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("trials", sa.Column("processors", sa.Text(), nullable=True))
    op.add_column("trials", sa.Column("quality", sa.Text(), nullable=True))
