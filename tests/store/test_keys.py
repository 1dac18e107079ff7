import hashlib
import random
import secrets
import string
import uuid
from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import select, update

from store import keys, migrating, tenants
from store.database import Database
from store.migrating import upgrade
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


def test_bootstrap_key_ends_with_the_next_one_and_no_other_does(database):
    first, second = "first-of-the-settings-7f3a91", "second-of-the-settings-c0e8"
    with database.write() as tx:
        other = keys.create(tx, tenants.LOCAL, ["read"])
        keys.set_bootstrap(tx, tenants.LOCAL, first)
        keys.set_bootstrap(tx, tenants.LOCAL, first)
        known = keys.find(tx, first)
        keys.set_bootstrap(tx, tenants.LOCAL, second)
        assert keys.find(tx, first) is None
        assert not keys.is_valid(tx, known.id)
        assert keys.find(tx, second).scopes == frozenset(keys.SCOPES)
        assert keys.find(tx, other) is not None
        keys.set_bootstrap(tx, tenants.LOCAL, other)  # which stays as it is
        assert keys.find(tx, other).scopes == frozenset({"read"})
        assert keys.find(tx, second) is None


@pytest.mark.parametrize(
    "secret",
    [
        "short",
        "a" * 24,
        "a" * 200,
        "ab" * 12,
        "aB" * 12,
        "abc123" * 5,
        "changeme" * 3,
        "changeme-changeme-changeme",
        "change-me-please-change-me-please",
        "0123456789" * 3,
        "012345678901234567890123456789abcdef",
        "abcdefghijklmnopqrstuvwxyz",
        "zyxwvutsrqponmlkjihgfedcba",
        "AbCdEfGhIjKlMnOpQrStUvWxYz",
        "aaaaaaaaaaaaaaaaaaaaaaaa7f3",
        "passwordpasswordpassword",
        "7f3a91c0e8d24b5f6a7e1c9\n",
        " 7f3a91c0e8d24b5f6a7e1c9b",
        "7f3a91c0e8d24b5f6a7e1c9é",
        "7f3a91c0e8d24b\x005f6a7e1c9",
    ],
)
def test_weak_secrets_are_told_why(secret):
    assert keys.weakness(secret)


def test_random_secrets_are_strong_whatever_their_alphabet():
    drawn = random.Random(7)
    for alphabet in (string.hexdigits[:16], string.digits, string.ascii_lowercase, string.printable[:94]):
        for length in (24, 32, 64, 1000):
            for _ in range(100):
                assert keys.weakness("".join(drawn.choices(alphabet, k=length))) is None
    for secret in (f"lk_{secrets.token_urlsafe(32)}", str(uuid.uuid4()), "correct horse battery staple"):
        assert keys.weakness(secret) is None


def test_key_from_before_there_was_a_mark_counts_as_the_settings_own(empty_url):
    database = Database(empty_url)
    with database.write() as tx:
        command.upgrade(migrating._config(tx), "0006")
        digest = hashlib.sha256(b"first-of-the-settings-7f3a91").hexdigest()
        tx.exec_driver_sql(
            "INSERT INTO api_keys (id, tenant_id, prefix, sha256, scopes, created_at) VALUES"
            f" ('key_1', 'tn_local', 'first-of', '{digest}', '[\"admin\"]', '2026-01-01 00:00:00')"
        )
    upgrade(empty_url)
    with database.write() as tx:
        assert keys.find(tx, "first-of-the-settings-7f3a91") is not None
        keys.set_bootstrap(tx, tenants.LOCAL, "second-of-the-settings-c0e8")
        assert keys.find(tx, "first-of-the-settings-7f3a91") is None
    database.close()
