"""What nobody names is cleared away once it is old, and nothing else is."""

import os
import time

import pytest

from store import datasets, tenants
from store.blobs import Blobs
from store.purging import purge
from store.sweeping import sweep


@pytest.fixture
def blobs(tmp_path):
    return Blobs(f"file://{tmp_path / 'blobs'}", tmp_path / "cache")


def aged(blobs, content, seconds):
    key = blobs.put(content)
    then = time.time() - seconds
    os.utime(blobs.local_path(key), (then, then))
    return key


def test_old_blobs_without_a_name_go_and_all_others_stay(database, blobs):
    orphans = [aged(blobs, b"orphan %d" % number, 100.0) for number in range(3)]
    young = aged(blobs, b"young", 1.0)
    named = aged(blobs, b"named", 100.0)
    with database.write() as tx:
        datasets.insert(
            tx, tenants.LOCAL, name="a", rows=1, bytes=1, sha256="0" * 64, columns=[], warnings=[], blob=named
        )
    assert sweep(database, blobs, older_than=50.0) == 3
    assert purge(database, blobs, 0.0) == 3
    assert [blobs.exists(key) for key in (*orphans, young, named)] == [False, False, False, True, True]
    assert sweep(database, blobs, older_than=50.0) == 0


def test_a_blob_that_was_put_again_is_young_again(database, blobs):
    key = aged(blobs, b"again", 100.0)
    blobs.put(b"again")
    assert sweep(database, blobs, older_than=50.0) == 0
    assert blobs.exists(key)


def test_an_object_store_may_be_shared_and_is_left_alone(database, tmp_path):
    blobs = Blobs("memory:///", tmp_path / "cache")
    key = blobs.put(b"somebody's")
    assert sweep(database, blobs, older_than=-1.0) == 0
    assert blobs.exists(key)
