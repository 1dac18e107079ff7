"""What runs need to be extended, replayed, and tried again after memory ran out."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("runs", sa.Column("legs", JSON))
    op.add_column("runs", sa.Column("replay", JSON))
    op.add_column("runs", sa.Column("memory_crashes", sa.Integer, nullable=False, server_default="0"))
    op.drop_column("runs", "checkpoint")  # never written: a run has several
    op.add_column("leases", sa.Column("memory", sa.BigInteger))
    op.add_column("leases", sa.Column("memory_limit", sa.BigInteger))
