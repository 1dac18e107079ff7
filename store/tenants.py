"""Tenants: to whom everything else belongs."""

from sqlalchemy import Connection, insert, select

from store.ids import new_id
from store.moments import now
from store.tables import tenants

LOCAL = "tn_local"  # the first migration makes it: whoever calls on loopback without a key


def create(tx: Connection, name: str) -> str:
    """A new tenant's id."""
    id = new_id("tn")
    tx.execute(insert(tenants).values(id=id, name=name, created_at=now()))
    return id


def exists(tx: Connection, id: str) -> bool:
    return tx.execute(select(tenants.c.id).where(tenants.c.id == id)).first() is not None
