import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, make_url, select, text
from sqlalchemy.exc import DBAPIError, StatementError

from store import tenants
from store.database import Database
from store.errors import Busy, Full
from store.tables import networks
from store.tables import tenants as table


def test_leaving_a_write_commits_it(database):
    with database.write() as tx:
        id = tenants.create(tx, "acme")
    with database.read() as tx:
        assert tenants.exists(tx, id)


def test_leaving_a_write_by_an_exception_rolls_it_back(database):
    made = []

    def half() -> None:
        with database.write() as tx:
            made.append(tenants.create(tx, "acme"))
            raise KeyError

    with pytest.raises(KeyError):
        half()
    with database.read() as tx:
        assert not tenants.exists(tx, made[0])


def test_a_read_keeps_nothing(database):
    id = None
    try:
        with database.read() as tx:
            id = tenants.create(tx, "acme")
    except DBAPIError:
        assert database.url.startswith("postgresql"), "where the server refuses"
    with database.read() as tx:
        assert id is None or not tenants.exists(tx, id)


def test_a_read_sees_one_moment(database):
    with database.read() as tx:
        before = tx.execute(select(table.c.id)).all()
        with database.write() as other:
            tenants.create(other, "acme")
        assert tx.execute(select(table.c.id)).all() == before


def test_a_read_then_write_transaction_cannot_be_overtaken(database):
    """Two that read, wait for each other, and then write: on SQLite a deferred one would fail at once."""
    with database.write() as tx:
        id = tenants.create(tx, "0")
    start = threading.Barrier(2)

    def raise_by_one() -> None:
        start.wait()
        for _ in range(20):
            with database.write() as tx:
                row = tx.execute(select(table.c.name).where(table.c.id == id).with_for_update()).scalar_one()
                tx.execute(table.update().where(table.c.id == id).values(name=str(int(row) + 1)))

    threads = [threading.Thread(target=raise_by_one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        assert tx.execute(select(table.c.name).where(table.c.id == id)).scalar_one() == "40"


def test_sqlite_is_set_up_to_lose_nothing(sqlite_url):
    database = Database(sqlite_url)
    with database.read() as tx:
        values = {
            name: tx.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000, "foreign_keys": 1}
    database.close()


def test_postgresql_ends_a_session_that_holds_locks_and_does_nothing(postgresql_url):
    database = Database(postgresql_url)
    with database.read() as tx:
        assert tx.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() == "30s"
        assert tx.execute(text("SHOW lock_timeout")).scalar() == "10s"
    database.close()


def test_a_database_locked_past_the_deadline_is_busy(sqlite_url):
    holder, other = Database(sqlite_url), Database(sqlite_url, deadline=0.05)
    with other.read() as tx:
        tx.exec_driver_sql("PRAGMA busy_timeout=10")  # of the one connection in the pool, so as not to wait 5 seconds
    with holder.write(), pytest.raises(Busy), other.write():
        pass
    with other.write() as tx:
        tenants.create(tx, "acme")
    holder.close()
    other.close()


def test_a_thread_that_waits_too_long_for_its_turn_is_told_busy(sqlite_url):
    database = Database(sqlite_url, deadline=0.05)
    with database.write(), pytest.raises(Busy), database.write():
        pass
    database.close()


def test_a_database_that_is_away_is_busy_at_once(tmp_path):
    database = Database(f"postgresql://nobody@/nothing?host={tmp_path}", deadline=600.0)
    with pytest.raises(Busy), database.read():
        pass
    with pytest.raises(Busy), database.write():
        pass
    database.close()


def test_a_connection_that_the_server_cut_is_busy_and_the_next_one_works(postgresql_url):
    database = Database(postgresql_url)
    with pytest.raises(Busy), database.write() as tx:
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    with database.write() as tx:
        tenants.create(tx, "acme")
    database.close()


def test_a_process_that_was_frozen_within_a_transaction_is_told_busy(postgresql_url):
    """The server has ended its session, so that the locks it held keep nobody else."""
    url = make_url(postgresql_url).update_query_dict({"options": "-c idle_in_transaction_session_timeout=50ms"})
    database = Database(url.render_as_string(hide_password=False))

    def freeze_within() -> None:
        with database.write() as tx:
            tenants.create(tx, "acme")
            time.sleep(0.5)
            tenants.create(tx, "another")

    with pytest.raises(Busy):
        freeze_within()
    with database.write() as tx:
        tenants.create(tx, "acme")
    database.close()


def test_a_full_disk_is_told_as_such_and_nothing_is_written(sqlite_url):
    database = Database(sqlite_url)
    with database.read() as tx:
        tx.exec_driver_sql(f"PRAGMA max_page_count={tx.exec_driver_sql('PRAGMA page_count').scalar()}")
    with pytest.raises(Full), database.write() as tx:
        tenants.create(tx, "x" * 400_000)
    with database.read() as tx:
        assert len(tx.execute(select(table.c.id)).all()) == 1, "the local one"
    database.close()


def test_our_own_mistakes_are_not_taken_for_a_busy_database(database):
    with pytest.raises(DBAPIError), database.write() as tx:
        tx.execute(text("SELECT * FROM no_such_table"))


FORK = """
import os, sys
from sqlalchemy import select
from store import tenants
from store.database import Database
from store.tables import tenants as table
database = Database(sys.argv[1])
with database.write() as tx:
    mine = tx.connection.dbapi_connection
    tenants.create(tx, "parent, before")
child = os.fork()
if child == 0:
    with database.write() as tx:
        own = tx.connection.dbapi_connection is not mine
        tenants.create(tx, "child on a connection of its own" if own else "child")
    database.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
with database.write() as tx:
    assert tx.connection.dbapi_connection is mine
    tenants.create(tx, "parent, after")
with database.read() as tx:
    print(*sorted(tx.execute(select(table.c.name)).scalars()), sep="; ")
"""


def test_a_forked_child_opens_its_own_connections_and_harms_none_of_its_parents(database_url):
    done = subprocess.run([sys.executable, "-c", FORK, database_url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "child on a connection of its own; local; parent, after; parent, before"


def test_times_keep_their_microseconds_and_come_back_as_utc(database):
    elsewhere = datetime(2026, 3, 29, 4, 30, 0, 123456, timezone(timedelta(hours=2)))
    with database.write() as tx:
        tx.execute(insert(table).values(id="tn_times", name="times", created_at=elsewhere))
    with database.read() as tx:
        found = tx.execute(select(table.c.created_at).where(table.c.id == "tn_times")).scalar_one()
    assert found == elsewhere
    assert found.isoformat() == "2026-03-29T02:30:00.123456+00:00"


def test_times_sort_as_times_within_the_database(database):
    times = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=step) for step in (0, 1, 999_999, 1_000_000)]
    with database.write() as tx:
        for number, time in enumerate(times):
            tx.execute(insert(table).values(id=f"tn_{number}", name="", created_at=time))
        after = select(table.c.id).where(table.c.created_at > times[1], table.c.id != tenants.LOCAL)
        assert set(tx.execute(after).scalars()) == {"tn_2", "tn_3"}


def test_a_time_without_a_zone_is_refused(database):
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - it is what is refused
    with pytest.raises(StatementError, match="without a zone"), database.write() as tx:
        tx.execute(insert(table).values(id="tn_naive", name="", created_at=naive))


def test_what_is_not_finite_is_null_in_json_and_the_order_of_keys_stays(database):
    layers = [{"z": float("nan"), "a": float("inf"), "m": 1.5}]
    with database.write() as tx:
        when = datetime(2026, 1, 1, tzinfo=UTC)
        tx.execute(insert(networks).values(id="n", tenant_id=tenants.LOCAL, layers=layers, created_at=when))
        found = tx.execute(select(networks.c.layers)).scalar_one()
    assert [list(layer.items()) for layer in found] == [[("z", None), ("a", None), ("m", 1.5)]]


def test_waiting_for_sqlites_lock_is_short_for_its_begin_alone(sqlite_url):
    database = Database(sqlite_url)
    with database.write() as tx:
        assert tx.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
    with database.read() as tx:
        assert tx.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
    database.close()
