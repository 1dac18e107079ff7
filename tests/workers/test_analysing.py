"""Analyses by a real worker: after the runs, once, and by the next worker where one is lost."""

import os
import signal

import pytest
from sqlalchemy import select

from store import analyses, claims, runs, tenants
from store.processes import ProcessIdentity
from store.tables import analyses as table
from tests.workers.running import Yard, wait_for
from workers.drain import Drain
from workers.driving import Place, drive
from workers.reading import Tables


def ask(yard: Yard, run: str, kind: analyses.Kind = "evaluation", *, ring: bool = True) -> None:
    with yard.database.write() as tx:
        analyses.ask(tx, tenants.LOCAL, run, kind, "test")
    if ring:
        yard.ring()


def row_of(yard: Yard, run: str, kind: analyses.Kind = "evaluation"):
    with yard.database.read() as tx:
        return tx.execute(select(table).where(table.c.run_id == run, table.c.kind == kind)).one()


def reached(yard: Yard, run: str, *statuses: str, kind: analyses.Kind = "evaluation"):
    return wait_for(lambda: (row := row_of(yard, run, kind)).status in statuses and row)


@pytest.fixture
def trained(yard: Yard) -> str:
    """A run whose linear fit takes a while; trained here, without a worker."""
    id, here = yard.add_run(ring=False, epochs=3_000), ProcessIdentity.current()
    with yard.database.write() as tx:
        claim = claims.claim(tx, worker="wk_here", slot_pid=here.pid, owner=here)
    drive(claim, Place(yard.settings, yard.database, yard.blobs, Tables(), Drain(), "cpu", 1))
    assert yard.run(id).status == "succeeded"
    return id


def test_a_run_that_waits_is_trained_before_an_analysis_that_waits_longer(yard: Yard, trained: str):
    ask(yard, trained, ring=False)
    later = yard.add_run(ring=False)
    yard.start_worker()
    yard.ring()
    made = reached(yard, trained, "ready")
    assert yard.run(later).finished_at < made.started_at
    assert made.result["rows"] == 30
    assert (made.attempt, made.crashes, made.owner, made.error) == (1, 0, None, None)


def test_what_waits_unrung_is_rung_for(yard: Yard, trained: str):
    ask(yard, trained, "importance", ring=False)
    yard.start_worker()
    yard.start_reconciler()
    assert len(reached(yard, trained, "ready", kind="importance").result["features"]) == 4


def test_a_worker_told_to_end_hands_it_back_and_the_next_makes_it(yard: Yard, trained: str):
    worker = yard.start_worker()
    ask(yard, trained)
    reached(yard, trained, "running")
    worker.terminate()
    assert worker.wait(yard.settings.drain_seconds / 3) == 0
    row = row_of(yard, trained)
    assert (row.status, row.attempt, row.crashes, row.owner) == ("pending", 1, 0, None)
    yard.start_worker()
    yard.ring()
    assert reached(yard, trained, "ready").attempt == 2


def test_a_killed_child_leaves_it_to_the_next(yard: Yard, trained: str):
    worker = yard.start_worker()
    yard.start_reconciler()
    ask(yard, trained)
    reached(yard, trained, "running")
    os.kill(yard.child_of(worker), signal.SIGKILL)
    row = reached(yard, trained, "ready")
    assert (row.attempt, row.crashes) == (2, 1)


def test_a_run_deleted_meanwhile_ends_the_attempt_and_the_child_goes_on(yard: Yard, trained: str):
    yard.start_worker()
    ask(yard, trained)
    reached(yard, trained, "running")
    with yard.database.write() as tx:
        runs.delete(tx, tenants.LOCAL, trained)
    wait_for(lambda: "its run is gone" in yard.log.read_text())
    yard.reached(yard.add_run(), "succeeded")


def test_a_table_or_weights_that_are_gone_fail_it_with_their_reason(yard: Yard, trained: str):
    yard.start_worker()
    yard.blobs.delete(yard.blob)
    ask(yard, trained)
    assert reached(yard, trained, "failed").error["code"] == "dataset_missing"
    yard.blobs.delete(yard.run(trained).weights_blob)
    ask(yard, trained, "importance")
    assert reached(yard, trained, "failed", kind="importance").error["code"] == "weights_missing"
