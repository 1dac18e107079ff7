import shutil
import subprocess
import sys

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, inspect

from store import migrating, schema, tenants
from store.database import Database
from store.migrating import drift, main, upgrade


def test_the_migrations_make_the_tables_that_the_code_expects(database_url):
    assert drift(database_url) == []


def test_a_column_that_no_migration_makes_is_drift(database_url, monkeypatch):
    changed = MetaData()
    for table in migrating.metadata.tables.values():
        table.to_metadata(changed)
    changed.tables["runs"].append_column(Column("new", Integer))
    Table("more", changed, Column("id", Integer, primary_key=True))
    monkeypatch.setattr(migrating, "metadata", changed)
    assert sorted(kind for kind, *_ in drift(database_url)) == ["add_column", "add_table"]


def test_the_check_is_clean_and_fails_on_drift(monkeypatch, capsys):
    assert main(["check"]) == 0
    monkeypatch.setattr(migrating, "metadata", MetaData())
    assert main(["check"]) == 1
    assert "remove_table" in capsys.readouterr().err


def test_a_command_that_there_is_not_prints_those_that_there_are(capsys):
    assert main(["downgrade"]) == 2
    assert "python -m store.migrating check" in capsys.readouterr().err


def test_an_upgrade_makes_an_empty_database_ready_and_may_be_repeated(empty_url):
    with pytest.raises(schema.WrongSchema, match="no tables yet"):
        schema.check(empty_url)
    upgrade(empty_url)
    schema.check(empty_url)
    upgrade(empty_url)
    schema.check(empty_url)
    database = Database(empty_url)
    with database.read() as tx:
        assert tenants.exists(tx, tenants.LOCAL)
    database.close()


def test_of_several_processes_that_upgrade_at_once_none_fails(empty_url):
    command = [sys.executable, "-m", "store.migrating", "upgrade", empty_url]
    together = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(each.communicate()[1], each.returncode) for each in together] == [("", 0)] * 3
    schema.check(empty_url)


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_url, monkeypatch):
    real = migrating.command.upgrade

    def dies_at_the_end(*arguments):
        real(*arguments)
        raise MemoryError

    monkeypatch.setattr(migrating.command, "upgrade", dies_at_the_end)
    with pytest.raises(MemoryError):
        upgrade(empty_url)
    database = Database(empty_url)
    with database.read() as tx:
        assert inspect(tx).get_table_names() == []
    database.close()


def test_a_new_migration_is_written_from_the_change_of_the_tables(tmp_path, monkeypatch):
    folder = tmp_path / "migrations"
    shutil.copytree(str(migrating.FOLDER), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrating, "FOLDER", folder)
    Table("more", migrating.metadata, Column("id", Integer, primary_key=True))
    try:
        assert main(["revision", "More tables"]) == 0
    finally:
        migrating.metadata.remove(migrating.metadata.tables["more"])
    (path,) = (folder / "versions").glob("*_more_tables.py")
    assert int(path.name[:4]) == len(list((folder / "versions").glob("0*.py")))
    written = path.read_text()
    assert written.startswith('"""More tables."""')
    assert "op.create_table('more'" in written
    url = f"sqlite:///{tmp_path / 'newest.db'}"
    upgrade(url)
    database = Database(url)
    with database.read() as tx:
        assert "more" in inspect(tx).get_table_names()
    database.close()
