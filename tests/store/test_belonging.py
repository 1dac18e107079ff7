"""A store of blobs belongs to one database, and each process has seen that it is the right one."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store import belonging, datasets, tenants
from store.belonging import WrongStore
from store.blob_ledger import Pins
from store.blobs import Blobs
from store.database import Database
from store.purging import purge
from store.settings import Settings
from store.sweeping import sweep

TABLE = {"rows": 1, "bytes": 1, "sha256": "0" * 64, "columns": [], "warnings": []}


@pytest.fixture
def at(tmp_path):
    """Makes a store below a folder, as a process of its own has it."""
    return lambda name: Blobs((tmp_path / name).as_uri(), tmp_path / "cache")


def named(database, blobs, content=b"table"):
    """A dataset of before there were marks."""
    key = blobs.put(content)
    with database.write() as tx:
        datasets.insert(tx, tenants.LOCAL, name="a", blob=key, **TABLE)
    return key


def test_the_first_start_marks_the_store_and_every_other_one_must_have_it(database, at):
    assert belonging.check(database, at("own"), first=True)
    assert belonging.check(database, at("own"))
    with pytest.raises(WrongStore, match=r"no mark, and that one has, first seen as file:///.*/own"):
        belonging.check(database, at("other"), first=True)


def test_a_worker_gives_a_new_database_no_store_and_does_nothing_yet(database, at):
    blobs = at("own")
    assert not belonging.check(database, blobs)
    assert blobs.mark() is None
    assert (purge(database, blobs, 0.0), sweep(database, blobs, older_than=-1.0)) == (0, 0)
    assert belonging.check(database, at("the API's"), first=True)
    with pytest.raises(WrongStore):
        belonging.check(database, blobs)


def test_an_installation_of_before_the_marks_is_adopted_by_whoever_has_its_blobs(database, at):
    named(database, at("own"))
    with pytest.raises(WrongStore, match="none of the newest 1 that it names is there"):
        belonging.check(database, at("empty"), first=True)
    assert belonging.check(database, at("own"))


def test_nobody_sweeps_purges_or_puts_into_another_s_folder(new_database_url, at):
    own, other = Database(new_database_url()), Database(new_database_url())
    belonging.check(own, at("shared"), first=True)
    key = named(own, at("shared"))
    for act in (
        lambda blobs: sweep(other, blobs, older_than=-1.0),
        lambda blobs: purge(other, blobs, 0.0),
        lambda blobs: Pins(other, blobs).put(b"x"),
    ):
        named(other, at("elsewhere"))
        with pytest.raises(WrongStore, match=r"it has the mark of another one, store_\w+"):
            act(at("shared"))
    assert at("shared").exists(key)
    own.close()
    other.close()


def test_one_that_died_while_it_marked_is_gone_on_with(database, at, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Blobs, "set_mark", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            belonging.check(database, at("own"), first=True)
    assert belonging.check(database, at("own"))


def test_many_that_start_at_once_all_start(database, at):
    together = threading.Barrier(8)

    def start(_number):
        together.wait()
        return belonging.check(database, at("own"), first=True)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(start, range(8)))


def test_the_ways_out_that_the_refusals_name(new_database_url, at):
    own, other = Database(new_database_url()), Database(new_database_url())
    belonging.check(own, at("own"), first=True)
    Path(at("own").mark_place).unlink()  # the store is lost, and another takes its place
    with pytest.raises(WrongStore, match=r"If that store is no more, write (store_\w+) to (/.*)") as refused:
        belonging.check(own, at("new"))
    mark, place = str(refused.value).split("write ")[1].split(". See")[0].split(" to ")
    Path(place).write_text(mark)
    assert belonging.check(own, at("new"))
    with pytest.raises(WrongStore, match=r"If that is no more, remove /.*"):
        belonging.check(other, at("new"), first=True)
    Path(at("new").mark_place).unlink()
    assert belonging.check(other, at("new"), first=True)
    own.close()
    other.close()


def test_an_object_store_is_marked_too(database, tmp_path):
    blobs = Blobs("memory:///", tmp_path)
    assert belonging.check(database, blobs, first=True)
    blobs.belongs = False
    assert belonging.check(database, blobs)
    with pytest.raises(WrongStore):
        belonging.check(database, Blobs("memory:///", tmp_path))


def test_a_copy_and_a_folder_that_moved_work(sqlite_url, tmp_path, at):
    database = Database(sqlite_url)
    belonging.check(database, at("own"), first=True)
    shutil.copytree(tmp_path / "own", tmp_path / "copy")
    assert belonging.check(database, at("copy"))
    (tmp_path / "own").rename(tmp_path / "moved")
    assert belonging.check(database, at("moved"))
    database.close()


@pytest.mark.parametrize("name", ["team#1", "what?now", "a%41b"])
def test_blobs_that_a_version_before_put_elsewhere_are_brought_home(database, tmp_path, name):
    folder = tmp_path / name
    old = tmp_path / {"team#1": "team", "what?now": "what", "a%41b": "aAb"}[name]
    elsewhere = Blobs((old / "blobs" if "%" in name else old).as_uri(), tmp_path / "cache")
    key, strangers = named(database, elsewhere), elsewhere.put(b"of another database")
    folder.mkdir()
    own = Blobs(Settings(data_dir=folder).blobs, tmp_path / "cache")
    assert belonging.check(database, own)
    assert own.get(key) == b"table"
    assert not own.exists(strangers)
    assert elsewhere.exists(key)
    assert elsewhere.exists(strangers)


def test_a_process_is_refused_with_the_reason_or_waits_for_what_is_away(database_url, tmp_path):
    def why(**settings):
        return belonging.refusal(Settings(**{"data_dir": tmp_path, "database_url": database_url, **settings}))

    database = Database(database_url)
    assert belonging.check(database, Blobs((tmp_path / "blobs").as_uri(), tmp_path), first=True)
    database.close()
    assert why() is None
    assert "is not the store of this database's blobs" in why(data_dir=tmp_path / "other")
    for url in ("file:///a#b", "file://a/b", "nonsense", "file:///a?b"):
        assert why(blob_url=url).startswith("LEARND_BLOB_URL: "), url
    assert why(database_url="postgresql://nobody@127.0.0.1:1/none") is None
