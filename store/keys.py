"""API keys: 256 random bits shown once; only their beginning and their SHA-256 are stored."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sqlalchemy import Connection, delete, select

from store.database import upsert
from store.ids import new_id
from store.moments import now
from store.tables import api_keys

SCOPES = ("read", "write", "predict", "admin")
_PREFIX = 8  # enough to find a key by, and to tell keys apart in a list
SHORTEST = 24  # of a secret that somebody else made: what the prefix does not show must still be a secret
_DIFFERENT = 16  # pairs and steps that a secret must have, or more than half as many as it could


@dataclass(frozen=True)
class Key:
    id: str
    tenant: str
    prefix: str
    scopes: frozenset[str]
    expires_at: datetime | None


def weakness(secret: str) -> str | None:
    """Return what a secret that somebody else made must have and has not; None where nothing is wrong with it."""
    if len(secret) < SHORTEST:
        return f"is to have at least {SHORTEST} characters"
    if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
        return "is to have visible ASCII characters only, for a header carries no others"
    pairs = list(pairwise(secret.lower()))
    least = min(_DIFFERENT, len(pairs) // 2 + 1)
    steps = {ord(second) - ord(first) for first, second in pairs}
    if len(set(pairs)) < least or len(steps) < least // 2:
        return "is to be random: it repeats itself, or counts on; `openssl rand -hex 32` makes a good one"
    return None


def set_bootstrap(tx: Connection, tenant: str, secret: str) -> None:
    """Make this the key that the settings give, with every scope; the one that they gave before ends.

    A key that has this secret already stays as it is.
    """
    create(tx, tenant, SCOPES, secret, is_bootstrap=True)
    tx.execute(delete(api_keys).where(api_keys.c.is_bootstrap, api_keys.c.sha256 != _sha256(secret)))


def create(
    tx: Connection,
    tenant: str,
    scopes: Collection[str],
    secret: str | None = None,
    *,
    expires_at: datetime | None = None,
    is_bootstrap: bool = False,
) -> str:
    """The secret of a new key, or of the one that holds the given `secret` already; ValueError if that is too short."""
    unknown = set(scopes) - set(SCOPES)
    if unknown:
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}")
    if secret is None:
        secret = f"lk_{secrets.token_urlsafe(32)}"
    if len(secret) < SHORTEST:
        raise ValueError(f"a key must have at least {SHORTEST} characters")
    key = upsert(tx, api_keys).values(
        id=new_id("key"),
        tenant_id=tenant,
        prefix=secret[:_PREFIX],
        sha256=_sha256(secret),
        scopes=sorted(scopes),
        expires_at=expires_at,
        is_bootstrap=is_bootstrap,
        created_at=now(),
    )
    tx.execute(key.on_conflict_do_nothing(index_elements=[api_keys.c.sha256]))
    return secret


def find(tx: Connection, secret: str) -> Key | None:
    """The key with this secret, unless it has expired; the comparison takes as long for any secret."""
    sha256 = _sha256(secret)
    found = None
    for row in tx.execute(select(api_keys).where(api_keys.c.prefix == _safe(secret[:_PREFIX]))):
        if hmac.compare_digest(row.sha256, sha256):
            found = row
    if found is None or (found.expires_at is not None and found.expires_at <= now()):
        return None
    return Key(found.id, found.tenant_id, found.prefix, frozenset(found.scopes), found.expires_at)


def is_valid(tx: Connection, id: str) -> bool:
    """Return whether the key still exists and has not expired."""
    row = tx.execute(select(api_keys.c.expires_at).where(api_keys.c.id == id)).first()
    return row is not None and (row.expires_at is None or row.expires_at > now())


def any_exist(tx: Connection) -> bool:
    return tx.execute(select(api_keys.c.id).limit(1)).first() is not None


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _safe(prefix: str) -> str:
    # A header may carry what no database takes as text; such a key is simply not found.
    return prefix if prefix.isascii() and prefix.isprintable() else ""
