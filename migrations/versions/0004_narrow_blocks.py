"""Blocks of metrics are cut by members too, so that the curves of one are read without those of all."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("metric_chunks") as table:
        table.add_column(sa.Column("stretch", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("first_member", sa.Integer(), nullable=False, server_default="0"))
    # As many epochs as a block of so many members was made for.
    op.execute(
        "UPDATE metric_chunks SET stretch ="
        " CASE WHEN members < 16 THEN 1024 WHEN members > 16384 THEN 1 ELSE 16384 / members END"
    )
    with op.batch_alter_table("metric_chunks") as table:
        table.alter_column("stretch", server_default=None)
        table.alter_column("first_member", server_default=None)
        table.drop_constraint("pk_metric_chunks", type_="primary")
        table.create_primary_key(
            "pk_metric_chunks", ["run_id", "stretch", "first_member", "first_epoch", "split", "name"]
        )
    if op.get_bind().dialect.name == "postgresql":
        # Learned numbers do not compress; trying costs time.
        op.execute('ALTER TABLE metric_chunks ALTER COLUMN "values" SET STORAGE EXTERNAL')
