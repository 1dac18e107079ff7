"""Bringing a database to the newest tables, and the commands for it.

python -m store.migrating check               1 if the migrations do not make the tables of store/tables.py
python -m store.migrating upgrade URL
python -m store.migrating revision "message"  writes a new migration from what store/tables.py has changed
"""

import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from store import schema
from store.database import Database
from store.tables import metadata

FOLDER = files("migrations")  # by its name, not by an import: the migrations themselves import store/
_LOCK = 0x6C6561726E64  # "learnd": the advisory lock under which one process at a time migrates


def upgrade(url: str) -> None:
    """To the newest, in one transaction: all of it or nothing, and of several that try at once the others wait.

    Raise WrongSchema for tables of a newer version, which nothing here knows.
    """
    database = Database(url, deadline=60.0)
    try:
        with database.write() as tx:
            _wait_for_turn(tx)
            found = schema.revision(tx)
            if found is not None and found > schema.newest():
                schema.explain(found)
            command.upgrade(_config(tx), "head")
    finally:
        database.close()


def drift(url: str) -> list[Any]:
    """Where a migrated database differs from store/tables.py."""
    database = Database(url)
    try:
        with database.read() as tx:
            return list(compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), metadata))
    finally:
        database.close()


def main(arguments: Sequence[str]) -> int:
    match arguments:
        case ["check"]:
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{Path(folder) / 'check.db'}"
                upgrade(url)
                differences = drift(url)
            for difference in differences:
                sys.stderr.write(f"not in the migrations: {difference}\n")
            return 1 if differences else 0
        case ["upgrade", url]:
            upgrade(url)
            return 0
        case ["revision", message]:
            _write_revision(message)
            return 0
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2


def _config(tx: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = tx
    return config


def _wait_for_turn(tx: Connection) -> None:
    # SQLite's one writer is its turn. On PostgreSQL the wait may be long; once in turn, a table that is in use must not
    # be waited for long, for every other query of it queues behind.
    if tx.dialect.name == "postgresql":
        tx.execute(text("SET LOCAL lock_timeout = '60s'"))
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        tx.execute(text("SET LOCAL lock_timeout = '5s'"))


def _write_revision(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'revision.db'}"
        upgrade(url)
        database = Database(url)
        with database.write() as tx:
            newest = ScriptDirectory.from_config(_config()).get_current_head()
            number = f"{int((newest or '0')[:4]) + 1:04}"
            command.revision(_config(tx), message, autogenerate=True, rev_id=number)
        database.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
