"""Analyses: what is found out about a run after it ended."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
WORD = sa.String(40)
KEY = sa.String(200)
JSON = sa.JSON(none_as_null=True)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "analyses",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("split", WORD, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("weights_blob", KEY, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("pulse", sa.BigInteger(), nullable=False),
        sa.Column("owner", JSON),
        sa.Column("worker_id", WORD),
        sa.Column("slot_pid", sa.Integer()),
        sa.Column("result", JSON),
        sa.Column("error", JSON),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_analyses_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "kind", "split", name="pk_analyses"),
    )
    op.create_index("ix_analyses_status", "analyses", ["status", "created_at"])
