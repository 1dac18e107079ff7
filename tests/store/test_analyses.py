"""An analysis is asked for once, made by one attempt, and kept as long as its run."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from store import analyses, analysing, datasets, runs, workers
from store.errors import Conflict, Fenced, NotFound
from store.moments import now
from store.processes import ProcessIdentity
from store.tables import analyses as table
from store.tables import runs as run_rows

FOUND = {"object": "evaluation", "rows": 3}


@pytest.fixture
def run(house):
    """Of one that has succeeded."""
    claim = house.start(epoch=1)
    house.succeed(claim)
    return house.run(claim)


def ask(house, run, kind="evaluation", split="test"):
    with house.database.write() as tx:
        return analyses.ask(tx, house.tenant, run.id, kind, split)


def get(house, run, kind="evaluation", split="test"):
    with house.database.read() as tx:
        return analyses.get(tx, house.tenant, run.id, kind, split)


def claim(house):
    with house.database.write() as tx:
        return analysing.claim(tx, worker="wk_1", slot_pid=7, owner=ProcessIdentity.current())


def leases(house):
    with house.database.read() as tx:
        return analysing.leases(tx)


def write(house, act, *args):
    with house.database.write() as tx:
        return act(tx, *args)


def beat(house, work):
    with house.database.write() as tx:
        work.beat(tx, 1)


def lose(house):
    (lease,) = leases(house)
    return write(house, analysing.expire, lease)


def test_it_waits_once_it_was_asked_for_and_is_kept_once_it_is_made(house, run):
    assert get(house, run) is None
    assert ask(house, run).status == "pending"
    assert get(house, run).status == ask(house, run).status == "pending"
    work = claim(house)
    assert (work.place, work.attempt) == (analyses.Place(run.id, "evaluation", "test"), 1)
    assert (work.tenant, work.spec, work.task) == (house.tenant, run.spec, run.task)
    assert work.epochs == run.progress["epoch"] == 1
    assert (work.dataset.id, work.weights_blob) == (run.dataset, run.weights_blob)
    assert get(house, run).status == "running"
    assert claim(house) is None, "it was the only one"
    write(house, analysing.finish, work, FOUND)
    assert (get(house, run).status, get(house, run).result) == ("ready", FOUND)
    assert ask(house, run).result == FOUND
    assert claim(house) is None
    with pytest.raises(Fenced):
        write(house, analysing.finish, work, {"made": "twice"})


def test_the_kinds_and_the_splits_of_a_run_are_made_apart_the_oldest_first(house, run):
    asked = [("importance", "test"), ("evaluation", "validation"), ("evaluation", "test")]
    for kind, split in asked:
        ask(house, run, kind, split)
    with house.database.read() as tx:
        assert analyses.waiting(tx) == 3
    made = [claim(house).place for _ in asked]
    assert made == [analyses.Place(run.id, kind, split) for kind, split in asked]


def test_of_many_that_ask_and_claim_at_once_one_makes_it(house, run):
    claimed, together = [], threading.Barrier(4)

    def go():
        together.wait()
        ask(house, run)
        claimed.append(claim(house))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.attempt for each in claimed if each] == [1]


def test_nothing_is_made_of_a_run_without_weights_or_of_none(house, run):
    claimed = house.start()
    with pytest.raises(Conflict, match="running and has kept no weights"):
        ask(house, house.run(claimed))
    with house.database.write() as tx:
        runs.delete(tx, house.tenant, run.id)
    with pytest.raises(NotFound):
        ask(house, run)
    with pytest.raises(NotFound):
        get(house, run)


def test_without_its_dataset_it_is_not_made_but_what_was_made_stays(house, run):
    ask(house, run)
    write(house, analysing.finish, claim(house), FOUND)
    ask(house, run, "importance")
    with house.database.write() as tx:
        datasets.delete(tx, house.tenant, run.dataset)
    assert claim(house) is None
    assert get(house, run, "importance").error["code"] == "dataset_missing"
    assert ask(house, run, "evaluation", "validation").error["code"] == "dataset_missing"
    assert get(house, run, "evaluation", "validation") is None, "nothing was written"
    assert ask(house, run).result == FOUND


def test_a_failure_is_told_for_a_while_and_then_it_may_be_tried_again(house, run):
    ask(house, run)
    first = claim(house)
    write(house, analysing.fail, first, "out_of_memory", "too large")
    told = {"code": "out_of_memory", "message": "too large"}
    assert get(house, run).error == ask(house, run).error == told
    with house.database.write() as tx:
        tx.execute(update(table).values(finished_at=now() - timedelta(seconds=analyses.FAILED_SECONDS + 1)))
    assert get(house, run) is None
    again = ask(house, run)
    assert (again.status, again.error) == ("pending", None)
    assert claim(house).attempt == 2


def test_a_worker_that_shuts_down_hands_it_back_uncounted(house, run):
    ask(house, run)
    for attempt in range(1, 6):
        work = claim(house)
        assert work.attempt == attempt
        write(house, analysing.release, work)
        with pytest.raises(Fenced):
            beat(house, work)
    assert get(house, run).status == "pending"


def test_a_lost_worker_leaves_it_to_the_next_and_the_third_is_the_last(house, run):
    ask(house, run)
    for attempt in (1, 2, 3):
        work = claim(house)
        assert work.attempt == attempt
        assert lose(house)
        with pytest.raises(Fenced):
            write(house, analysing.finish, work, FOUND)
        with pytest.raises(Fenced):
            write(house, analysing.fail, work, "out_of_memory", "too large")
    assert get(house, run).error["code"] == "worker_lost"
    assert leases(house) == []


def test_one_that_beats_is_not_taken_away(house, run):
    ask(house, run)
    work = claim(house)
    (seen,) = leases(house)
    assert (seen.place, seen.attempt, seen.owner) == (work.place, 1, ProcessIdentity.current())
    beat(house, work)
    assert not write(house, analysing.expire, seen)
    write(house, analysing.finish, work, FOUND)
    assert not write(house, analysing.expire, seen)


def test_new_weights_of_the_run_make_what_was_found_of_the_old_ones_stale(house, run):
    ask(house, run)
    write(house, analysing.finish, claim(house), FOUND)
    ask(house, run, split="validation")
    at_work = claim(house)
    with house.database.write() as tx:
        tx.execute(update(run_rows).values(weights_blob="sha256/others"))
    for split in ("test", "validation"):
        assert get(house, run, split=split) is None
        assert ask(house, run, split=split).status == "pending"
    with pytest.raises(Fenced):
        write(house, analysing.finish, at_work, FOUND)
    found = {(work.place.split, work.attempt, work.weights_blob) for work in (claim(house), claim(house))}
    assert found == {("test", 2, "sha256/others"), ("validation", 2, "sha256/others")}


def test_they_go_with_their_run_even_while_they_are_made(house, run):
    ask(house, run)
    work = claim(house)
    ask(house, run, "importance")
    with house.database.write() as tx:
        runs.delete(tx, house.tenant, run.id)
    with house.database.read() as tx:
        assert tx.execute(select(func.count()).select_from(table)).scalar_one() == 0
    with pytest.raises(Fenced):
        write(house, analysing.finish, work, FOUND)
    assert claim(house) is None


def test_the_slot_that_makes_one_is_busy_with_its_run(house, run, stranger):
    known = {"host": "h", "pid": 5, "queues": ["cpu"], "device": None, "slot_pid": 7}
    with house.database.write() as tx:
        workers.register(tx, "wk_1", **known)
    ask(house, run)
    work = claim(house)

    def slot(tenant):
        with house.database.read() as tx:
            ((found,),) = [each.slots for each in workers.list_all(tx, tenant)]
        return found.busy, found.run

    assert slot(house.tenant) == (True, run.id)
    assert slot(stranger) == (True, None)
    write(house, analysing.finish, work, FOUND)
    assert slot(house.tenant) == (False, None)
