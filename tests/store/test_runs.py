from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import func, insert, select

from store import events, members, moves, runs
from store.chunks import Chunk
from store.errors import Conflict
from store.moments import now
from store.states import TABLE
from store.tables import metadata, model_versions, models
from store.tables import runs as table


def test_a_run_is_read_as_it_was_written(house):
    spec = {"seed": 7, "epochs": 3, "sweep": {"optimizer.learning_rate": [0.1, 1e-4]}, "network": {"layers": []}}
    soon = now() + timedelta(hours=1)
    run = house.add_run(
        spec=spec,
        members=[{"overrides": {"optimizer.learning_rate": 0.1}}, {"overrides": {}, "fold": 2}],
        rows={"train": 2, "validation": 1, "test": 0, "dropped": 0},
        warnings=[{"code": "x"}],
        queue="gpu",
        priority=-3,
        not_before=soon,
        name="näme",
        metadata={"team": "a"},
    )
    assert run == house.run(run)
    assert (run.status, run.attempt, run.generation, run.crashes, run.requested) == ("queued", 0, 1, 0, None)
    assert (run.spec, run.priority, run.not_before, run.queue) == (spec, -3, soon, "gpu")
    assert (run.name, run.metadata, run.warnings, run.rows["train"]) == ("näme", {"team": "a"}, [{"code": "x"}], 2)
    assert (run.progress, run.metrics, run.best, run.error, run.weights_sha256) == (None, {}, None, None, None)
    assert (run.started_at, run.finished_at) == (None, None)
    with house.database.read() as tx:
        assert [each.overrides for each in members.first(tx, house.tenant, run.id)] == [
            {"optimizer.learning_rate": 0.1},
            {},
        ]
        assert [(each.seq, each.type) for each in events.page(tx, house.tenant, run.id).data] == [(1, "run.queued")]


def test_lists_are_filtered_by_status_and_dataset(house):
    first = house.add_run()
    second = house.add_run(dataset=first.dataset)
    third = house.add_run()
    house.request(first, "cancel")
    with house.database.read() as tx:

        def listed(**filters):
            return [run.id for run in runs.page(tx, house.tenant, **filters).data]

        assert listed() == [third.id, second.id, first.id]
        assert listed(status="queued") == [third.id, second.id]
        assert listed(status="cancelled", dataset=first.dataset) == [first.id]
        assert listed(dataset=first.dataset) == [second.id, first.id]
        assert listed(status="failed") == listed(dataset="ds_\0") == []
        page = runs.page(tx, house.tenant, limit=1, status="queued")
        assert [run.id for run in runs.page(tx, house.tenant, status="queued", after=page.next).data] == [second.id]


def test_the_position_counts_the_due_runs_that_will_be_claimed_before(house):
    dataset = house.add_dataset().id
    low = house.add_run(dataset, priority=-1)
    first = house.add_run(dataset)
    house.add_run(dataset, not_before=now() + timedelta(hours=1), priority=9)
    house.add_run(dataset, queue="gpu")
    second = house.add_run(dataset)
    urgent = house.add_run(dataset, priority=5)
    with house.database.read() as tx:
        assert [runs.queue_position(tx, run) for run in (urgent, first, second, low)] == [0, 1, 2, 3]
    claimed = house.claim()
    assert claimed.run_id == urgent.id, "the order in which they are claimed"
    with house.database.read() as tx:
        assert runs.queue_position(tx, house.run(urgent)) is None
        assert runs.queue_position(tx, house.run(low)) == 2


def test_name_metadata_and_priority_may_be_changed_each_alone(house):
    run = house.add_run(name="old", metadata={"a": "b"})
    with house.database.write() as tx:
        runs.update(tx, house.tenant, run.id, priority=4)
        changed = runs.update(tx, house.tenant, run.id, name=None)
        assert (changed.name, changed.priority, changed.metadata) == (None, 4, {"a": "b"})
        assert runs.update(tx, house.tenant, run.id, metadata={}).metadata == {}
        assert runs.update(tx, house.tenant, run.id) == house.run(run).__class__(
            **{**run.__dict__, "name": None, "priority": 4, "metadata": {}}
        )


VERBS = [
    # what is asked, of a run how far, what it then is, and the events that tell it
    ("cancel", "queued", "cancelled", ["run.cancelled"]),
    ("pause", "queued", "paused", ["run.paused"]),
    ("resume", "queued", "queued", []),
    ("cancel", "running", "cancelling", ["run.cancelling"]),
    ("pause", "running", "pausing", ["run.pausing"]),
    ("stop", "running", "running", []),
    ("resume", "running", "running", []),
]


