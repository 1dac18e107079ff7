"""Metrics that were kept before blocks were cut by members, and are to be read ever after."""

import numpy as np
import pytest
from alembic import command
from sqlalchemy import text

from store import chunks, migrating
from store.chunks import Chunk, Place
from store.database import Database
from store.tables import metric_chunks
from store.tenants import LOCAL

RUN = "run_" + "0" * 26
INSERT = text(
    'INSERT INTO metric_chunks (run_id, first_epoch, split, name, tenant_id, members, steps, "values")'
    " VALUES (:run, :epoch, 'train', 'loss', :tenant, :members, :steps, :values)"
)


@pytest.fixture
def empty(request, database_url):
    """A database without any table, of the kind of `database_url`."""
    sqlite = database_url.startswith("sqlite")
    url = database_url.replace("learnd.db", "old.db") if sqlite else request.getfixturevalue("new_postgresql")()
    database = Database(url)
    yield database
    database.close()


@pytest.mark.parametrize("count", [1, 7, 300, 4096, 20_000])
def test_old_blocks_are_read_and_written_on(empty, count):
    stretch = max(1, min(1024, 16_384 // count))
    epochs = 2 * stretch + 1
    values = np.random.default_rng(count).normal(size=(epochs + 40, count)).astype(np.float32)
    steps = np.arange(1, epochs + 41, dtype=np.int64)[:, None] * 3
    place = Place(LOCAL, RUN, count)
    with empty.write() as tx:
        command.upgrade(migrating._config(tx), "0003")
        # There is no such run: what is written of it goes again before the end.
        sqlite = tx.dialect.name == "sqlite"
        tx.exec_driver_sql("PRAGMA defer_foreign_keys=ON" if sqlite else "SET session_replication_role = replica")
        for start in range(0, epochs, stretch):
            part = slice(start, min(start + stretch, epochs))
            block = {"steps": steps[part].tobytes(), "values": values[part].tobytes()}
            tx.execute(INSERT, {"run": RUN, "epoch": start + 1, "tenant": LOCAL, "members": count, **block})
        command.upgrade(migrating._config(tx), "0004")
        assert _read(tx, place, epochs) == values[:epochs].tobytes()
        chunks.write(tx, LOCAL, RUN, [Chunk("train", "loss", epochs, steps[epochs - 1 :], values[epochs - 1 :])])
        assert _read(tx, place, epochs + 40) == values.tobytes()
        assert chunks.last_epochs(tx, place) == {("train", "loss"): epochs + 40}
        tx.execute(metric_chunks.delete())


def _read(tx, place, epochs):
    found = chunks.read(tx, place, range(1, epochs + 1), range(place.members))["train", "loss"]
    return found.values.astype(np.float32).tobytes()
