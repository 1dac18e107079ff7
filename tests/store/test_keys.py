from datetime import timedelta

import pytest
from sqlalchemy import select, update

from store import keys, tenants
from store.moments import now
from store.tables import api_keys


def test_a_key_is_found_by_its_secret_with_what_it_may(database):
    with database.write() as tx:
        assert not keys.any_exist(tx)
        secret = keys.create(tx, tenants.LOCAL, ["write", "read"])
    with database.read() as tx:
        key = keys.find(tx, secret)
        assert keys.any_exist(tx)
    assert key is not None
    assert (key.tenant, key.scopes) == (tenants.LOCAL, frozenset({"read", "write"}))


def test_the_database_never_holds_the_secret(database):
    with database.write() as tx:
        secret = keys.create(tx, tenants.LOCAL, ["read"])
        row = tx.execute(select(api_keys)).one()
    assert len(secret) > 43, "256 bits"
    assert secret not in str(row)
    assert secret[8:] not in str(row)


def test_two_keys_are_never_the_same(database):
    with database.write() as tx:
        assert len({keys.create(tx, tenants.LOCAL, ["read"]) for _ in range(20)}) == 20


def test_a_wrong_secret_is_no_key_even_when_it_begins_alike(database):
    with database.write() as tx:
        secret = keys.create(tx, tenants.LOCAL, ["read"])
        for wrong in (secret[:-1], secret + "x", secret[:-1] + "!", secret[:8], "", "\0" * 50, "\ud800", "é" * 50):
            assert keys.find(tx, wrong) is None


def test_two_keys_that_begin_alike_are_told_apart(database, stranger):
    with database.write() as tx:
        first = keys.create(tx, tenants.LOCAL, ["read"], "the same beginning, then this")
        second = keys.create(tx, stranger, ["admin"], "the same beginning, then that")
        found = [keys.find(tx, secret) for secret in (first, second)]
    assert [key and key.tenant for key in found] == [tenants.LOCAL, stranger]


def test_an_expired_key_is_no_key(database):
    with database.write() as tx:
        secret = keys.create(tx, tenants.LOCAL, ["read"], expires_at=now() + timedelta(hours=1))
        assert keys.find(tx, secret) is not None
        tx.execute(update(api_keys).values(expires_at=now()))
        assert keys.find(tx, secret) is None


def test_making_a_given_key_again_changes_nothing(database):
    given = "bootstrap-key-of-the-compose-file"
    with database.write() as tx:
        assert [keys.create(tx, tenants.LOCAL, ["admin"], given) for _ in range(3)] == [given] * 3
        assert len(tx.execute(select(api_keys)).all()) == 1


def test_a_short_key_and_an_unknown_scope_are_refused(database):
    with database.write() as tx:
        with pytest.raises(ValueError, match="24"):
            keys.create(tx, tenants.LOCAL, ["read"], "x" * 23)
        with pytest.raises(ValueError, match="root"):
            keys.create(tx, tenants.LOCAL, ["root"])
        assert not keys.any_exist(tx)
