"""The inputs that a case was measured with, and the signature of a model file."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("cases", sa.Column("inputs", sa.Text(), nullable=True))
    op.add_column("artifacts", sa.Column("signature", sa.Text(), nullable=True))
