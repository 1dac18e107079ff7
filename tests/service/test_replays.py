"""A run is made again from its receipt, on another installation that has nothing but the file."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update
from werkzeug.test import TestResponse

from store.tables import runs
from tests.service.callers import Caller

KEY = {"Idempotency-Key": "again"}
MANY = [
    {},
    {"epochs": 4, "name": "first", "metadata": {"a": "b"}, "priority": 3, "early_stopping": {"patience": 2}},
    {"epochs": 4, "sweep": {"optimizer.learning_rate": [0.001, 0.01], "seed": [3, 1]}},
    {
        "epochs": 3,
        "members": [
            {"optimizer.name": "gd"},
            {"schedule.name": "step", "schedule.every": 2},
            {"network": {"layers": [{"units": 3, "dropout": 0.5}]}},
            {"class_weights": {"setosa": 2.0}},
        ],
        "ensemble": True,
        "batch_size": "full",
    },
    {"epochs": 2, "validation": {"folds": 3}, "test": {"fraction": 0.2}, "split_seed": 4, "class_weights": "balanced"},
    {"epochs": 2, "validation": None, "optimizer": {"name": "gd", "momentum": 0.5, "nesterov": True}},
    {"epochs": 2, "not_before": "2026-01-31T12:00:00+01:00", "scaling": "none", "label_smoothing": 0.1},
]


@pytest.fixture(scope="module")
def first(new_caller: Callable[..., Caller]) -> Caller:
    """Where the runs were trained."""
    return new_caller()


@pytest.fixture(scope="module")
def second(new_caller: Callable[..., Caller], iris: str) -> Caller:
    """Another installation, with the file under another id."""
    caller = new_caller()
    caller.dataset(iris)
    return caller


@pytest.fixture(scope="module")
def flowers(first: Caller, iris: str) -> str:
    return first.dataset(iris)


@pytest.fixture(scope="module")
def receipt(first: Caller, flowers: str) -> dict[str, Any]:
    run = first.trained(flowers, epochs=4, sweep={"seed": [7, 8]})
    return first.get(f"/v1/runs/{run['id']}/receipt")


def replay(caller: Caller, receipt: Any, **options: Any) -> TestResponse:
    return caller.client.post("/v1/replays", json=receipt, **options)


def replayed(caller: Caller, receipt: Any) -> dict[str, Any]:
    answer = replay(caller, receipt)
    assert answer.status_code == 202, answer.text
    caller.train()
    return caller.get(answer.headers["Location"])


@pytest.mark.parametrize("spec", MANY, ids=str)
def test_it_has_the_same_weights(first: Caller, second: Caller, flowers: str, spec: dict[str, Any]) -> None:
    run = first.trained(flowers, **spec) if "epochs" in spec else first.trained(flowers, epochs=2)
    receipt = first.get(f"/v1/runs/{run['id']}/receipt")
    again = replayed(second, receipt)
    assert (again["status"], again["replay"]) == ("succeeded", {"of": run["id"], "identical": True})
    assert again["weights_sha256"] == run["weights_sha256"]
    assert again["spec"] == {**run["spec"], "dataset": again["dataset"]}
    assert again["dataset"] != run["dataset"]
    assert (again["name"], again["metadata"]) == (run["name"], run["metadata"])
    assert [warning for warning in again["warnings"] if warning["code"] == "exactness_differs"] == []
    assert second.get(f"/v1/runs/{again['id']}/receipt")["weights_sha256"] == receipt["weights_sha256"]


def test_it_is_answered_as_a_run_is(second: Caller, receipt: dict[str, Any]) -> None:
    answer = replay(second, receipt)
    run = answer.json
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
    assert answer.headers["Location"] == f"/v1/runs/{run['id']}"
    assert (run["status"], run["replay"]) == ("queued", {"of": receipt["run"], "identical": None})
    assert [member["overrides"] for member in run["members"]] == [{"seed": 7}, {"seed": 8}]
    assert second.get(f"/v1/runs/{run['id']}") == run
    assert second.client.post(f"/v1/runs/{run['id']}/cancel").json["replay"]["identical"] is None


def test_the_receipt_may_stand_under_its_name(second: Caller, receipt: dict[str, Any]) -> None:
    wrapped = replay(second, {"receipt": receipt})
    assert (wrapped.status_code, wrapped.json["replay"]["of"]) == (202, receipt["run"])
    for body, path in [
        ({"receipt": 3}, "receipt"),
        ({"receipt": {}}, "receipt.spec"),
        ({"receipt": {**receipt, "spec": {**receipt["spec"], "epochs": 0}}}, "receipt.spec.epochs"),
        ({"receipt": {**receipt, "spec": {**receipt["spec"], "loss": "huber"}}}, "receipt.spec.loss"),
        ({"receipt": receipt, "dataset": "ds"}, "receipt"),
    ]:
        answer = replay(second, body)
        assert (answer.status_code, path in answer.json["errors"]) == (422, True), answer.text


def test_without_the_file_it_is_told_which(
    new_caller: Callable[..., Caller], receipt: dict[str, Any], iris: str
) -> None:
    nobody = new_caller()
    nobody.dataset(iris + "5.0,3.0,1.6,0.2,setosa\n")
    answer = replay(nobody, receipt)
    assert (answer.status_code, answer.json["code"]) == (409, "dataset_missing")
    assert receipt["dataset_sha256"] in answer.json["detail"]
    assert nobody.get("/v1/runs")["data"] == []


def test_the_same_request_with_the_same_key_is_done_once(second: Caller, receipt: dict[str, Any]) -> None:
    before = len(second.get("/v1/runs?limit=1000")["data"])
    one, again = replay(second, receipt, headers=KEY), replay(second, receipt, headers=KEY)
    assert (again.status_code, again.data, again.headers["Idempotency-Replayed"]) == (202, one.data, "true")
    assert again.headers["Location"] == one.headers["Location"]
    assert replay(second, {"receipt": receipt}, headers=KEY).status_code == 422
    assert len(second.get("/v1/runs?limit=1000")["data"]) == before + 1


WRONG = [
    # where it is changed, to what, the path that is told, and words
    ("dataset_sha256", "f" * 63, "dataset_sha256", "64 digits"),
    ("dataset_sha256", "F" * 64, "dataset_sha256", "64 digits"),
    ("dataset_sha256", None, "dataset_sha256", "64 digits"),
    ("weights_sha256", "'; DROP TABLE runs; --", "weights_sha256", "64 digits"),
    ("run", "run_../../etc/passwd", "run", "the id of a run"),
    ("run", None, "run", "the id of a run"),
    ("epochs", 0, "epochs", "from 1"),
    ("epochs", 5, "epochs", "at most 4"),
    ("legs", [3, 2], "legs", "never fall"),
    ("legs", [5], "legs", "never fall"),
    ("legs", [0], "legs.0", "from 1"),
    ("legs", "all", "legs", "a list"),
    ("seeds", [7], "seeds", "of each member"),
    ("seeds", [7, 9], "seeds", "of each member"),
    ("split_seed", 1, "split_seed", "the spec's: 0"),
    ("versions", {"torch": 2}, "versions", "texts"),
    ("threads", "many", "threads", "a whole number"),
    ("status", "succeeded", "status", "unknown field"),
    ("spec", "everything", "spec", "an object"),
    ("spec.epochs", "4", "spec.epochs", "a whole number"),
    ("spec.target", "nonsense", "spec.target", "no column"),
    ("spec.features", ["petal_length", "nonsense"], "spec.features.1", "no column"),
    ("spec.network", "net_" + "0" * 26, "spec.network", "there is no network"),
    ("spec.sweep", {"seed": [7, -8]}, "spec.sweep.seed.1", "a whole number"),
    ("spec.sweep", {"dataset": ["ds"]}, "spec.sweep", "cannot be swept"),
    ("spec.loss", "auto", "spec.loss", 'resolved, as a receipt has it: "cross_entropy"'),
    ("spec.initialization", "auto", "spec.initialization", "xavier"),
    ("spec.recipe", "standard-99", "spec.recipe", "one of"),
    ("spec.hook", "import os", "spec.hook", "unknown field"),
    ("spec.device", "cuda", "spec.device", "not supported"),
    ("spec.metadata", {"a": 1}, "spec.metadata", "texts"),
    ("spec.optimizer.learning_rate", 0, "spec.optimizer.learning_rate", "above 0"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_is_no_receipt_is_refused_by_its_path(
    second: Caller, receipt: dict[str, Any], wrong: tuple[str, Any, str, str]
) -> None:
    place, value, path, words = wrong
    before = len(second.get("/v1/runs?limit=1000")["data"])
    body = copy.deepcopy(receipt)
    *outer, name = place.split(".")
    inner = body
    for each in outer:
        inner = inner[each]
    inner[name] = value
    answer = replay(second, body)
    assert answer.status_code == 422, answer.text
    assert words in " ".join(answer.json["errors"][path]), answer.json["errors"]
    assert len(second.get("/v1/runs?limit=1000")["data"]) == before


@pytest.mark.parametrize("missing", ["dataset_sha256", "weights_sha256", "spec"])
def test_what_it_takes_is_required_and_the_rest_may_be_absent(
    second: Caller, receipt: dict[str, Any], missing: str
) -> None:
    least = {name: receipt[name] for name in ("dataset_sha256", "weights_sha256", "spec")}
    answer = replay(second, {name: value for name, value in least.items() if name != missing})
    assert answer.json["errors"] == {missing: ["required"]}
    run = replayed(second, least)
    assert run["replay"] == {"of": None, "identical": True}


def test_every_field_of_the_spec_is_required(second: Caller, receipt: dict[str, Any]) -> None:
    for name in receipt["spec"]:
        spec = {field: value for field, value in receipt["spec"].items() if field != name}
        answer = replay(second, {**receipt, "spec": spec})
        assert answer.status_code == 422, name
        assert "required" in " ".join(answer.json["errors"][f"spec.{name}"]), name


@pytest.mark.parametrize("kind", ["application/json; charset=latin-1", "text/csv"])
def test_it_is_json(second: Caller, kind: str) -> None:
    assert second.client.post("/v1/replays", data=b"{}", content_type=kind).status_code == 415
    assert second.client.post("/v1/replays", data=b"[]", content_type="application/json").status_code == 400
    assert second.client.post("/v1/replays", data=b"", content_type="application/json").status_code == 400
    assert second.client.post("/v1/replays?dry_run=true", json={}).status_code == 422


def test_a_receipt_may_be_larger_than_what_was_asked_for(second: Caller, receipt: dict[str, Any]) -> None:
    answer = replay(second, {**receipt, "seeds": list(range(100_000))})
    assert list(answer.json["errors"]) == ["seeds"]
    answer = replay(second, {**receipt, "seeds": [10**15] * 400_000})
    assert answer.status_code == 413


def test_another_hash_is_not_identical_and_a_run_that_failed_is_neither(
    second: Caller, receipt: dict[str, Any]
) -> None:
    other = replayed(second, {**receipt, "weights_sha256": "0" * 64})
    assert (other["status"], other["replay"]["identical"]) == ("succeeded", False)
    with second.parts.database.write() as tx:
        tx.execute(update(runs).where(runs.c.id == other["id"]).values(status="failed"))
    assert second.get(f"/v1/runs/{other['id']}")["replay"]["identical"] is None


def test_a_file_that_was_read_with_other_options_is_told(
    new_caller: Callable[..., Caller], receipt: dict[str, Any], iris: str
) -> None:
    caller = new_caller()
    caller.dataset(iris)
    newest = caller.dataset(iris, 'types={"petal_width":"text"}')
    answer = replay(caller, receipt)
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["spec.features.3"])
    assert newest in answer.json["detail"]
    assert "other options" in answer.json["detail"]
    caller.client.delete(f"/v1/datasets/{newest}")
    assert replayed(caller, receipt)["replay"]["identical"] is True


def test_the_dataset_that_the_receipt_names_comes_before_a_newer_one_of_its_file(
    new_caller: Callable[..., Caller], iris: str
) -> None:
    caller = new_caller()
    own = caller.dataset(iris)
    run = caller.trained(own, epochs=2)
    caller.dataset(iris, 'types={"petal_width":"text"}')
    again = replayed(caller, caller.get(f"/v1/runs/{run['id']}/receipt"))
    assert (again["dataset"], again["replay"]["identical"]) == (own, True)


def test_where_the_bits_may_differ_it_is_said(second: Caller, receipt: dict[str, Any]) -> None:
    elsewhere = {**receipt, "versions": {**receipt["versions"], "torch": "1.0"}, "cpu_capability": "NEON"}
    warnings = {each["code"]: each for each in replay(second, elsewhere).json["warnings"]}
    said = warnings["exactness_differs"]["message"]
    assert "torch 1.0 (here " in said
    assert "cpu_capability NEON" in said
    assert "learnd" not in said
    moved = {**receipt, "exactness": f"{receipt['exactness']} then torch 1.0, arm64 DEFAULT, cpu"}
    warnings = {each["code"]: each for each in replay(second, moved).json["warnings"]}
    assert "cannot be repeated" in warnings["exactness_differs"]["message"]


def test_a_run_that_was_extended_or_stopped_is_told_to_its_worker(second: Caller, receipt: dict[str, Any]) -> None:
    from store import runs as stored

    id = replay(second, {**receipt, "epochs": 3, "legs": [1, 2]}).json["id"]
    with second.parts.database.read() as tx:
        run = stored.get(tx, "tn_local", id)
    assert (run.legs, run.generation) == ([1, 2], 1)
    assert run.replay == {"of": receipt["run"], "weights_sha256": receipt["weights_sha256"], "epochs": 3}


def test_one_that_is_stopped_before_the_run_it_repeats_was_extended_can_be_repeated_and_extended(
    second: Caller, receipt: dict[str, Any]
) -> None:
    id = replay(second, {**receipt, "legs": [2]}).json["id"]
    with second.parts.database.write() as tx:
        tx.execute(update(runs).where(runs.c.id == id).values(requested="stop"))
    second.train()
    stopped = second.get(f"/v1/runs/{id}/receipt")
    assert (stopped["epochs"], stopped["legs"]) == (1, [])
    assert replayed(second, stopped)["replay"] == {"of": id, "identical": True}
    assert second.client.post(f"/v1/runs/{id}/extend", json={"to_epochs": 3}).status_code == 202
    second.train()
    assert second.get(f"/v1/runs/{id}/receipt")["legs"] == [1]


def test_it_can_be_extended_and_stays_what_it_was(first: Caller, second: Caller, flowers: str) -> None:
    origin = first.trained(flowers, epochs=4, validation=None)
    run = replayed(second, first.get(f"/v1/runs/{origin['id']}/receipt"))
    assert run["replay"] == {"of": origin["id"], "identical": True}
    extended = second.client.post(f"/v1/runs/{run['id']}/extend", json={"to_epochs": 6})
    assert (extended.status_code, extended.json["replay"]) == (202, run["replay"])
    second.train()
    found = second.get(f"/v1/runs/{run['id']}")
    assert (found["status"], found["progress"]["epoch"], found["replay"]) == ("succeeded", 6, run["replay"])
    assert found["weights_sha256"] != run["weights_sha256"]
