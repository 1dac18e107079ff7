"""No blob that a row names is ever deleted, in whatever order those who put, name and delete it take their steps."""

import threading
import time

import pytest
from sqlalchemy import func, select

from store import datasets, tenants
from store.blob_ledger import BlobLost, Pins, free
from store.blobs import Blobs, BlobsAway, sha256_of
from store.purging import forget_pins, purge
from store.tables import blob_deletions, blob_pins
from store.tables import blobs as ledger

TABLE = {"rows": 1, "bytes": 1, "sha256": "0" * 64, "columns": [], "warnings": []}


@pytest.fixture
def blobs(tmp_path):
    return Blobs((tmp_path / "blobs").as_uri(), tmp_path / "cache")


def name(database, pins, key):
    with pins.named(key) as tx:
        return datasets.insert(tx, tenants.LOCAL, name="a", blob=key, **TABLE).id


def delete(database, id):
    with database.write() as tx:
        datasets.delete(tx, tenants.LOCAL, id)


def kept(database, blobs, content):
    pins = Pins(database, blobs)
    key = pins.put(content)
    return key, name(database, pins, key)


def counted(database):
    with database.read() as tx:
        tables = (ledger, blob_pins, blob_deletions)
        return tuple(tx.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)


def test_equal_bytes_share_a_key_until_the_last_row_is_gone(database, blobs):
    (key, first), (other, second) = (kept(database, blobs, b"equal") for _ in range(2))
    assert (key, counted(database)) == (other, (1, 0, 0))
    delete(database, first)
    assert purge(database, blobs, 0.0) == 0
    assert blobs.get(key) == b"equal"
    delete(database, second)
    assert purge(database, blobs, 3600.0) == 0, "a reader of the key a moment ago can read the bytes"
    assert purge(database, blobs, 0.0) == 1
    assert not blobs.exists(key)
    assert counted(database) == (0, 0, 0)


def test_a_key_is_never_given_again(database, blobs):
    keys = []
    for _ in range(3):
        key, id = kept(database, blobs, b"again")
        keys.append(key)
        delete(database, id)
        purge(database, blobs, 0.0)
    assert len(set(keys)) == 3
    assert len({sha256_of(key) for key in keys}) == 1


@pytest.mark.parametrize("moment", ["pinned", "put"])
def test_a_twin_that_goes_while_a_blob_is_put_takes_nothing_along(database, blobs, monkeypatch, moment):
    key, twin = kept(database, blobs, b"twins")
    real = Blobs.put

    def put(self, content, named):
        def pinned(sha256):
            found = named(sha256)
            if moment == "pinned":
                delete(database, twin)
                assert purge(database, blobs, 0.0) == 0
            return found

        return real(self, content, pinned)

    monkeypatch.setattr(Blobs, "put", put)
    pins = Pins(database, blobs)
    again = pins.put(b"twins")
    if moment == "put":
        delete(database, twin)
        assert purge(database, blobs, 0.0) == 0
    id = name(database, pins, again)
    assert again == key
    assert purge(database, blobs, 0.0) == 0
    assert blobs.get(key) == b"twins"
    delete(database, id)
    assert purge(database, blobs, 0.0) == 1


def test_a_deletion_that_has_begun_and_one_that_comes_late_harm_no_new_blob(database, blobs, monkeypatch):
    old, id = kept(database, blobs, b"same")
    delete(database, id)
    real, new = Blobs.delete, []

    def slow(self, key):
        if not new:
            new.append(kept(database, blobs, b"same")[0])  # while the store is being asked
        real(self, key)

    monkeypatch.setattr(Blobs, "delete", slow)
    assert purge(database, blobs, 0.0) == 1
    assert new[0] != old
    blobs.delete(old)  # that of a process that was frozen
    assert blobs.get(new[0]) == b"same"


