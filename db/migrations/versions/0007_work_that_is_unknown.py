"""Multiply-accumulates may be unknown; counts that earlier versions got wrong become unknown.

Earlier versions took 0 for operators that they could not count, and each loop as one run.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_COLUMNS = ("binary_macs", "float_macs")
_LOOPS = {"WHILE", "IF", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_COMPOSITE"}
_MISCOUNTED = {
    *("BATCH_MATMUL", "CONV_3D", "CONV_3D_TRANSPOSE", "SVDF", "LSTM", "RNN", "RFFT2D"),
    *("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"),
    *("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"),
    *("EMBEDDING_LOOKUP_SPARSE", "LSH_PROJECTION", "DELEGATE"),
    *("STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL", "STABLEHLO_CUSTOM_CALL"),
    *("STABLEHLO_REDUCE", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER", "STABLEHLO_SORT"),
}


def upgrade() -> None:
    _allow_null()
    artifacts = sa.table(
        "artifacts", sa.column("sha256"), sa.column("operators"), *map(sa.column, _COLUMNS)
    )
    connection = op.get_bind()
    for sha256, operators in connection.execute(
        sa.select(artifacts.c.sha256, artifacts.c.operators)
    ).all():
        if unknown := _list_unknown(set(json.loads(operators))):
            connection.execute(
                artifacts.update()
                .where(artifacts.c.sha256 == sha256)
                .values(dict.fromkeys(unknown))
            )


def _allow_null() -> None:
    if op.get_bind().dialect.name != "sqlite":
        for name in _COLUMNS:
            op.alter_column("artifacts", name, nullable=True)
        return
    # SQLite can't alter a column, and other tables refer to this one, so it can't be replaced.
    for name in _COLUMNS:
        op.add_column("artifacts", sa.Column("counted", sa.BigInteger(), nullable=True))
        artifacts = sa.table("artifacts", sa.column("counted"), sa.column(name))
        op.execute(artifacts.update().values(counted=artifacts.c[name]))
        op.drop_column("artifacts", name)
        op.execute(f"ALTER TABLE artifacts RENAME COLUMN counted TO {name}")


def _list_unknown(kinds: set[str]) -> tuple[str, ...]:
    """Return the columns whose counts are wrong for an artifact of these operators."""
    if kinds & _LOOPS:
        return _COLUMNS if "LceBconv2d" in kinds else ("float_macs",)
    custom = any(not kind.isupper() and not kind.startswith("Lce") for kind in kinds)
    return ("float_macs",) if custom or kinds & _MISCOUNTED else ()
