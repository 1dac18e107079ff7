"""A batch prediction moves as its table of states says, is made by one attempt at a time, and keeps what is done."""

import threading

import pytest
from sqlalchemy import select

from store import batch_predictions, batching, datasets, models, workers
from store.batching import Part
from store.errors import Conflict, Fenced, NotFound
from store.processes import ProcessIdentity
from store.references import unreferenced
from store.tables import batch_parts

VERSION = {"member": None, "inputs": [], "outputs": [], "sha256": "b" * 64}
TOTAL = 100


@pytest.fixture
def served(house):
    """The dataset; the model `m` has one version."""
    ended = house.start()
    house.succeed(ended)
    with house.database.write() as tx:
        models.add(tx, house.tenant, "m", run=ended.run_id, blob="sha256/version", **VERSION)
    return house.add_dataset("rows", rows=TOTAL).id


def ask(house, dataset, **options):
    with house.database.write() as tx:
        return batch_predictions.insert(tx, house.tenant, model="m", version=1, dataset=dataset, **options)


def get(house, batch):
    with house.database.read() as tx:
        return batch_predictions.get(tx, house.tenant, batch.id)


def claim(house, slot_pid=7):
    with house.database.write() as tx:
        return batching.claim(tx, worker="wk_1", slot_pid=slot_pid, owner=ProcessIdentity.current())


def write(house, act, *args):
    with house.database.write() as tx:
        return act(tx, *args)


def cancel(house, batch):
    with house.database.write() as tx:
        return batch_predictions.cancel(tx, house.tenant, batch.id)


def keep(house, work, first, rows):
    return write(house, batching.add_part, work, Part(first, rows, f"sha256/part-{first}"))


def lose(house):
    with house.database.read() as tx:
        (lease,) = batching.leases(tx)
    return write(house, batching.expire, lease)


def parts(house):
    with house.database.read() as tx:
        return [tuple(row) for row in tx.execute(select(batch_parts.c.first_row, batch_parts.c.rows))]


def test_it_waits_is_made_once_and_has_its_result(house, served):
    batch = ask(house, served, probabilities=True, interval=0.9)
    assert (batch.status, batch.attempt, batch.rows, batch.started_at) == ("queued", 0, None, None)
    assert batch.progress == {"rows": 0, "total": TOTAL, "fraction": 0.0, "eta_seconds": None}
    with house.database.read() as tx:
        assert batch_predictions.waiting(tx) == 1
    work = claim(house)
    assert (work.id, work.attempt, work.parts, work.dataset.id) == (batch.id, 1, (), served)
    assert (work.weights_blob, work.member, work.probabilities, work.interval) == ("sha256/version", None, True, 0.9)
    assert claim(house) is None, "it was the only one"
    assert write(house, batching.tell, work, 40, 1.5) is None
    assert get(house, batch).progress == {"rows": 40, "total": TOTAL, "fraction": 0.4, "eta_seconds": 1.5}
    keep(house, work, 0, TOTAL)
    assert write(house, batching.finish, work, "sha256/result")
    assert house.freed() == ["sha256/part-0"]
    ended = get(house, batch)
    assert (ended.status, ended.rows, ended.blob, ended.error) == ("succeeded", TOTAL, "sha256/result", None)
    assert ended.progress == {"rows": TOTAL, "total": TOTAL, "fraction": 1.0, "eta_seconds": 0.0}
    assert parts(house) == []
    assert claim(house) is None
    with pytest.raises(Fenced):
        write(house, batching.finish, work, "sha256/other")


def test_the_only_part_may_be_the_result_itself(house, served):
    ask(house, served)
    work = claim(house)
    keep(house, work, 0, TOTAL)
    assert write(house, batching.finish, work, "sha256/part-0")
    assert house.freed() == []


def test_those_that_wait_are_made_in_the_order_in_which_they_came(house, served):
    asked = [ask(house, served).id for _ in range(3)]
    assert [claim(house).id for _ in asked] == asked


def test_of_many_that_claim_at_once_one_makes_it(house, served):
    ask(house, served)
    claimed, together = [], threading.Barrier(4)

    def go():
        together.wait()
        claimed.append(claim(house))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.attempt for each in claimed if each] == [1]


def test_what_is_done_stays_when_the_worker_is_told_to_end_and_no_crash_is_counted(house, served):
    batch = ask(house, served)
    work = claim(house)
    keep(house, work, 0, 30)
    keep(house, work, 30, 20)
    write(house, batching.tell, work, 80, None)
    write(house, batching.release, work)
    assert house.freed() == []
    waits = get(house, batch)
    assert (waits.status, waits.progress["rows"]) == ("queued", 50), "30 of the 80 rows were in no part"
    began = waits.started_at
    for act in (batching.release, lambda tx, old: batching.tell(tx, old, 90, None)):
        with pytest.raises(Fenced):
            write(house, act, work)
    for _ in range(batching.MAX_CRASHES + 1):
        again = claim(house)
        write(house, batching.release, again)
    again = claim(house)
    assert [(part.first_row, part.rows) for part in again.parts] == [(0, 30), (30, 20)]
    assert (again.rows_done, get(house, batch).started_at) == (50, began)


