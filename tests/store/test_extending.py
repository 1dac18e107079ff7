"""A succeeded run goes on: what changes of its row, what stays, and why some cannot."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from learning.rates import factor
from learning.specs import SCHEDULES, ScheduleSpec
from store import datasets, events, expiry, members, runs
from store.claims import Claim
from store.errors import Conflict, NotFound
from store.extending import OF_THE_TOTAL
from store.members import MemberReport
from store.runs import Run
from store.tables import runs as table
from tests.store.conftest import BEST, House

SPEC: dict[str, Any] = {"seed": 0, "epochs": 10, "schedule": {"name": "constant", "warmup_epochs": 0}}
SHA = "b" * 64


def member(index: int = 0, epoch: int = 10, status: str = "succeeded", **more: Any) -> MemberReport:
    return MemberReport(index, status, epoch, BEST, **{"weights_sha256": SHA, **more})


def succeeded(house: House, *told: MemberReport, epoch: int = 10, spec: dict[str, Any] | None = None, **more) -> Run:
    """A run of `SPEC` with these members, ended after `epoch` epochs."""
    told = told or (member(epoch=epoch),)
    house.add_run(spec={**SPEC, **(spec or {})}, members=[{"overrides": {}} for _ in told], **more)
    claim = house.claim()
    progress = {"epoch": epoch, "epochs": 10, "fraction": 1.0, "eta_seconds": 0.0}
    house.record(claim, epoch, progress=progress)
    house.succeed(claim, members=told, receipt={"weights_sha256": SHA})
    return house.run(claim)


def extend(house: House, run: Run | Claim, to_epochs: int) -> Run:
    with house.database.write() as tx:
        return runs.extend(tx, house.tenant, run.run_id if isinstance(run, Claim) else run.id, to_epochs)


def told(house: House, run: Run) -> list[tuple[str, dict[str, Any]]]:
    with house.database.read() as tx:
        return [(event.type, event.data) for event in events.page(tx, house.tenant, run.id, limit=1000).data]


def shown(house: House, run: Run) -> list[members.Member]:
    with house.database.read() as tx:
        return members.first(tx, house.tenant, run.id)


def test_it_waits_again_as_a_new_generation_and_keeps_what_it_has(house: House) -> None:
    run = succeeded(house)
    with house.database.write() as tx:
        tx.execute(update(table).where(table.c.id == run.id).values(crashes=2, memory_crashes=1))
    extended = extend(house, run, 20)
    assert (extended.status, extended.generation, extended.legs) == ("queued", 2, [10])
    assert (extended.requested, extended.crashes, extended.error, extended.finished_at) == (None, 0, None, None)
    assert extended.spec == {**SPEC, "epochs": 20}
    assert extended.progress == {"epoch": 10, "epochs": 20, "fraction": 0.5, "eta_seconds": None}
    for kept in ("weights_blob", "weights_sha256", "receipt", "metrics", "best", "attempt", "started_at", "rows"):
        assert getattr(extended, kept) == getattr(run, kept), kept
    with house.database.read() as tx:
        assert tx.execute(select(table.c.memory_crashes)).scalar() == 0
    assert told(house, run)[-1] == ("run.extended", {"to_epochs": 20, "from_epoch": 10, "generation": 2})
    assert [(each.status, each.epoch, each.weights_sha256) for each in shown(house, run)] == [("queued", 10, SHA)]


def test_asking_again_for_what_is_so_writes_nothing(house: House) -> None:
    run = succeeded(house)
    assert extend(house, run, 10) == run, "it has as many"
    extended = extend(house, run, 20)
    known = told(house, run)
    assert extend(house, run, 20) == extended, "it waits"
    claim = house.claim()
    house.record(claim, 11)
    running = house.run(run)
    assert extend(house, run, 20) == running
    house.request(run, "pause")
    assert extend(house, run, 20).status == "pausing"
    assert [type for type, _ in told(house, run)[len(known) :]] == ["run.resumed", "run.progress", "run.pausing"]


def test_each_time_it_goes_on_another_leg_is_remembered(house: House) -> None:
    run = succeeded(house)
    extend(house, run, 12)
    claim = house.claim()
    house.record(claim, 12)
    house.succeed(claim, members=[member(epoch=12)], weights_sha256="c" * 64, weights_blob="sha256/more")
    again = extend(house, run, 30)
    assert (again.generation, again.legs, again.attempt) == (3, [10, 12], 2)
    assert (again.weights_sha256, again.weights_blob) == ("c" * 64, "sha256/more")
    types = [type for type, _ in told(house, run)]
    assert types.count("run.succeeded") == types.count("run.extended") == 2


def test_a_run_that_was_stopped_early_goes_on_to_as_many_as_it_was_to_have(house: House) -> None:
    run = succeeded(house, epoch=4)
    extended = extend(house, run, 10)
    assert (extended.legs, extended.spec["epochs"], extended.progress["fraction"]) == ([4], 10, 0.4)


def test_members_that_failed_stay_so(house: House) -> None:
    lost = MemberReport(1, "failed", 3, None, error="non_finite_loss")
    run = succeeded(house, member(0), lost, member(2))
    extended = extend(house, run, 20)
    assert [each.status for each in shown(house, run)] == ["queued", "failed", "queued"]
    assert extended.progress["fraction"] == pytest.approx((0.5 + 1.0 + 0.5) / 3)


def test_until_it_ends_again_its_members_have_the_weights_they_had(house: House) -> None:
    run = succeeded(house, member(0), member(1, weights_sha256="d" * 64))
    extend(house, run, 20)
    claim = house.claim()
    house.record(claim, 11, members=[MemberReport(index, "running", 11, BEST) for index in (0, 1)])
    assert [each.weights_sha256 for each in shown(house, run)] == [SHA, "d" * 64]
    assert {each.status for each in shown(house, run)} == {"running"}
    house.succeed(claim, members=[member(0, 20), member(1, 20, weights_sha256="e" * 64)])
    assert [each.weights_sha256 for each in shown(house, run)] == [SHA, "e" * 64]


REFUSED = [
    (8, {}, "has finished 10 epochs already"),
    (20, {"schedule": {"name": "cosine", "warmup_epochs": 0, "floor": 0.0}}, "cosine depends on how many epochs"),
    (20, {"schedule": {"name": "one_cycle", "warmup_epochs": 0}}, "one_cycle depends"),
    (20, {"sweep": {"schedule.name": ["constant", "cosine"]}}, "cosine depends"),
    (20, {"members": [{}, {"schedule.name": "one_cycle"}]}, "one_cycle depends"),
    (20, {"sweep": {"epochs": [10, 20]}}, "epochs of their own"),
    (20, {"members": [{"epochs": 5}, {}]}, "epochs of their own"),
]


@pytest.mark.parametrize(("to_epochs", "spec", "reason"), REFUSED)
def test_what_would_have_gone_otherwise_from_the_start_cannot_go_on(
    house: House, to_epochs: int, spec: dict[str, Any], reason: str
) -> None:
    run = succeeded(house, spec=spec)
    before = told(house, run)
    with pytest.raises(Conflict, match=reason):
        extend(house, run, to_epochs)
    assert (house.run(run), told(house, run)) == (run, before)


def test_those_schedules_are_all_that_look_at_the_total() -> None:
    def course(name: str, epochs: int) -> list[float]:
        return [factor(ScheduleSpec(name, **SCHEDULES[name]), epochs, 3, step) for step in range(30)]

    assert {name for name in SCHEDULES if course(name, 10) != course(name, 20)} == set(OF_THE_TOTAL)


def test_members_whose_patience_ended_at_different_epochs_cannot_go_on_together(house: House) -> None:
    run = succeeded(house, member(0, 10), member(1, 7), MemberReport(2, "failed", 1, None))
    with pytest.raises(Conflict, match="first after 7 epochs, the last after 10"):
        extend(house, run, 20)
    together = succeeded(house, member(0, 7), member(1, 7), MemberReport(2, "failed", 1, None), epoch=7)
    assert extend(house, together, 20).legs == [7]


def test_only_a_run_that_has_succeeded_can_be_extended(house: House) -> None:
    run = house.add_run(spec=SPEC)
    for expected in ("queued", "running", "paused", "cancelled"):
        if expected == "running":
            claim = house.claim()
            assert claim.run_id == run.id
        elif expected == "paused":
            with house.database.write() as tx:
                (lease,) = expiry.leases(tx)
                expiry.expire(tx, lease.run_id, lease.attempt, lease.seq, crashed=False)
            house.request(run, "pause")
        elif expected == "cancelled":
            house.request(run, "cancel")
        assert house.run(run).status == expected
        for to_epochs in (10, 20):
            with pytest.raises(Conflict, match="only a run that has succeeded can be extended"):
                extend(house, run, to_epochs)


def test_an_extension_that_is_cancelled_leaves_the_weights_that_there_are(house: House) -> None:
    run = succeeded(house)
    extend(house, run, 20)
    cancelled = house.request(run, "cancel")
    assert (cancelled.status, cancelled.weights_blob) == ("cancelled", run.weights_blob)
    with pytest.raises(Conflict, match="cancelled"):
        extend(house, run, 20)


def test_its_dataset_must_be_there_and_stays(house: House) -> None:
    run, other = succeeded(house), succeeded(house)
    with house.database.write() as tx:
        datasets.delete(tx, house.tenant, run.dataset)
    with pytest.raises(Conflict, match="dataset was deleted"):
        extend(house, run, 20)
    extend(house, other, 20)
    with pytest.raises(Conflict, match="still reads"), house.database.write() as tx:
        datasets.delete(tx, house.tenant, other.dataset)
    with pytest.raises(Conflict, match="queued"), house.database.write() as tx:
        runs.delete(tx, house.tenant, other.id)


def test_it_is_another_tenants_to_extend(house: House, stranger: str) -> None:
    run = succeeded(house)
    with pytest.raises(NotFound), house.database.write() as tx:
        runs.extend(tx, stranger, run.id, 20)


def test_it_is_claimed_at_once_though_it_was_to_wait_before(house: House) -> None:
    run = succeeded(house)
    with house.database.write() as tx:
        tx.execute(update(table).where(table.c.id == run.id).values(due_at=run.due_at + timedelta(hours=1)))
    extend(house, run, 20)
    claim = house.claim()
    assert (claim.run_id, claim.generation, claim.legs, claim.spec["epochs"]) == (run.id, 2, (10,), 20)


@pytest.mark.parametrize(("sha256", "identical"), [(SHA, True), ("0" * 64, False)])
def test_how_a_repeated_run_came_out_stays_said_when_it_goes_on(house: House, sha256: str, identical: bool) -> None:
    replay = {"of": "run_x", "weights_sha256": sha256, "epochs": 10}
    run = succeeded(house, replay=replay, legs=[3, 5])
    assert (run.replay, run.legs) == (replay, [3, 5])
    extended = extend(house, run, 20)
    assert extended.replay == {**replay, "epochs": 20, "identical": identical}
    assert extended.legs == [3, 5, 10]
    claim = house.claim()
    assert (claim.legs, claim.last_epoch) == ((3, 5, 10), 20)
    house.record(claim, 20)
    house.succeed(claim, members=[member(epoch=20)], weights_sha256="f" * 64)
    assert extend(house, run, 30).replay["identical"] == identical


def test_the_dataset_of_a_file_is_the_newest_that_is_ready(house: House, stranger: str) -> None:
    first, newest = house.add_dataset(), house.add_dataset()
    other = house.add_dataset(sha256="c" * 64)
    with house.database.read() as tx:
        assert datasets.of_file(tx, house.tenant, "a" * 64) == newest
        assert datasets.of_file(tx, house.tenant, "a" * 64, rather=first.id) == first
        assert datasets.of_file(tx, house.tenant, "c" * 64, rather=first.id) == other
        assert datasets.of_file(tx, house.tenant, "a" * 64, rather="ds_\0") == newest
        assert datasets.of_file(tx, stranger, "a" * 64, rather=first.id) is None
        assert datasets.of_file(tx, house.tenant, "d" * 64) is None
        assert datasets.of_file(tx, stranger, "a" * 64) is None
    with house.database.write() as tx:
        datasets.delete(tx, house.tenant, newest.id)
        assert datasets.of_file(tx, house.tenant, "a" * 64) == first
