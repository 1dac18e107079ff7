"""`extend` over HTTP: a run that has succeeded waits again, and answers meanwhile by the weights it had."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from learning.fitting import fit
from service.serving.wire import KeptRuns
from store import claims, leases
from store import runs as stored
from store.claims import Claim
from store.leases import Report
from store.members import MemberReport
from store.processes import ProcessIdentity
from store.tables import runs
from tests.service.callers import Caller
from workers import driving

ROWS = {"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 5.6, 2.4]]}
KEY = {"Idempotency-Key": "more"}


def extend(caller: Caller, run: dict[str, Any], to_epochs: Any, **options: Any) -> Any:
    return caller.client.post(f"/v1/runs/{run['id']}/extend", json={"to_epochs": to_epochs}, **options)


def types(caller: Caller, run: dict[str, Any]) -> list[str]:
    events = caller.get(f"/v1/runs/{run['id']}/events?limit=1000")["data"]
    return [event["type"] for event in events if event["type"] not in ("run.progress", "run.checkpointed")]


def claimed(caller: Caller) -> Claim:
    with caller.parts.database.write() as tx:
        found = claims.claim(tx, worker="wk_test", slot_pid=1, owner=ProcessIdentity.current())
    assert found is not None
    return found


def test_it_waits_again_for_a_worker(caller: Caller, iris: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = caller.trained(caller.dataset(iris))
    rung: list[tuple[str, str]] = []
    monkeypatch.setattr(caller.parts.bell, "ring", lambda *bell: rung.append(bell))
    answer = extend(caller, run, 8)
    found = answer.json
    assert answer.status_code == 202
    assert (found["status"], found["queue_position"], found["finished_at"], found["error"]) == ("queued", 0, None, None)
    assert found["spec"] == {**run["spec"], "epochs": 8}
    assert found["progress"] == {"epoch": 5, "epochs": 8, "fraction": 5 / 8, "eta_seconds": None}
    for kept in ("weights_sha256", "metrics", "best", "created_at", "started_at", "attempt", "warnings"):
        assert found[kept] == run[kept], kept
    assert [member["status"] for member in found["members"]] == ["queued"]
    assert caller.get(f"/v1/runs/{run['id']}") == found
    assert caller.get("/v1/runs?status=queued")["data"] == [{**found, "members": []}]
    assert types(caller, run) == ["run.queued", "run.started", "run.succeeded", "run.extended"]
    assert rung == [("cpu", run["id"])]


def test_asking_again_for_what_is_so_is_202_without_effect(caller: Caller, iris: str) -> None:
    run = caller.trained(caller.dataset(iris))
    for to_epochs in (5, 8, 8, 8.0):
        answer = extend(caller, run, to_epochs)
        assert answer.status_code == 202
    assert types(caller, run)[-2:] == ["run.succeeded", "run.extended"]
    refused = extend(caller, run, 9)
    assert refused.status_code == 409
    assert "only a run that has succeeded" in refused.json["detail"]


def test_the_same_request_with_the_same_key_is_done_once(caller: Caller, iris: str) -> None:
    run = caller.trained(caller.dataset(iris))
    first = extend(caller, run, 8, headers=KEY)
    caller.client.post(f"/v1/runs/{run['id']}/pause")
    again = extend(caller, run, 8, headers=KEY)
    assert (again.status_code, again.data, again.headers["Idempotency-Replayed"]) == (202, first.data, "true")
    assert extend(caller, run, 9, headers=KEY).status_code == 422
    assert types(caller, run).count("run.extended") == 1


BODIES = [
    ({"to_epochs": 0}, 422),
    ({"to_epochs": 100_001}, 422),
    ({"to_epochs": 8.5}, 422),
    ({"to_epochs": "8"}, 422),
    ({"to_epochs": True}, 422),
    ({"to_epochs": None}, 422),
    ({}, 422),
    ({"to_epochs": 4}, 409),
]


@pytest.mark.parametrize(("body", "status"), BODIES)
def test_what_is_no_number_of_more_epochs_is_refused(
    new_caller: Callable[..., Caller], iris: str, body: dict[str, Any], status: int
) -> None:
    caller = new_caller()
    run = caller.trained(caller.dataset(iris))
    answer = caller.client.post(f"/v1/runs/{run['id']}/extend", json=body)
    assert answer.status_code == status, answer.text
    if status == 422:
        assert list(answer.json["errors"]) == ["to_epochs"]
    unknown = caller.client.post(f"/v1/runs/{run['id']}/extend", json={"to_epochs": 8, "epochs": 8})
    assert list(unknown.json["errors"]) == ["epochs"]
    assert caller.get(f"/v1/runs/{run['id']}") == run


def test_its_rows_are_laid_out_once_to_go_on(caller: Caller, iris: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, spec = caller.dataset(iris), {"early_stopping": {"patience": 2, "min_delta": 100.0}, "epochs": 50}
    run = caller.trained(dataset, **spec)
    ended = run["progress"]["epoch"]
    assert ended < 10, "its patience ended"
    begun: list[Any] = []
    monkeypatch.setattr(driving, "fit", lambda *given, **more: begun.append(given) or fit(*given, **more))
    extend(caller, run, 50)
    caller.train()
    found = caller.get(f"/v1/runs/{run['id']}")
    assert (found["status"], len(begun)) == ("succeeded", 1)
    assert found["progress"]["epoch"] == ended + 2, "its patience counted anew"


@pytest.mark.parametrize("asked", [{"schedule": {"name": "cosine"}}, {"sweep": {"epochs": [3, 5]}}])
def test_a_run_that_depends_on_its_total_is_refused_with_the_reason(
    caller: Caller, iris: str, asked: dict[str, Any]
) -> None:
    run = caller.trained(caller.dataset(iris), **asked)
    refused = extend(caller, run, 8)
    assert refused.status_code == 409
    assert "epochs" in refused.json["detail"]
    assert caller.get(f"/v1/runs/{run['id']}") == run


def going_on(caller: Caller, run: dict[str, Any]) -> None:
    """A worker goes on with the run, and by now another member is the best."""
    claim = claimed(caller)
    assert claim.run_id == run["id"]
    others = [member for member in run["members"] if member["index"] != run["best"]["member"]]
    best = {"epoch": 6, "metric": "validation.loss", "value": 1e-6}
    told = [MemberReport(each["index"], "running", 6, best, {}) for each in others]
    progress = {"epoch": 6, "epochs": 8, "fraction": 0.75, "eta_seconds": 1.0}
    report = Report(progress, run["metrics"], {"member": others[0]["index"], **best}, members=told)
    with caller.parts.database.write() as tx:
        leases.record(tx, claim.run_id, claim.attempt, report)


def test_until_it_ends_again_it_answers_by_the_weights_it_had(caller: Caller, iris: str) -> None:
    asked = {"sweep": {"seed": [0, 1, 2]}, "test": {"fraction": 0.2}}
    run = caller.trained(caller.dataset(iris), **asked)
    address = f"/v1/runs/{run['id']}"

    def answers() -> list[Any]:
        found = []
        for member in ({}, *({"member": index} for index in range(3))):
            body = {**ROWS, "probabilities": True, **member}
            found.append(caller.client.post(f"{address}/predictions", json=body))
            found.append(caller.client.get(f"{address}/weights", query_string=member))
        assert {each.status_code for each in found} == {200}
        sha256s = [member["weights_sha256"] for member in caller.get(address)["members"]]
        return [*(each.data for each in found), caller.get(f"{address}/receipt"), sha256s]

    before = answers()
    extend(caller, run, 8)
    assert answers() == before
    going_on(caller, run)
    found = caller.get(address)
    assert (found["status"], found["progress"]["epoch"]) == ("running", 6)
    assert found["best"]["member"] != run["best"]["member"]
    assert answers() == before
    assert caller.client.delete(address).status_code == 409
    assert caller.client.delete(f"/v1/datasets/{run['dataset']}").status_code == 409


def test_an_ensemble_that_goes_on_answers_as_it_did(caller: Caller, iris: str) -> None:
    run = caller.trained(caller.dataset(iris), sweep={"seed": [0, 1]}, ensemble=True)
    address = f"/v1/runs/{run['id']}"
    before = caller.client.post(f"{address}/predictions", json=ROWS).json
    refused = caller.client.get(f"{address}/weights").json
    extend(caller, run, 8)
    assert caller.client.post(f"{address}/predictions", json=ROWS).json == before
    assert caller.client.get(f"{address}/weights").json["errors"] == refused["errors"]
    assert "by members 0, 1" in refused["errors"]["member"][0]


def test_an_analysis_of_a_run_that_goes_on_is_of_the_weights_it_has(caller: Caller, iris: str) -> None:
    run, twin = (caller.trained(caller.dataset(iris), test={"fraction": 0.2}) for _ in range(2))
    extend(caller, run, 8)
    going = claimed(caller)
    with caller.parts.database.write() as tx:  # interrupted: what it had come to stands in its row
        tx.execute(update(runs).where(runs.c.id == going.run_id).values(progress={"epoch": 7, "epochs": 8}))
    for each in (run, twin):
        assert caller.client.get(f"/v1/runs/{each['id']}/evaluation").status_code == 202
    caller.analyse()
    told = [caller.get(f"/v1/runs/{each['id']}/evaluation") for each in (run, twin)]
    assert {name: told[0][name] for name in told[0] if name != "run"} == {
        name: told[1][name] for name in told[1] if name != "run"
    }


OF_EVERY_KIND = {
    "early stopping": {"early_stopping": {"patience": 4}, "test": {"fraction": 0.2}},
    "dropout and batch normalisation": {
        "network": {"layers": [{"units": 16, "dropout": 0.3, "normalization": "batch"}]},
        "schedule": {"name": "step", "every": 2, "factor": 0.5, "warmup_epochs": 2},
    },
    "plateau": {"schedule": {"name": "plateau", "patience": 1, "threshold": 0.1}},
    "exponential": {
        "schedule": {"name": "exponential", "factor": 0.9},
        "optimizer": {"name": "rmsprop", "momentum": 0.9},
    },
    "shapes": {"sweep": {"network": [{"layers": []}, {"layers": [{"units": 9}]}], "seed": [0, 1]}, "ensemble": True},
    "no validation": {"validation": None, "optimizer": {"name": "gd"}},
    "one that fails": {"optimizer": {"name": "sgd"}, "sweep": {"optimizer.learning_rate": [0.01, 1e30, 0.1]}},
    "folds": {"validation": {"folds": 3}, "sweep": {"seed": [0, 1]}},
    "losses": {"target": "petal_width", "sweep": {"loss": ["squared_error", "huber"]}},
}


@pytest.mark.parametrize("asked", OF_EVERY_KIND.values(), ids=OF_EVERY_KIND)
def test_going_on_again_and_again_comes_to_what_is_had_at_once(
    caller: Caller, iris: str, asked: dict[str, Any]
) -> None:
    dataset = caller.dataset(iris)
    straight = caller.trained(dataset, **asked, epochs=9)
    run = caller.trained(dataset, **asked, epochs=3)
    for to_epochs in (5, 9):
        extend(caller, run, to_epochs)
        caller.train()
    found = caller.get(f"/v1/runs/{run['id']}")
    same = ("status", "weights_sha256", "metrics", "best", "members", "spec", "rows", "warnings")
    assert {name: found[name] for name in same} == {name: straight[name] for name in same}
    curves = [caller.get(f"/v1/runs/{each['id']}/metrics?limit=1000")["data"] for each in (found, straight)]
    assert curves[0] == curves[1]
    assert caller.get(f"/v1/runs/{run['id']}/receipt")["legs"] == [3, 5]


@pytest.mark.parametrize("asked", ["predictions", "weights"])
def test_a_request_that_finds_the_old_weights_gone_has_the_new_ones(
    caller: Caller, iris: str, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    address = f"/v1/runs/{caller.trained(caller.dataset(iris))['id']}/{asked}"
    method, options = ("POST", {"json": ROWS}) if asked == "predictions" else ("GET", {})
    expected = caller.client.open(address, method=method, **options)
    monkeypatch.setattr(KeptRuns, "FRESH_SECONDS", -1.0)
    # Predictions look for the weights before Flask does, and then again in it.
    read, gone = stored.get, iter(["sha256/00/" + "0" * 62] * (2 if asked == "predictions" else 1))

    def as_it_was_a_moment_ago(*place: Any) -> Any:
        run = read(*place)
        return replace(run, weights_blob=next(gone, run.weights_blob))

    monkeypatch.setattr(stored, "get", as_it_was_a_moment_ago)
    answer = caller.client.open(address, method=method, **options)
    assert (answer.status_code, answer.data) == (200, expected.data)
    assert next(gone, None) is None


def test_the_weights_that_it_had_are_deleted_once_it_has_others(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    # Without validation the last epoch's weights are kept, which no earlier epoch had.
    run, twin = (caller.trained(dataset, seed=seed, validation=None) for seed in (0, 1))

    def blob(of: dict[str, Any]) -> str:
        with caller.parts.database.read() as tx:
            return stored.get(tx, "tn_local", of["id"]).weights_blob

    def blobs() -> set[str]:
        folder = caller.parts.settings.data_dir / "blobs"
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    with caller.parts.database.write() as tx:  # as if the twin had come to the same weights
        tx.execute(update(runs).where(runs.c.id == twin["id"]).values(weights_blob=blob(run)))
    caller.purge()
    before = len(blobs())
    old = blob(run)
    extend(caller, run, 8)
    caller.train()
    assert caller.get(f"/v1/runs/{run['id']}")["status"] == "succeeded"
    caller.purge()
    assert {old, blob(run)} <= blobs(), "the twin has them still"
    second = blob(run)
    extend(caller, run, 10)
    caller.train()
    caller.purge()
    assert blob(run) in blobs()
    assert second not in blobs()
    assert len(blobs()) == before + 1, "each run has its weights and its last state"
