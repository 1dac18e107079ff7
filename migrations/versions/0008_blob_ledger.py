"""The ledger of blobs: keys that are given once, pins of those that are being put, and the outbox of deletions.

Blobs of older rows are not in the ledger. They keep their keys, and nothing new ever comes to name one of these.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
KEY = sa.String(200)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("key", KEY, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("deleting", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_blobs"),
    )
    op.create_index("ix_blobs_sha256", "blobs", ["sha256"])
    for name, moment in (("blob_pins", "created_at"), ("blob_deletions", "waits_since")):
        op.create_table(
            name,
            sa.Column("id", ID, nullable=False),
            sa.Column("key", KEY, nullable=False),
            sa.Column(moment, MOMENT, nullable=False),
            sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        )
        op.create_index(f"ix_{name}_key", name, ["key"])
        op.create_index(f"ix_{name}_{moment}", name, [moment])
