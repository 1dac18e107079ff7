"""What Alembic runs for every command: the migrations, in the transaction it was given.

Lock time-outs are set by `store/migrating.py`, which owns that transaction.
"""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from store.moments import Moment
from store.tables import metadata


def _render(type_: str, thing: Any, _context: AutogenContext) -> str | Literal[False]:
    # A migration must not change when the code does: it names the database's types, never our classes.
    return "sa.DateTime(timezone=True)" if type_ == "type" and isinstance(thing, Moment) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
