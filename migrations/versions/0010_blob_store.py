"""Which store holds the blobs: the mark that it bears. Nothing is known yet; the first start looks."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "blob_store",
        sa.Column("one", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("mark", sa.String(40), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("is_marked", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_blob_store"),
    )
