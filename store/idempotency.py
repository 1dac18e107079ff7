"""Idempotency keys: reserved by a request while it works, completed in the transaction that creates, then replayed."""

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select, update

from store.database import upsert
from store.errors import Conflict
from store.moments import now
from store.tables import idempotency_keys as table

_LONG = 4_096  # bytes
_DEFLATED = b"\0deflated\0"  # before what zlib wrote; no JSON begins so
KEPT = timedelta(hours=25)  # at least 24 are promised


@dataclass(frozen=True)
class Reserved:
    """The key is the asker's: it completes or releases it."""


@dataclass(frozen=True)
class InFlight:
    """Another request with the key is at work."""


@dataclass(frozen=True)
class Different:
    """The key was used for another request."""


@dataclass(frozen=True)
class Answered:
    """The first answer, as it was."""

    status: int
    headers: dict[str, str]
    body: bytes


Reservation = Reserved | InFlight | Different | Answered


def reserve(
    tx: Connection,
    tenant: str,
    key: str,
    fingerprint: str,
    owner: str,
    *,
    lease_seconds: float = 60.0,
    ended: Collection[str] = (),
) -> Reservation:
    """Reserves the key for `owner` (any word that is this request's alone), or says why not.

    A reservation whose request died is free again after its lease, that of an owner who is known to have `ended` at
    once. Reserving again what is one's own renews the lease.
    """
    moment = now()
    mine: dict[str, Any] = {
        "fingerprint": fingerprint,
        "owner": owner,
        "expires_at": moment + timedelta(seconds=lease_seconds),
        "status": None,
        "headers": None,
        "body": None,
    }
    insert = upsert(tx, table).values(tenant_id=tenant, key=key, **mine)
    free = (table.c.expires_at <= moment) | (table.c.status.is_(None) & table.c.owner.in_([owner, *ended]))
    # One statement, so that of many equal requests one wins, and the others wait for it and then see it.
    taken = insert.on_conflict_do_update(index_elements=[table.c.tenant_id, table.c.key], set_=mine, where=free)
    if tx.execute(taken.returning(table.c.owner)).first() is not None:
        return Reserved()
    row = tx.execute(select(table).where(_is(tenant, key))).one()
    if row.fingerprint != fingerprint:
        return Different()
    return InFlight() if row.status is None else Answered(row.status, row.headers, _unpacked(row.body))


def complete(
    tx: Connection, tenant: str, key: str, owner: str, *, status: int, headers: dict[str, str], body: bytes
) -> None:
    """Keeps the answer, in the transaction of what it tells; Conflict, to roll that back, if the key is lost."""
    kept = update(table).where(_held(tenant, key, owner))
    answer = {"status": status, "headers": headers, "body": _packed(body), "expires_at": now() + KEPT}
    if tx.execute(kept.values(**answer)).rowcount == 0:
        raise Conflict("another request with this Idempotency-Key took over")


def release(tx: Connection, tenant: str, key: str, owner: str) -> None:
    """The request came to nothing that is kept: the key is free again."""
    tx.execute(delete(table).where(_held(tenant, key, owner)))


def forget(tx: Connection) -> int:
    """Deletes what has expired; how many."""
    return tx.execute(delete(table).where(table.c.expires_at <= now())).rowcount


def _packed(body: bytes) -> bytes:
    """Return the answer as it is stored: a long one deflated, since a run says its features twice."""
    return _DEFLATED + zlib.compress(body, 1) if len(body) > _LONG else body


def _unpacked(body: bytes) -> bytes:
    return zlib.decompress(body.removeprefix(_DEFLATED)) if body.startswith(_DEFLATED) else body


def _is(tenant: str, key: str) -> ColumnElement[bool]:
    return (table.c.tenant_id == tenant) & (table.c.key == key)


def _held(tenant: str, key: str, owner: str) -> ColumnElement[bool]:
    return _is(tenant, key) & (table.c.owner == owner) & table.c.status.is_(None)
