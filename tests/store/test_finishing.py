import pytest

from store import events, expiry, finishing, members
from store.errors import Conflict
from store.leases import Report, record
from store.members import MemberReport


def test_a_run_that_succeeds_has_its_result_and_holds_no_lease(house):
    claim = house.start(epoch=4, warnings=[{"code": "old"}], members=[{}, {}])
    reports = [
        MemberReport(0, "failed", 2, error="non_finite_loss"),
        MemberReport(1, "succeeded", 4, {"epoch": 3, "metric": "train.loss", "value": 0.1}, weights_sha256="c" * 64),
    ]
    status = house.succeed(
        claim,
        metrics={"train": {"loss": 0.1}, "test": {"accuracy": 1.0}},
        best={"member": 1, "epoch": 3},
        members=reports,
        weights_blob="sha256/w",
        weights_sha256="c" * 64,
        device="cuda",
        warnings=[{"code": "old"}, {"code": "new"}],
        receipt={"exactness": "x86", "threads": 1},
    )
    run = house.run(claim)
    assert status == run.status == "succeeded"
    assert (run.metrics, run.best) == ({"train": {"loss": 0.1}, "test": {"accuracy": 1.0}}, {"member": 1, "epoch": 3})
    assert (run.weights_blob, run.weights_sha256, run.device) == ("sha256/w", "c" * 64, "cuda")
    assert (run.warnings, run.receipt) == ([{"code": "old"}, {"code": "new"}], {"exactness": "x86", "threads": 1})
    assert (run.progress, run.error, run.requested) == ({"epoch": 4}, None, None)
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.created_at <= run.started_at <= run.finished_at
    with house.database.read() as tx:
        assert expiry.leases(tx) == []
        found = members.first(tx, house.tenant, claim.run_id)
        assert [(each.status, each.epoch, each.error, each.weights_sha256) for each in found] == [
            ("failed", 2, "non_finite_loss", None),
            ("succeeded", 4, None, "c" * 64),
        ]
        last = events.page(tx, house.tenant, claim.run_id).data[-1]
    assert last.type == "run.succeeded"
    assert last.data == {
        "attempt": 1,
        "metrics": run.metrics,
        "best": run.best,
        "weights_sha256": "c" * 64,
    }


def test_a_run_that_fails_says_why_and_keeps_what_was_measured(house):
    claim = house.start(epoch=2)
    with house.database.write() as tx:
        assert finishing.fail(tx, claim.run_id, claim.attempt, "non_finite_loss", "every member diverged") == "failed"
    run = house.run(claim)
    assert run.error == {"code": "non_finite_loss", "message": "every member diverged"}
    assert (run.progress, run.weights_blob) == ({"epoch": 2}, None)
    assert _last(house, claim) == ("run.failed", {"attempt": 1, **run.error})
    with house.database.read() as tx:
        assert [each.status for each in members.first(tx, house.tenant, claim.run_id)] == ["failed"]


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("pause", "paused")])
def test_what_was_requested_is_acknowledged(house, verb, status):
    claim = house.start(epoch=2)
    house.request(claim, verb)
    with house.database.write() as tx:
        assert finishing.acknowledge(tx, claim.run_id, claim.attempt) == status
    run = house.run(claim)
    assert (run.status, run.requested, run.progress) == (status, None, {"epoch": 2})
    assert (run.finished_at is not None) == (status == "cancelled")
    assert _last(house, claim) == (f"run.{status}", {"attempt": 1})
    assert house.try_claim() is None


def test_what_was_not_requested_cannot_be_acknowledged(house):
    claim = house.start(epoch=2)
    house.request(claim, "stop")
    with pytest.raises(Conflict), house.database.write() as tx:
        finishing.acknowledge(tx, claim.run_id, claim.attempt)
    with house.database.read() as tx:
        assert len(expiry.leases(tx)) == 1, "the lease is still held"


def test_a_drained_run_is_queued_at_once_and_no_crash_is_counted(house):
    claim = house.start(epoch=2)
    with house.database.write() as tx:
        assert finishing.release(tx, claim.run_id, claim.attempt) == "queued"
    run = house.run(claim)
    assert (run.crashes, run.finished_at, run.progress) == (0, None, {"epoch": 2})
    assert _last(house, claim) == ("run.interrupted", {"attempt": 1, "reason": "drained"})
    again = house.claim()
    assert (again.attempt, again.told_epoch) == (2, 2)
    assert house.run(again).progress == {"epoch": 2}, "until the new attempt has told something"


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_drain_completes_what_was_requested(house, verb, status):
    claim = house.start(epoch=2)
    house.request(claim, verb)
    with house.database.write() as tx:
        assert finishing.release(tx, claim.run_id, claim.attempt) == status


def test_a_run_that_was_asked_to_cancel_is_cancelled_even_if_it_has_just_ended(house):
    for end in ("succeed", "fail"):
        claim = house.start(epoch=2)
        house.request(claim, "cancel")
        if end == "succeed":
            assert house.succeed(claim) == "cancelled"
        else:
            with house.database.write() as tx:
                assert finishing.fail(tx, claim.run_id, claim.attempt, "x", "y") == "cancelled"
        run = house.run(claim)
        assert (run.status, run.weights_blob, run.error, run.metrics) == (
            "cancelled",
            None,
            None,
            {"train": {"loss": 0.5}},
        )
        assert _last(house, claim)[0] == "run.cancelled"


def test_a_run_that_ends_in_the_epoch_after_which_it_should_pause_has_ended(house):
    claim = house.start(epoch=2)
    house.request(claim, "pause")
    assert house.succeed(claim) == "succeeded"
    assert house.run(claim).requested is None


def test_a_report_and_the_end_may_be_one_transaction(house):
    claim = house.start(epoch=1)
    with house.database.write() as tx:
        record(tx, claim.run_id, claim.attempt, Report({"epoch": 2}, {"train": {"loss": 0.1}}))
        finishing.fail(tx, claim.run_id, claim.attempt, "invalid_data", "…")
    assert house.run(claim).progress == {"epoch": 2}


def _last(house, claim):
    with house.database.read() as tx:
        event = events.page(tx, house.tenant, claim.run_id).data[-1]
    return event.type, event.data
