"""The database: transactions that read, and transactions that write.

Nothing is opened before the first transaction, and a forked child opens its own: connections never cross a fork.
"""

import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from store import moments
from store.errors import Busy, Full

# A frozen process that holds a row's lock must not hold it for ever: the server ends its session.
_POSTGRES_OPTIONS = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=30s"
# Connections lost, or ended for standing still; shutdowns, deadlocks, lock time-outs, too many connections: all pass.
_PASSING = ("08", "25P03", "40", "55P03", "53300", "57")
# On SQLite: for whatever waits for a lock but the begin of a write, which is asked for again by itself.
_BUSY_MILLISECONDS = 5000
_ASK_AGAIN_SECONDS = 0.006  # at first
_HALVED_SECONDS = 0.008  # after each so many more the time until it is asked again is half as long, but no less than
_SOONEST_SECONDS = 0.0002
_OTHERS_SECONDS = 0.001
_SHARED_AFTER_SECONDS = 0.001
_SHARED_SECONDS = 1.0
_TIME_SECONDS = 30.0  # after which a server is asked again what time it is
_LONGEST_ANSWER_SECONDS = 1.0
_WRITES_UNTIL = "learnd_writes_until"  # of a transaction, the moment until which it may wait to begin


class Database:
    """One database, for every thread of a process; `deadline` is how many seconds a transaction may wait to begin."""

    def __init__(self, url: str, *, deadline: float = 10.0) -> None:
        self.url = url
        self.deadline = deadline
        self._time_asked_at = -_TIME_SECONDS
        self._open()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database and changes nothing."""
        self._after_fork()
        options = {} if self._sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with _translated(), _begun(self._engine, options) as tx:
            self._ask_the_time(tx)
            yield tx
            tx.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits when left, and rolls back when left by an exception. Not to be nested."""
        self._after_fork()
        until = time.monotonic() + self.deadline
        with _translated(), self._turn(until):
            asked_at = time.monotonic()
            with _begun(self._engine, {_WRITES_UNTIL: until}) as tx:
                begun_at = time.monotonic()
                if begun_at - asked_at > _SHARED_AFTER_SECONDS:
                    self._shared_until = begun_at + _SHARED_SECONDS
                self._ask_the_time(tx)
                yield tx
                tx.commit()

    def close(self) -> None:
        self._engine.dispose()

    def _ask_the_time(self, tx: Connection) -> None:
        """Set this process's clock by a server's, now and then, unless the answer took too long to tell the time."""
        if self._sqlite or moments.steady() < self._time_asked_at + _TIME_SECONDS:
            return
        asked_at = moments.steady()
        self._time_asked_at = asked_at
        moment = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
        answered_at = moments.steady()
        if answered_at - asked_at < _LONGEST_ANSWER_SECONDS:
            moments.set_by(moment, (asked_at + answered_at) / 2)

    def _open(self) -> None:
        self._pid = os.getpid()
        self._engine = _engine(self.url, self.deadline)
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._lock = threading.Lock()
        self._wrote_at = 0.0
        self._shared_until = 0.0  # it had to wait for another process a moment ago

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            self._inherited = self._engine  # kept, for closing it would speak on the parent's connections
            self._open()

    @contextmanager
    def _turn(self, until: float) -> Iterator[None]:
        # SQLite has one writer. Threads that queue here take turns; polling its lock they would starve each other. And
        # where others write too, whoever has just written lets them ask: beside 7 that never paused, one waited 8 s.
        if not self._sqlite:
            yield
            return
        if not self._lock.acquire(timeout=max(0.0, until - time.monotonic())):
            raise Busy("another thread writes")
        try:
            if (now := time.monotonic()) < self._shared_until:
                time.sleep(max(0.0, self._wrote_at + _OTHERS_SECONDS - now))
            yield
        finally:
            self._wrote_at = time.monotonic()
            self._lock.release()


def upsert(tx: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """The dialect's INSERT, which alone knows ON CONFLICT."""
    return _insert(tx.dialect.name, table)


@cache
def _insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _engine(url: str, deadline: float) -> Engine:
    parsed = make_url(url)
    shared: dict[str, Any] = {
        "json_serializer": _dumps,
        "json_deserializer": orjson.loads,
        "pool_size": 16,
        "max_overflow": 16,
        "pool_timeout": deadline,
    }
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": 5.0, "isolation_level": None}, **shared)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    given = parsed.query.get("options", "")
    return create_engine(
        parsed.difference_update_query(["options"]),
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "tcp_user_timeout": 15_000,
            "options": f"{_POSTGRES_OPTIONS} {given if isinstance(given, str) else ' '.join(given)}".strip(),
        },
        **shared,
    )


def _dumps(value: Any) -> str:
    # What is not finite becomes null: JSON has no word for it, and PostgreSQL takes none.
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    for pragma in (f"busy_timeout={_BUSY_MILLISECONDS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(tx: Connection) -> None:
    # Said here since the driver would begin a deferred one late, and a read that turns to writing fails at once.
    until = tx.get_execution_options().get(_WRITES_UNTIL)
    if until is None:
        tx.exec_driver_sql("BEGIN")
    else:
        _begin_writing(tx.connection.dbapi_connection, until)


def _begin_writing(connection: Any, until: float) -> None:
    """Waits for SQLite's one write lock, asking at random moments, the more often the longer it has waited.

    SQLite's own waiting asks the more seldom. Beside a process that writes without a pause it starved others for
    seconds; this way whoever has waited longest is the likeliest to be next.
    """
    asked_at = time.monotonic()
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                usual = max(_SOONEST_SECONDS, _ASK_AGAIN_SECONDS * 0.5 ** ((now - asked_at) / _HALVED_SECONDS))
                wait = usual * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
                if not _is_locked(error) or now + wait > until:
                    raise
                time.sleep(wait)
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")


def _begun(engine: Engine, options: dict[str, Any]) -> Connection:
    tx = engine.connect().execution_options(**options)
    try:
        tx.begin()
    except BaseException:
        tx.close()
        raise
    return tx


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Busy("every connection is in use") from error
    except (DBAPIError, sqlite3.Error) as error:
        meaning = _meaning(error.orig if isinstance(error, DBAPIError) else error)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(cause: BaseException | None) -> Busy | Full | None:
    """What the driver's error means to a caller who did nothing wrong; None for our own mistakes."""
    name = getattr(cause, "sqlite_errorname", "")
    if _is_locked(cause):
        return Busy("the database is locked")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")):
        return Full("the database's disk is full")
    if isinstance(cause, psycopg.Error):
        state = cause.sqlstate
        if state == "53100":
            return Full("the database's disk is full")
        if state is None and isinstance(cause, psycopg.OperationalError):
            return Busy("the database cannot be reached")
        if state is not None and state.startswith(_PASSING):
            return Busy("the database is busy or restarting")
    return None


def _is_locked(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