def test_a_part_is_told_twice_where_the_first_answer_was_lost(house, served):
    ask(house, served)
    work = claim(house)
    keep(house, work, 0, 30)
    keep(house, work, 0, 30)
    assert parts(house) == [(0, 30)]


def test_a_lost_worker_s_is_made_again_and_fails_at_the_third_crash_without_another_part(house, served):
    batch = ask(house, served)
    for _ in range(batching.MAX_CRASHES - 1):
        claim(house)
        assert lose(house)
        assert get(house, batch).status == "queued"
    work = claim(house)
    keep(house, work, 0, 10)  # it got further
    for _ in range(batching.MAX_CRASHES - 1):
        assert lose(house)
        claim(house)
    assert get(house, batch).status == "running"
    assert lose(house)
    failed = get(house, batch)
    assert (failed.status, failed.error["code"]) == ("failed", "worker_lost")
    assert parts(house) == []
    with pytest.raises(Fenced):
        keep(house, work, 10, 10)


def test_a_lease_that_moved_is_not_taken_away(house, served):
    ask(house, served)
    work = claim(house)
    with house.database.read() as tx:
        (seen,) = batching.leases(tx)
    with house.database.write() as tx:
        assert work.beat(tx, 1) is None
    assert not write(house, batching.expire, seen)
    write(house, batching.fail, work, "internal", "it went wrong")
    assert not write(house, batching.expire, seen)


def test_a_cancel_is_so_at_once_where_nobody_holds_it_and_else_however_the_attempt_ends(house, served):
    batch = ask(house, served)
    work = claim(house)
    keep(house, work, 0, 10)
    write(house, batching.release, work)
    found = cancel(house, batch)
    assert (found.status, house.freed(), parts(house)) == ("cancelled", ["sha256/part-0"], [])
    assert cancel(house, batch).finished_at == found.finished_at
    for act in (
        batching.acknowledge,
        lambda tx, work: batching.finish(tx, work, "sha256/result"),
        lambda tx, work: batching.fail(tx, work, "internal", "it went wrong"),
        batching.release,
        lambda tx, work: batching.expire(tx, batching.leases(tx)[0]),
    ):
        batch = ask(house, served)
        work = claim(house)
        assert cancel(house, batch).status == cancel(house, batch).status == "cancelling"
        assert write(house, batching.tell, work, 50, None) == "cancel"
        write(house, act, work)
        ended = get(house, batch)
        assert (ended.status, ended.blob, ended.error) == ("cancelled", None, None)
    batch = ask(house, served)
    write(house, batching.finish, claim(house), "sha256/result")
    with pytest.raises(Conflict, match="already succeeded"):
        cancel(house, batch)


def test_its_dataset_and_its_model_stay_until_it_has_ended(house, served):
    batch = ask(house, served)
    with house.database.write() as tx, pytest.raises(Conflict, match=f"batch prediction {batch.id} still reads"):
        datasets.delete(tx, house.tenant, served)
    with house.database.write() as tx, pytest.raises(Conflict, match=batch.id):
        models.delete(tx, house.tenant, "m")
    cancel(house, batch)
    with house.database.write() as tx:
        models.delete(tx, house.tenant, "m")
        datasets.delete(tx, house.tenant, served)
    assert get(house, batch).dataset == served
    with pytest.raises(NotFound):
        ask(house, served)


def test_nothing_is_made_of_what_is_not_there(house, served, stranger):
    for options in ({"version": 2}, {"model": "none"}, {"dataset": "ds_" + "0" * 26}):
        known = {"model": "m", "version": 1, "dataset": served, **options}
        with house.database.write() as tx, pytest.raises(NotFound):
            batch_predictions.insert(tx, house.tenant, **known)
    with house.database.write() as tx, pytest.raises(NotFound):
        batch_predictions.insert(tx, stranger, model="m", version=1, dataset=served)


def test_only_one_that_has_ended_is_deleted_and_its_blob_with_it(house, served):
    batch = ask(house, served)
    work = claim(house)
    with house.database.write() as tx, pytest.raises(Conflict, match="running"):
        batch_predictions.remove(tx, house.tenant, batch.id)
    keep(house, work, 0, 10)
    with house.database.read() as tx:
        assert unreferenced(tx, ["sha256/part-0", "sha256/else"]) == ["sha256/else"]
    write(house, batching.finish, work, "sha256/result")
    with house.database.write() as tx:
        batch_predictions.remove(tx, house.tenant, batch.id)
    assert house.freed() == ["sha256/part-0", "sha256/result"]
    with pytest.raises(NotFound):
        get(house, batch)


def test_who_makes_one_is_busy(house, served):
    with house.database.write() as tx:
        workers.register(tx, "wk_1", host="here", pid=1, queues=["cpu"], device="cpu", slot_pid=7)
    ask(house, served)
    work = claim(house, slot_pid=7)

    def slot():
        with house.database.read() as tx:
            return workers.list_all(tx, house.tenant)[0].slots[0]

    assert (slot().busy, slot().run) == (True, None)
    write(house, batching.finish, work, "sha256/result")
    assert not slot().busy
