"""Blobs in an S3 server: whole, in parts and by ranges, behind a mark; what is away is said so in time."""

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from store import belonging
from store.blob_ledger import Pins
from store.blobs import Blobs, BlobsAway
from store.errors import BlobMissing
from store.purging import purge
from tests.functional.object_store import ObjectStore


@pytest.fixture
def store(monkeypatch) -> Iterator[ObjectStore]:
    store = ObjectStore()
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    yield store
    store.close()


@pytest.fixture
def blobs(store, tmp_path) -> Blobs:
    return Blobs(store.environment["LEARND_BLOB_URL"], tmp_path / "cache", 2.0)


def test_small_and_large_blobs_come_back_whole_and_go(store, blobs, sqlite_url):
    from store.database import Database

    database = Database(sqlite_url)
    assert belonging.check(database, blobs, first=True)
    for content in (b"", b"small", os.urandom((20 << 20) + 7)):
        pins = Pins(database, blobs)
        key = pins.put(content)
        assert pins.put(content) == key, "put again, it is the same"
        assert blobs.get(key) == content
        assert blobs.local_path(key).read_bytes() == content
        with database.write() as tx:
            pins.give_up(tx)
        assert purge(database, blobs, 0.0) == 1
        with pytest.raises(BlobMissing):
            blobs.get(key)
    database.close()


def test_one_that_accepts_and_never_answers_is_given_up_in_time(store, tmp_path):
    blobs = Blobs(store.environment["LEARND_BLOB_URL"], tmp_path / "cache", 0.5)
    key, other = blobs.put(b"there"), blobs.put(b"deleted late")
    store.hangs.set()
    for use in (
        lambda: blobs.exists(key),
        lambda: blobs.get(key),
        lambda: blobs.put(b"x"),
        lambda: blobs.delete(other),
    ):
        began = time.monotonic()
        with pytest.raises(BlobsAway):
            use()
        assert time.monotonic() - began < 2
    store.hangs.clear()  # what it was asked meanwhile it does now, a deletion too: so no key is given twice
    assert blobs.get(key) == b"there"


def test_a_bare_listener_and_a_closed_port_are_away(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        blobs = Blobs("s3://bucket/prefix", tmp_path, 1.0)
        began = time.monotonic()
        with pytest.raises(BlobsAway):
            blobs.check()
        assert time.monotonic() - began < 3
    with pytest.raises(BlobsAway):
        blobs.check()
    assert threading.active_count() < 50