def test_a_store_that_is_away_and_a_process_that_dies_leave_the_deletion_to_the_next(database, blobs, monkeypatch):
    key, id = kept(database, blobs, b"later")
    delete(database, id)

    def away(self, key):
        raise BlobsAway("away")

    with monkeypatch.context() as patch:
        patch.setattr(Blobs, "delete", away)
        assert purge(database, blobs, 0.0) == 0
        patch.setattr(Blobs, "delete", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            purge(database, blobs, 0.0)
    assert blobs.exists(key)
    assert purge(database, blobs, 0.0) == 1
    assert not blobs.exists(key)
    assert counted(database) == (0, 0, 0)


def test_what_no_row_came_to_name_is_deleted(database, blobs):
    pins = Pins(database, blobs)
    key = pins.put(b"given up")
    with pytest.raises(ZeroDivisionError), pins.named(key):
        _ = 1 / 0
    died = Pins(database, blobs).put(b"died")
    assert purge(database, blobs, 0.0) == 1
    assert (blobs.exists(key), blobs.exists(died)) == (False, True)
    forget_pins(database, older_than=3600.0)
    assert purge(database, blobs, 0.0) == 0
    forget_pins(database, older_than=-1.0)
    assert purge(database, blobs, 0.0) == 1
    assert not blobs.exists(died)


def test_whoever_was_frozen_for_a_day_puts_its_blob_again(database, blobs):
    pins = Pins(database, blobs)
    key = pins.put(b"frozen")
    forget_pins(database, older_than=-1.0)
    purge(database, blobs, 0.0)
    with pytest.raises(BlobLost), pins.named(key) as tx:
        datasets.insert(tx, tenants.LOCAL, name="a", blob=key, **TABLE)
    with database.read() as tx:
        assert datasets.page(tx, tenants.LOCAL).data == []


def test_blobs_of_before_the_ledger_are_deleted_with_their_last_row(database, blobs):
    key = blobs.put(b"old")
    with database.write() as tx:
        ids = [datasets.insert(tx, tenants.LOCAL, name="a", blob=key, **TABLE).id for _ in range(2)]
    new, _ = kept(database, blobs, b"old")
    assert new != key
    for id, deleted in zip(ids, (0, 1), strict=True):
        delete(database, id)
        assert purge(database, blobs, 0.0) == deleted
    assert (blobs.exists(key), blobs.get(new)) == (False, b"old")


def test_a_deletion_written_while_another_is_looked_at_is_not_lost(database, blobs):
    """The last row goes between a purge's look at the rows and its note that the key is needed."""
    key, id = kept(database, blobs, b"between")
    with database.write() as tx:
        free(tx, [key])  # an earlier one, of a twin
    assert purge(database, blobs, 0.0) == 0
    delete(database, id)
    assert purge(database, blobs, 0.0) == 1


class Slow(Blobs):
    """As far away as an object store."""

    seconds = 0.1

    def put(self, content, named=None):
        time.sleep(self.seconds)
        try:
            return super().put(content, named)
        finally:
            time.sleep(self.seconds)

    def delete(self, key):
        time.sleep(self.seconds)
        super().delete(key)


def test_races_of_equal_blobs_lose_none(postgresql_url, tmp_path, request):
    """Equal files and equal weights, put and named while their twins are deleted; the store is 100 ms away."""
    from store.database import Database

    database = Database(postgresql_url)
    slow = Slow((tmp_path / "blobs").as_uri(), tmp_path / "cache")
    if not request.config.getoption("full"):
        slow.seconds = 0.01
    rounds = 1000 if request.config.getoption("full") else 40
    lost, done, contents = [], threading.Event(), [b"%d" % number for number in range(4)]

    def purging():
        while not done.is_set():
            purge(database, slow, 0.0)

    def racing(number):
        for turn in range(rounds // 4):
            key, id = kept(database, slow, contents[(number + turn) % 2])
            if not slow.exists(key):
                lost.append(key)
            delete(database, id)

    purgers = [threading.Thread(target=purging) for _ in range(2)]
    racers = [threading.Thread(target=racing, args=(number,)) for number in range(8)]
    for each in [*purgers, *racers]:
        each.start()
    for each in racers:
        each.join()
    done.set()
    for each in purgers:
        each.join()
    while purge(database, slow, 0.0):
        pass
    assert lost == []
    assert counted(database) == (0, 0, 0)
    assert list((tmp_path / "blobs").glob("sha256/*/*")) == []
    database.close()
