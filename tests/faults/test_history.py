"""The checker itself: a true history passes, and whatever is falsified in it is found."""

from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import delete, insert, update

from store import chunks, claims, datasets, expiry, finishing, leases, runs, tables, tenants
from store.blobs import Blobs
from store.finishing import Result
from store.leases import Report
from store.members import MemberReport
from store.moments import now
from store.processes import ProcessIdentity
from tests.faults.client import Answer
from tests.faults.history import check, problems

HASH = "b" * 64
BEST = {"epoch": 1, "metric": "train.loss", "value": 0.5}


def told(epoch):
    step = np.array([[epoch]], dtype=np.int64)
    chunk = chunks.Chunk("train", "loss", epoch, step, np.full((1, 1), 0.5, dtype=np.float32))
    metrics = {"train": {"loss": 0.5}}
    return Report({"epoch": epoch}, metrics, BEST, [chunk], told={"epoch": epoch, "metrics": metrics})


@pytest.fixture
def house(database, tmp_path):
    """Two runs of one spec: the first lost a worker after two epochs, both succeeded after three. A third is held."""
    blobs = Blobs(f"file://{tmp_path}/blobs", tmp_path / "cache")
    blob, here = blobs.put(b"weights"), ProcessIdentity.current()
    log = []

    def write(action, *arguments, **named):
        with database.write() as tx:
            return action(tx, *arguments, **named)

    def claim():
        return write(claims.claim, worker="wk_1", slot_pid=here.pid, owner=here)

    def record(claimed, *epochs):
        for epoch in epochs:
            write(leases.record, claimed.run_id, claimed.attempt, told(epoch))

    table = {"rows": 3, "bytes": 9, "sha256": "a" * 64, "columns": [], "warnings": [], "blob": None}
    dataset = write(datasets.insert, tenants.LOCAL, name="iris", **table)
    known = {"spec": {"seed": 0}, "task": "multiclass", "rows": {}, "warnings": [], "members": [{}]}
    ids = [write(runs.insert, tenants.LOCAL, dataset=dataset.id, **known).id for _ in range(3)]
    log += [Answer("POST", "/v1/runs", f"key {id}", 202, id=id) for id in ids]
    lost = claim()
    record(lost, 1, 2)
    write(expiry.expire, lost.run_id, lost.attempt, seq=2, backoff=(0.0,))
    member = MemberReport(0, "succeeded", 3, BEST, weights_sha256=HASH)
    result = Result({}, BEST, [member], blob, HASH, "cpu", receipt={"weights_sha256": HASH})
    for _ in range(2):
        claimed = claim()
        record(claimed, 1, 2, 3)
        write(finishing.succeed, claimed.run_id, claimed.attempt, result)
    record(claim(), 1)
    return SimpleNamespace(database=database, blobs=blobs, blob=blob, log=log, ids=ids)


def test_a_true_history_passes(house):
    check(house)


def event(seq, type, **data):
    row = {"seq": seq, "tenant_id": tenants.LOCAL, "type": type, "created_at": now(), "data": data}
    return lambda run: insert(tables.events).values(run_id=run, **row)


def no_event(seq):
    return lambda run: delete(tables.events).where(tables.events.c.run_id == run, tables.events.c.seq == seq)


def event_with(seq, **data):
    at = tables.events.c.seq == seq
    return lambda run: update(tables.events).where(tables.events.c.run_id == run, at).values(data=data)


def run_with(**columns):
    return lambda run: update(tables.runs).where(tables.runs.c.id == run).values(**columns)


def no_metrics(run):
    return delete(tables.metric_chunks).where(tables.metric_chunks.c.run_id == run)


def later_metrics(run):
    return update(tables.metric_chunks).where(tables.metric_chunks.c.run_id == run).values(first_epoch=2)


def no_run(run):
    return delete(tables.runs).where(tables.runs.c.id == run)


def lease_of_another(run):
    return update(tables.leases).values(run_id=run)


# The events of the first run: queued, started, progress 1 and 2, interrupted, resumed, progress 3, succeeded.
@pytest.mark.parametrize(
    ("falsify", "words"),
    [
        (no_event(4), "seq"),
        (no_event(8), "its events end as running"),
        (event(9, "run.succeeded", weights_sha256=HASH), "told while it is succeeded"),
        (event(9, "run.progress", epoch=4), "told while it is succeeded"),
        (event_with(7, epoch=2), "tells epoch 2 after epoch 2"),
        (event_with(8, attempt=1, weights_sha256=HASH), "of attempt 1 within attempt 2"),
        (run_with(attempt=3), "tell 2 attempts"),
        (run_with(status="failed"), "its row as failed"),
        (run_with(generation=2), "its row as succeeded, 2"),
        (run_with(weights_sha256="c" * 64), "told were"),
        (run_with(weights_sha256="c" * 64), "2 hashes"),
        (run_with(receipt={"weights_sha256": "c" * 64}), "receipt"),
        (run_with(weights_blob="sha256/00/" + "0" * 62), "cannot be read"),
        (run_with(progress={"epoch": 4}), "told of epoch 4"),
        (later_metrics, "2 of 3 epochs"),
        (no_metrics, "no metric can be read"),
        (no_run, "does not exist"),
        (lease_of_another, "leases"),
    ],
)
def test_what_is_falsified_in_the_rows_is_found(house, falsify, words):
    with house.database.write() as tx:
        tx.execute(falsify(house.ids[0]))
    assert any(words in problem for problem in problems(house)), problems(house)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("POST", "/v1/runs", "another", 202, id="run_lost"), "does not exist"),
        (Answer("GET", "/v1/runs", None, 500, detail="oh"), "answered with 500"),
        (Answer("GET", "/v1/runs", None, 503, detail="busy"), "no Retry-After"),
    ],
)
def test_a_promise_that_was_not_kept_is_found(house, answer, words):
    house.log.append(answer)
    assert any(words in problem for problem in problems(house)), problems(house)


def test_a_key_that_made_two_runs_is_found(house):
    house.log.append(Answer("POST", "/v1/runs", f"key {house.ids[0]}", 202, id=house.ids[1]))
    assert any("made 2 runs" in problem for problem in problems(house))


def test_a_run_that_nobody_asked_for_is_found(house):
    del house.log[0]
    assert any("3 runs exist, and 2 were asked for" in problem for problem in problems(house))


def test_a_cancelling_that_was_promised_and_did_not_come_is_found(house):
    house.log.append(Answer("POST", f"/v1/runs/{house.ids[2]}/cancel", None, 202, id=house.ids[2]))
    assert any("its cancelling was promised" in problem for problem in problems(house))
