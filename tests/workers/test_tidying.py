"""What the reconciler clears away when nobody died."""

from sqlalchemy import func, select, update

from store import idempotency, tenants
from store.moments import now
from store.tables import idempotency_keys
from tests.workers.running import wait_for


def test_idempotency_keys_are_forgotten_once_they_have_expired(yard):
    with yard.database.write() as tx:
        for key in ("old", "young"):
            idempotency.reserve(tx, tenants.LOCAL, key, "0" * 64, "owner")
        tx.execute(update(idempotency_keys).where(idempotency_keys.c.key == "old").values(expires_at=now()))

    yard.start_reconciler()

    wait_for(lambda: _keys(yard) == ["young"])


def _keys(yard):
    with yard.database.read() as tx:
        assert tx.execute(select(func.count()).select_from(idempotency_keys)).scalar_one() > 0
        return list(tx.execute(select(idempotency_keys.c.key)).scalars())
