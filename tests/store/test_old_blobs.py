"""The blobs of a database of before the ledger and the mark: all are kept, and each goes with its last row."""

import pytest
from alembic import command
from sqlalchemy import func, select

from store import belonging, datasets, migrating, tenants
from store.belonging import WrongStore
from store.blob_ledger import Pins
from store.blobs import Blobs
from store.database import Database
from store.migrating import upgrade
from store.purging import purge
from store.sweeping import sweep
from store.tables import blob_deletions, blob_pins, blob_store
from store.tables import blobs as ledger

TABLE = {"rows": 1, "bytes": 1, "sha256": "0" * 64, "columns": [], "warnings": []}


@pytest.fixture
def old(request, database_url):
    """A database whose tables are of the last version without a ledger."""
    sqlite = database_url.startswith("sqlite")
    url = database_url.replace("learnd.db", "old.db") if sqlite else request.getfixturevalue("new_postgresql")()
    database = Database(url)
    with database.write() as tx:
        command.upgrade(migrating._config(tx), "0007")
    yield database
    database.close()


def test_an_old_database_keeps_its_blobs_and_lets_them_go(old, tmp_path):
    def here(name="blobs"):
        return Blobs((tmp_path / name).as_uri(), tmp_path)

    keys = [here().put(b"table %d" % number) for number in range(20)]
    with old.write() as tx:
        ids = [datasets.insert(tx, tenants.LOCAL, name="a", blob=key, **TABLE).id for key in [*keys, keys[0]]]
    upgrade(old.url)
    with old.read() as tx:
        for table in (ledger, blob_pins, blob_deletions, blob_store):
            assert tx.execute(select(func.count()).select_from(table)).scalar_one() == 0
    with pytest.raises(WrongStore):
        belonging.check(old, here("another"), first=True)
    blobs = here()
    assert belonging.check(old, blobs)
    assert sweep(old, blobs, older_than=-1.0) == purge(old, blobs, 0.0) == 0
    pins = Pins(old, blobs)
    new = pins.put(b"table 0")
    with pins.named(new) as tx:
        datasets.insert(tx, tenants.LOCAL, name="new", blob=new, **TABLE)
    for id, deleted in zip([ids[0], ids[-1], ids[1]], (0, 1, 1), strict=True):
        with old.write() as tx:
            datasets.delete(tx, tenants.LOCAL, id)
        assert purge(old, blobs, 0.0) == deleted
    assert [blobs.exists(key) for key in keys] == [False, False, *[True] * 18]
    assert blobs.get(new) == b"table 0"
