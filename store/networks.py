"""Networks: named hidden layers. A run copies the layers it uses, so a network may be deleted at any time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import insert as insert_row

from store import pages
from store.errors import NotFound
from store.ids import new_id
from store.moments import now
from store.owned import owned
from store.pages import Page
from store.tables import networks


@dataclass(frozen=True)
class Network:
    id: str
    name: str | None
    layers: list[dict[str, Any]]
    created_at: datetime


def insert(tx: Connection, tenant: str, *, name: str | None, layers: list[dict[str, Any]]) -> Network:
    network = Network(new_id("net"), name, layers, now())
    values = {"id": network.id, "name": name, "layers": layers, "created_at": network.created_at}
    tx.execute(insert_row(networks).values(tenant_id=tenant, **values))
    return network


def get(tx: Connection, tenant: str, id: str) -> Network:
    row = tx.execute(select(networks).where(owned(networks, tenant, id))).mappings().first()
    if row is None:
        raise NotFound("network", id)
    return _network(row)


def page(tx: Connection, tenant: str, *, limit: int = 50, after: str | None = None) -> Page[Network]:
    query = select(networks).where(networks.c.tenant_id == tenant)
    return pages.newest_first(tx, query, networks.c.id, _network, limit=limit, after=after)


def delete(tx: Connection, tenant: str, id: str) -> None:
    if tx.execute(delete_rows(networks).where(owned(networks, tenant, id))).rowcount == 0:
        raise NotFound("network", id)


def _network(row: RowMapping) -> Network:
    return Network(row["id"], row["name"], row["layers"], row["created_at"])
