"""A slot says which process it is, so that only that process's end makes it gone."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("worker_slots", sa.Column("owner", sa.JSON(none_as_null=True)))
