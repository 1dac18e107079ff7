"""The one condition under which a caller sees a row: it has this id, and it is the tenant's."""

from sqlalchemy import ColumnElement, Table, and_, false

from store.ids import is_id


def owned(table: Table, tenant: str, id: str) -> ColumnElement[bool]:
    # A text that is no id is nobody's; asking the database could fail on it, for PostgreSQL takes no NUL.
    return and_(table.c.tenant_id == tenant, table.c.id == id) if is_id(id) else false()
