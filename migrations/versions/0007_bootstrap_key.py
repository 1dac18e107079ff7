"""A key says whether the settings gave it, so that another one there ends it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("is_bootstrap", sa.Boolean, nullable=False, server_default=sa.false()))
    # No other way to make a key was offered before this one, and those that the settings make never expire.
    op.execute(sa.text("UPDATE api_keys SET is_bootstrap = true WHERE tenant_id = 'tn_local' AND expires_at IS NULL"))
