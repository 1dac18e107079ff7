"""Whether a database's tables are those of this version: asked before a process starts to work on them."""

import re
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, inspect, make_url, text

from store.database import Database
from store.errors import Unavailable

_MIGRATION = re.compile(r"(\d{4})_\w+\.py")


class WrongSchema(Exception):
    """The tables are of another version; why nothing can start on them, and what to do."""


@cache
def newest() -> str:
    """Return the revision of this version's newest migration."""
    names = (each.name for each in (files("migrations") / "versions").iterdir())
    return max(found[1] for found in map(_MIGRATION.fullmatch, names) if found)


def revision(tx: Connection) -> str | None:
    """Return the revision of the database's tables; None where there are none."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    found: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def check(url: str) -> None:
    """Raise WrongSchema unless the tables are this version's.

    A database that is away is not asked: whatever waits for it finds its tables when it returns.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        explain(None)
    try:
        with closing(Database(url)) as database, database.read() as tx:
            explain(revision(tx))
    except Unavailable:
        return


def explain(found: str | None) -> None:
    """Raise WrongSchema for tables of another revision than this version's."""
    if found == newest():
        return
    if found is None:
        raise WrongSchema("the database has no tables yet; make them: learnd migrate")
    if found < newest():
        raise WrongSchema(
            f"the database's tables are of an older version ({found}, and {newest()} is needed);"
            " bring them up to date: learnd migrate"
        )
    raise WrongSchema(
        f"the database's tables are of a newer version ({found}) than this program ({newest()});"
        " start the newer program"
    )
