"""Nothing starts on tables of another version."""

import os
import subprocess
import sys

import pytest
from sqlalchemy import text

from store import schema
from store.database import Database
from store.migrating import upgrade


def at_revision(url: str, revision: str) -> None:
    database = Database(url)
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
    database.close()


@pytest.mark.parametrize(
    ("revision", "reason"), [("0005", "older version .0005.*learnd migrate"), ("9999", "newer version .9999")]
)
def test_tables_of_another_version_are_told_of(empty_url, revision, reason):
    upgrade(empty_url)
    schema.check(empty_url)
    at_revision(empty_url, revision)
    with pytest.raises(schema.WrongSchema, match=reason):
        schema.check(empty_url)


def test_tables_of_a_newer_version_are_not_touched(empty_url):
    upgrade(empty_url)
    at_revision(empty_url, "9999")
    with pytest.raises(schema.WrongSchema, match="start the newer program"):
        upgrade(empty_url)


def test_file_that_is_not_there_is_not_made(tmp_path):
    file = tmp_path / "none" / "learnd.db"
    with pytest.raises(schema.WrongSchema, match="no tables yet"):
        schema.check(f"sqlite:///{file}")
    assert not file.parent.exists()


def test_database_that_is_away_is_waited_for_by_others():
    schema.check("postgresql+psycopg://nobody@127.0.0.1:1/none")


@pytest.mark.parametrize("revision", ["0005", "9999"])
@pytest.mark.parametrize("command", ["api", "worker", "reconciler", "up", "migrate"])
def test_no_part_starts_on_tables_of_another_version(tmp_path, command, revision):
    url = f"sqlite:///{tmp_path / 'learnd.db'}"
    upgrade(url)
    at_revision(url, revision)
    if revision == "0005" and command in ("up", "migrate"):
        return  # these bring them up to date, and find that they are not what they say
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEARND_")}
    known = {"LEARND_DATA_DIR": str(tmp_path), "LEARND_REDIS_URL": "redis://127.0.0.1:1", "LEARND_PORT": "0"}
    learnd = [sys.executable, "-m", "service", command]
    done = subprocess.run(learnd, env=environment | known, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "of an older version" in done.stderr or "of a newer version" in done.stderr
    assert "Traceback" not in done.stderr
