"""What batch predictions need to be made: a lease, how far they have come, and the parts that are done."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
WORD = sa.String(40)
KEY = sa.String(200)
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("batch_predictions", sa.Column("interval", sa.Float(53)))
    op.add_column("batch_predictions", sa.Column("seq", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("batch_predictions", sa.Column("pulse", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("batch_predictions", sa.Column("owner", JSON))
    op.add_column("batch_predictions", sa.Column("worker_id", WORD))
    op.add_column("batch_predictions", sa.Column("slot_pid", sa.Integer))
    op.add_column("batch_predictions", sa.Column("progress", JSON))
    op.create_index("ix_batch_predictions_status", "batch_predictions", ["status", "id"])
    op.create_index("ix_batch_predictions_dataset", "batch_predictions", ["dataset_id", "status"])
    op.create_table(
        "batch_parts",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("first_row", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("blob", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch_predictions.id"], name="fk_batch_parts_batch_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("batch_id", "first_row", name="pk_batch_parts"),
    )
    op.create_index("ix_batch_parts_blob", "batch_parts", ["blob"])
