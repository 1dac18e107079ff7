"""What a reference means is asked of the database seldom, by one thread, and known for a while without it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection

from service.serving import versions
from service.serving.versions import FRESH_SECONDS, LAST_SECONDS, SURE_SECONDS, Versions
from store import models, tenants
from store.database import Database
from store.errors import Busy, NotFound
from tests.functional.running import wait_for
from tests.store.conftest import House


class Fragile(Database):
    """A database that can be away, or silent."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reads = 0
        self.is_away = False
        self.speaks = threading.Event()
        self.speaks.set()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self.reads += 1
        self.speaks.wait(30)
        if self.is_away:
            raise Busy("away")
        with super().read() as tx:
            yield tx


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(versions, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def fragile(database_url: str) -> Iterator[Fragile]:
    fragile = Fragile(database_url)
    house = House(fragile, tenants.LOCAL)
    claim = house.start()
    house.succeed(claim)
    for name in ("iris", "wine"):
        for blob in ("sha256/1", "sha256/2"):
            add(fragile, name, claim.run_id, blob)
        point(fragile, name, 1)
    fragile.reads = 0
    yield fragile
    fragile.close()


@pytest.fixture
def known(fragile: Fragile, clock: Clock) -> Iterator[Versions]:
    known = Versions(fragile)
    yield known
    fragile.speaks.set()
    settled(known)


def add(database: Database, name: str, run: str, blob: str) -> None:
    with database.write() as tx:
        models.add(tx, tenants.LOCAL, name, run=run, member=0, inputs=[], outputs=[], blob=blob, sha256="")


def point(database: Database, name: str, version: int) -> None:
    with database.write() as tx:
        models.point(tx, tenants.LOCAL, name, "prod", version)


def asker(known: Versions, ref: str = "iris@prod") -> Callable[[], str]:
    return lambda: known.get(tenants.LOCAL, ref).ref


def settled(known: Versions) -> None:
    """No question is under way."""
    wait_for(lambda: not known._asking)


def test_the_database_is_asked_once_for_as_long_as_the_answer_is_fresh(
    known: Versions, fragile: Fragile, clock: Clock
) -> None:
    ask = asker(known)
    for _ in range(50):
        assert ask() == "iris:1"
        clock.now += FRESH_SECONDS / 60
    assert fragile.reads == 1


def test_whoever_goes_on_asking_never_waits_and_sees_a_move_within_a_second(
    known: Versions, fragile: Fragile, clock: Clock
) -> None:
    ask = asker(known)
    assert ask() == "iris:1"
    fragile.speaks.clear()  # however long the database takes, up to SURE_SECONDS
    point(fragile, "iris", 2)
    for age in (FRESH_SECONDS, (FRESH_SECONDS + SURE_SECONDS) / 2, SURE_SECONDS - 0.01):
        clock.now = 1000.0 + age
        assert ask() == "iris:1"
    fragile.speaks.set()
    settled(known)
    assert fragile.reads == 2
    assert ask() == "iris:2"


def test_what_is_too_old_to_be_sure_of_is_asked_before_it_is_said(
    known: Versions, fragile: Fragile, clock: Clock
) -> None:
    ask = asker(known)
    for version in (1, 2) * 3:
        point(fragile, "iris", version)
        clock.now += SURE_SECONDS
        assert ask() == f"iris:{version}"


def test_of_many_threads_one_asks_the_database(known: Versions, fragile: Fragile, clock: Clock) -> None:
    with ThreadPoolExecutor(8) as pool:
        for moment in (1, 2):  # nobody knows it yet; then what is known is too old
            fragile.speaks.clear()
            asked = [pool.submit(asker(known)) for _ in range(8)]
            wait_for(lambda moment=moment: fragile.reads == moment)
            fragile.speaks.set()
            assert {each.result() for each in asked} == {"iris:1"}
            assert fragile.reads == moment
            clock.now += SURE_SECONDS


def test_whoever_changes_a_model_sees_the_change_at_once(known: Versions, fragile: Fragile, clock: Clock) -> None:
    ask = asker(known)
    assert (ask(), asker(known, "wine")()) == ("iris:1", "wine:2")
    point(fragile, "iris", 2)
    known.forget(tenants.LOCAL, "iris")
    assert ask() == "iris:2"
    assert fragile.reads == 3
    assert asker(known, "wine")() == "wine:2"
    assert fragile.reads == 3, "what is known of other models stays"


def test_an_answer_from_before_a_change_is_not_remembered_after_it(
    known: Versions, fragile: Fragile, clock: Clock
) -> None:
    ask = asker(known)
    resolved, told = threading.Event(), threading.Event()
    real = models.resolve

    def late(tx: Connection, tenant: str, ref: str) -> models.Meaning:
        found = real(tx, tenant, ref)
        resolved.set()
        assert told.wait(30)
        return found

    with ThreadPoolExecutor(1) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "resolve", late)
        before = pool.submit(ask)
        assert resolved.wait(30)
        patch.undo()
        point(fragile, "iris", 2)
        known.forget(tenants.LOCAL, "iris")
        told.set()
        assert before.result() == "iris:1"
    assert ask() == "iris:2"


def test_what_is_not_there_is_asked_each_time_and_takes_no_room(
    known: Versions, fragile: Fragile, clock: Clock
) -> None:
    for number in range(20):
        with pytest.raises(NotFound):
            asker(known, f"iris@no{number}")()
    assert (fragile.reads, len(known._known), len(known._asking)) == (20, 0, 0)


def test_what_is_there_no_more_is_not_found_within_a_second(known: Versions, fragile: Fragile, clock: Clock) -> None:
    ask = asker(known)
    assert ask() == "iris:1"
    with fragile.write() as tx:
        models.delete(tx, tenants.LOCAL, "iris")
    clock.now += SURE_SECONDS
    with pytest.raises(NotFound):
        ask()
    assert len(known._known) == 0


def test_the_references_that_are_remembered_are_bounded(
    known: Versions, fragile: Fragile, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_MOST", 2)
    for ref in ("iris", "wine", "iris:1", "wine:1"):
        asker(known, ref)()
    assert [ref for _, ref in known._known] == ["iris:1", "wine:1"]


@pytest.mark.parametrize("silent", [False, True], ids=["away", "silent"])
def test_known_references_go_on_for_a_minute_without_the_database(
    known: Versions, fragile: Fragile, clock: Clock, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr(versions, "PATIENCE_SECONDS", 0.01)
    ask = asker(known)
    assert ask() == "iris:1"
    fragile.is_away = True
    if silent:
        fragile.speaks.clear()
    while clock.now < 1000.0 + LAST_SECONDS - 1:
        clock.now += FRESH_SECONDS / 2
        assert ask() == "iris:1"
    assert fragile.reads < 1 + LAST_SECONDS / FRESH_SECONDS, "it is not asked at every request"
    clock.now = 1000.0 + LAST_SECONDS
    fragile.speaks.set()
    with pytest.raises(Busy):
        ask()
    with pytest.raises(Busy):
        asker(known, "wine")()
    fragile.is_away = False
    point(fragile, "iris", 2)
    settled(known)
    assert ask() == "iris:2"


def test_a_database_that_is_back_is_believed_within_a_second(known: Versions, fragile: Fragile, clock: Clock) -> None:
    ask = asker(known)
    assert ask() == "iris:1"
    fragile.is_away = True
    clock.now += 30
    assert ask() == "iris:1"
    fragile.is_away = False
    point(fragile, "iris", 2)
    clock.now += SURE_SECONDS
    assert ask() == "iris:2"
