"""A run over HTTP, from asking for it to deleting it; the training is real."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from store.states import STATUSES
from store.tables import runs
from tests.service.callers import Caller

KEYS = [
    "id",
    "object",
    "status",
    "dataset",
    "target",
    "features",
    "task",
    "spec",
    "warnings",
    "rows",
    "created_at",
    "started_at",
    "finished_at",
    "attempt",
    "queue_position",
    "device",
    "progress",
    "metrics",
    "best",
    "members",
    "error",
    "weights_sha256",
    "replay",
    "name",
    "metadata",
]


def test_a_queued_run_shows_every_key(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    answer = caller.ask(dataset, name="first", metadata={"why": "test"}, sweep={"seed": [4, 5]})
    run = answer.json
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/runs/{run['id']}"
    assert answer.headers["Retry-After"] == "1"
    assert run.keys() >= set(KEYS)
    assert (run["object"], run["status"], run["dataset"], run["task"]) == ("run", "queued", dataset, "multiclass")
    assert (run["started_at"], run["finished_at"], run["device"], run["best"], run["error"]) == (None,) * 5
    assert (run["attempt"], run["queue_position"], run["metrics"], run["replay"]) == (0, 0, {}, None)
    assert run["progress"] == {"epoch": 0, "epochs": 100, "fraction": 0.0, "eta_seconds": None}
    assert [(each["index"], each["fold"], each["overrides"], each["status"]) for each in run["members"]] == [
        (0, None, {"seed": 4}, "queued"),
        (1, None, {"seed": 5}, "queued"),
    ]
    assert (run["name"], run["metadata"]) == ("first", {"why": "test"})
    assert datetime.fromisoformat(run["created_at"]).tzinfo == UTC
    assert len(run["created_at"]) == len("2026-01-01T00:00:00.000000Z")
    assert caller.get(f"/v1/runs/{run['id']}") == run


def test_a_trained_run_shows_what_became_of_it(caller: Caller, iris: str) -> None:
    asked = {"epochs": 6, "test": {"fraction": 0.2}, "sweep": {"seed": [0, 1, 2]}}
    run = caller.trained(caller.dataset(iris), **asked)
    assert run.keys() >= set(KEYS)
    assert (run["attempt"], run["device"], run["queue_position"], run["error"]) == (1, "cpu", None, None)
    assert run["created_at"] <= run["started_at"] <= run["finished_at"]
    assert run["progress"]["epoch"] == 6
    assert run["progress"]["fraction"] == 1.0
    assert run["metrics"].keys() == {"train", "validation", "test"}
    assert run["metrics"]["validation"].keys() >= {"loss", "accuracy"}
    best = run["best"]
    assert best["metric"] == "validation.loss"
    assert best["value"] == min(member["best"]["value"] for member in run["members"])
    assert run["weights_sha256"] == run["members"][best["member"]]["weights_sha256"]
    assert {member["status"] for member in run["members"]} == {"succeeded"}


def test_metrics_members_events_and_receipt_tell_of_the_training(caller: Caller, iris: str) -> None:
    run = caller.trained(caller.dataset(iris), epochs=3, sweep={"seed": [0, 1]})
    address = f"/v1/runs/{run['id']}"
    rows = caller.get(f"{address}/metrics?limit=1000")["data"]
    assert {row["epoch"] for row in rows} == {1, 2, 3}
    assert {(row["split"], row["name"]) for row in rows} == {
        ("train", "loss"),
        ("validation", "loss"),
        ("validation", "accuracy"),
    }
    places = [(row["epoch"], row["member"], row["split"], row["name"]) for row in rows]
    assert places == sorted(places)
    only = caller.get(f"{address}/metrics?member=1&split=validation&name=loss")["data"]
    assert [row["epoch"] for row in only] == [1, 2, 3]
    first = caller.get(f"{address}/metrics?limit=7")
    rest = caller.get(f"{address}/metrics?limit=1000&after={first['next']}")
    assert first["data"] + rest["data"] == rows

    members = caller.get(f"{address}/members?sort=value")["data"]
    assert [each["best"]["value"] for each in members] == sorted(each["best"]["value"] for each in members)
    assert [each["index"] for each in caller.get(f"{address}/members?limit=1")["data"]] == [0]

    events = caller.get(f"{address}/events")["data"]
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[1]["type"], events[-1]["type"]) == ("run.queued", "run.started", "run.succeeded")
    assert events[-1]["object"] == "event"
    assert caller.get(f"{address}/events?after=2")["data"] == events[2:]

    receipt = caller.get(f"{address}/receipt")
    assert receipt["weights_sha256"] == run["weights_sha256"]
    assert receipt["spec"] == run["spec"]


def test_curves_of_a_member_or_a_split_that_is_none_are_refused(caller: Caller, iris: str) -> None:
    address = f"/v1/runs/{caller.trained(caller.dataset(iris))['id']}/metrics"
    assert "from 0 to 0" in caller.get(f"{address}?member=1", 422)["errors"]["member"][0]
    assert "train, validation, test" in caller.get(f"{address}?split=trian", 422)["errors"]["split"][0]


def test_a_text_that_is_none_of_the_choices_is_told_of_the_numbers_too(caller: Caller, iris: str) -> None:
    refused = caller.ask(caller.dataset(iris), batch_size="all")
    assert refused.json["errors"]["batch_size"] == ['a whole number of at least 1, or "full"']


def test_only_a_run_that_is_held_has_time_to_go(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    told = {"epoch": 1, "epochs": 100, "fraction": 0.01, "eta_seconds": 99.0}
    shown = {}
    for status in STATUSES:
        with caller.parts.database.write() as tx:
            tx.execute(update(runs).where(runs.c.id == run).values(status=status, progress=told))
        shown[status] = caller.get(f"/v1/runs/{run}")["progress"]["eta_seconds"]
    held = dict.fromkeys(("running", "pausing", "cancelling"), 99.0)
    ended = dict.fromkeys(("succeeded", "failed", "cancelled"), 0.0)
    assert shown == held | ended | {"queued": None, "paused": None}


def test_equal_specs_give_equal_hashes(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    alone = caller.trained(dataset, seed=3)
    assert caller.trained(dataset, seed=3)["weights_sha256"] == alone["weights_sha256"]
    swept = caller.trained(dataset, sweep={"seed": [1, 2, 3]})
    assert swept["members"][2]["weights_sha256"] == alone["weights_sha256"]
    assert caller.trained(dataset, seed=4)["weights_sha256"] != alone["weights_sha256"]


def test_a_run_that_fails_says_why(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    run = caller.run(dataset, "petal_width", optimizer={"name": "sgd", "learning_rate": 1e30}, epochs=3)
    caller.train()
    found = caller.get(f"/v1/runs/{run['id']}")
    assert (found["status"], found["error"]["code"]) == ("failed", "non_finite_loss")
    assert caller.client.get(f"/v1/runs/{run['id']}/weights").status_code == 409


def test_the_verbs_move_a_run_and_asking_again_changes_nothing(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))
    address = f"/v1/runs/{run['id']}"
    for verb, status in [
        ("pause", "paused"),
        ("pause", "paused"),
        ("resume", "queued"),
        ("resume", "queued"),
        ("cancel", "cancelled"),
        ("cancel", "cancelled"),
    ]:
        answer = caller.client.post(f"{address}/{verb}")
        assert (answer.status_code, answer.json["status"]) == (202, status)
    assert caller.client.post(f"{address}/resume").status_code == 409
    types = [event["type"] for event in caller.get(f"{address}/events")["data"]]
    assert types == ["run.queued", "run.paused", "run.queued", "run.cancelled"]


@pytest.mark.parametrize("sent", [{"json": {}}, {"data": b"", "content_type": "application/x-www-form-urlencoded"}])
def test_a_verb_needs_no_body(caller: Caller, iris: str, sent: dict[str, object]) -> None:
    run = caller.run(caller.dataset(iris))
    assert caller.client.post(f"/v1/runs/{run['id']}/pause", **sent).status_code == 202


def test_name_metadata_and_priority_may_change(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    first, second = caller.run(dataset), caller.run(dataset)
    assert caller.get(f"/v1/runs/{second['id']}")["queue_position"] == 1
    change = {"name": "better", "metadata": {"a": "b"}, "priority": 100}
    answer = caller.client.patch(f"/v1/runs/{second['id']}", json=change)
    assert answer.status_code == 200
    assert {key: answer.json[key] for key in change} == change
    assert caller.get(f"/v1/runs/{second['id']}")["queue_position"] == 0
    assert caller.get(f"/v1/runs/{first['id']}")["queue_position"] == 1
    assert caller.client.patch(f"/v1/runs/{second['id']}", json={}).json["name"] == "better"


def test_a_run_waits_until_its_time(caller: Caller, iris: str) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    run = caller.run(caller.dataset(iris), not_before=later, epochs=1)
    caller.train()
    assert caller.get(f"/v1/runs/{run['id']}")["status"] == "queued"


def test_lists_are_filtered_and_show_no_members(caller: Caller, iris: str) -> None:
    one, other = caller.dataset(iris), caller.dataset(iris)
    runs = [caller.run(dataset)["id"] for dataset in (one, other, one)]
    caller.client.post(f"/v1/runs/{runs[0]}/cancel")

    def ids(query: str) -> list[str]:
        page = caller.get(f"/v1/runs?{query}")
        assert all(run["members"] == [] for run in page["data"])
        return [run["id"] for run in page["data"]]

    assert ids("") == runs[::-1]
    assert ids(f"dataset={one}") == [runs[2], runs[0]]
    assert ids("status=queued") == [runs[2], runs[1]]
    assert ids(f"dataset={one}&status=cancelled") == [runs[0]]
    assert ids("dataset=ds_nobody") == []


def test_a_deleted_run_is_gone_with_its_weights(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    run, twin = caller.trained(dataset), caller.trained(dataset)  # equal weights are one blob
    blobs = caller.parts.settings.data_dir / "blobs" / "sha256"

    def count() -> int:
        return sum(path.is_file() for path in blobs.rglob("*"))

    before = count()
    assert caller.client.delete(f"/v1/runs/{run['id']}").status_code == 204
    for part in ("", "/metrics", "/events", "/members", "/weights", "/receipt"):
        caller.get(f"/v1/runs/{run['id']}{part}", 404)
    assert caller.purge() == 0
    assert caller.client.get(f"/v1/runs/{twin['id']}/weights").status_code == 200
    caller.client.delete(f"/v1/runs/{twin['id']}")
    caller.purge()
    assert count() == before - 2, "its weights and its last state"


def test_more_members_than_are_shown_come_by_pages(new_caller: Callable[..., Caller], iris: str) -> None:
    caller = new_caller()
    run = caller.run(caller.dataset(iris), sweep={"seed": list(range(103))})
    assert len(run["members"]) == 100
    first = caller.get(f"/v1/runs/{run['id']}/members?limit=100")
    rest = caller.get(f"/v1/runs/{run['id']}/members?after={first['next']}")
    assert [member["overrides"]["seed"] for member in rest["data"]] == [100, 101, 102]