@pytest.mark.parametrize(("verb", "before", "after", "told"), VERBS)
def test_a_verb_moves_the_run_and_is_told_and_asking_again_changes_nothing(house, verb, before, after, told):
    run = house.add_run()
    if before == "running":
        house.record(house.claim(), 1)
    with house.database.read() as tx:
        known = len(events.page(tx, house.tenant, run.id).data)
    first = house.request(run, verb)
    again = house.request(run, verb)
    assert first.status == after
    assert again == first
    with house.database.read() as tx:
        assert [event.type for event in events.page(tx, house.tenant, run.id).data[known:]] == told
    assert (first.finished_at is not None) == (after == "cancelled")


def test_a_paused_run_is_resumed_into_the_queue(house):
    run = house.request(house.add_run(), "pause")
    assert house.try_claim() is None
    assert house.request(run, "resume").status == "queued"
    assert house.claim().run_id == run.id


def test_a_verb_that_the_status_does_not_allow_is_refused_with_the_reason(house):
    run = house.add_run()
    with pytest.raises(Conflict, match="no epoch has finished"):
        house.request(run, "stop")
    house.request(run, "cancel")
    for verb in ("stop", "pause", "resume"):
        with pytest.raises(Conflict, match="was cancelled"):
            house.request(run, verb)
    assert house.run(run).status == "cancelled"


def test_a_stop_is_refused_until_the_first_epoch_has_been_reported(house):
    claim = house.start()
    with pytest.raises(Conflict, match="no epoch has finished"):
        house.request(claim, "stop")
    assert house.record(claim, 1) is None
    house.request(claim, "stop")
    assert house.record(claim, 2) == "stop"


def test_what_a_worker_reports_is_read_with_the_run_while_it_holds_it_and_after(house):
    claim = house.start(epoch=3)
    running = house.run(claim)
    assert (running.progress, running.metrics) == ({"epoch": 3}, {"train": {"loss": 1 / 3}})
    assert running.best is not None
    with house.database.read() as tx:
        wide = tx.execute(select(table.c.progress, table.c.metrics, table.c.best)).one()
        assert tuple(wide) == (None, None, None), "the wide row was not rewritten"
        (listed,) = runs.page(tx, house.tenant).data
    assert listed == running
    house.succeed(claim)
    assert house.run(claim).progress == {"epoch": 3}


def test_deleting_takes_every_row_of_the_run_and_frees_its_blobs(house):
    claim = house.start()
    house.record(claim, 1, chunks=[_chunk()])
    with pytest.raises(Conflict, match="running"), house.database.write() as tx:
        runs.delete(tx, house.tenant, claim.run_id)
    house.succeed(claim, weights_blob="sha256/w")
    with house.database.write() as tx:
        runs.delete(tx, house.tenant, claim.run_id)
    assert house.freed() == ["sha256/w"]
    with house.database.read() as tx:
        for each in metadata.sorted_tables:
            if "run_id" in each.c:
                assert tx.execute(select(func.count()).select_from(each)).scalar() == 0, each.name


def test_weights_that_another_run_has_too_are_not_to_be_deleted(house):
    twins = []
    for _ in range(2):
        twins.append(house.start())
        house.succeed(twins[-1], weights_blob="sha256/same")
    for twin, freed in zip(twins, ([], ["sha256/same"]), strict=True):
        with house.database.write() as tx:
            runs.delete(tx, house.tenant, twin.run_id)
        assert house.freed() == freed


def test_a_run_that_a_version_of_a_model_was_made_of_is_not_deleted(house):
    claim = house.start()
    house.succeed(claim)
    owner = {"tenant_id": house.tenant, "name": "iris", "created_at": now()}
    version = {"version": 1, "run_id": claim.run_id, "inputs": [], "outputs": [], "blob": "b", "sha256": "c" * 64}
    with house.database.write() as tx:
        tx.execute(insert(models).values(**owner))
        tx.execute(insert(model_versions).values(**owner, **version))
        with pytest.raises(Conflict, match="version 1 of model iris"):
            runs.delete(tx, house.tenant, claim.run_id)


def test_a_refused_move_changes_nothing_and_one_of_no_news_writes_nothing(house):
    run = house.add_run()
    with house.database.write() as tx:
        with pytest.raises(Conflict):
            moves.move(tx, run.id, TABLE["paused", "claim"], {})
        assert moves.move(tx, run.id, TABLE["queued", "resume"], {}) is None
    assert house.run(run) == run


def _chunk():
    return Chunk("train", "loss", 1, np.array([[4]]), np.ones((1, 1), np.float32))


@pytest.mark.parametrize(("device", "queue"), [("auto", "cpu"), ("cpu", "cpu"), ("cuda", "gpu")])
def test_a_run_waits_in_the_queue_of_the_device_that_it_asks_for(house, device, queue):
    assert house.add_run(spec={"seed": 0, "device": device}).queue == queue
