"""The conditions under which rows are found by what a caller sent, and the one under which he sees a row at all."""

from sqlalchemy import Column, ColumnElement, Table, and_, false

from store.ids import is_id


def owned(table: Table, tenant: str, id: str) -> ColumnElement[bool]:
    """The row has this id, and it is the tenant's."""
    return and_(table.c.tenant_id == tenant, table.c.id == id) if is_id(id) else false()


def equals(column: Column[str], text: str) -> ColumnElement[bool]:
    """Never so where the text could not be stored: PostgreSQL would not even compare with a NUL."""
    return column == text if "\0" not in text else false()
