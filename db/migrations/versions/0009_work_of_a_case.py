"""The cases whose inputs have other shapes than the model file states."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("cases", sa.Column("resized", sa.Boolean(), nullable=True))
    # Without inputs of its own, a case has the file's shapes; those of others are not known now.
    cases = sa.table("cases", sa.column("inputs"), sa.column("resized"))
    op.execute(cases.update().where(cases.c.inputs.is_(None)).values(resized=sa.false()))
