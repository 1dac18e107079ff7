"""A model remembers its last version's number, also when it is deleted: no number is given twice."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("models", sa.Column("latest", sa.Integer, nullable=False, server_default="0"))
    op.add_column("models", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    op.execute(
        "UPDATE models SET latest = (SELECT coalesce(max(version), 0) FROM model_versions"
        " WHERE model_versions.tenant_id = models.tenant_id AND model_versions.name = models.name)"
    )
