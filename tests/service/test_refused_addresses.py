"""Every address refuses what it does not know: methods, parameters, cursors, ids, states and instances."""

import json
from typing import Any

import pytest

from tests.service.refusals import JSON, NO_ID, House

# Method, address and body; then the status, the path and words of what is allowed.
REQUESTS: list[tuple[Any, ...]] = [
    ("GET", "/v1/nothing", None, 404, None, "nothing at this address"),
    ("GET", "/v1/runs/run_x", None, 404, None, "nothing at this address"),
    ("GET", f"/v1/runs/run_{NO_ID}", None, 404, None, "no run"),
    ("GET", f"/v1/datasets/ds_{NO_ID}", None, 404, None, "no dataset"),
    ("GET", f"/v1/datasets/ds_{NO_ID}/rows", None, 404, None, "no dataset"),
    ("GET", f"/v1/networks/net_{NO_ID}", None, 404, None, "no network"),
    ("GET", f"/v1/runs/run_{NO_ID}/metrics", None, 404, None, "no run"),
    ("GET", f"/v1/runs/run_{NO_ID}/events", None, 404, None, "no run"),
    ("GET", f"/v1/runs/run_{NO_ID}/members", None, 404, None, "no run"),
    ("GET", f"/v1/runs/run_{NO_ID}/weights", None, 404, None, "no run"),
    ("GET", f"/v1/runs/run_{NO_ID}/receipt", None, 404, None, "no run"),
    ("POST", f"/v1/runs/run_{NO_ID}/cancel", None, 404, None, "no run"),
    ("POST", f"/v1/runs/run_{NO_ID}/predictions", {"instances": [{}]}, 404, None, "no run"),
    ("DELETE", f"/v1/runs/run_{NO_ID}", None, 404, None, "no run"),
    ("DELETE", f"/v1/datasets/ds_{NO_ID}", None, 404, None, "no dataset"),
    ("DELETE", f"/v1/networks/net_{NO_ID}", None, 404, None, "no network"),
    ("PATCH", f"/v1/datasets/ds_{NO_ID}", {"name": "x"}, 404, None, "no dataset"),
    ("PATCH", f"/v1/runs/run_{NO_ID}", {"name": "x"}, 404, None, "no run"),
    ("POST", f"/v1/runs/run_{NO_ID}/extend", {"to_epochs": 9}, 404, None, "no run"),
    ("POST", "/v1/runs/{queued}/extend", {"to_epochs": 9}, 409, None, "only a run that has succeeded"),
    ("POST", "/v1/runs/{run}/extend", {"to_epochs": 1}, 409, None, "finished 2 epochs already"),
    ("POST", "/v1/runs/{run}/extend", {"to_epochs": 0}, 422, "to_epochs", "from 1 to 100000"),
    ("POST", "/v1/runs/{run}/extend", {}, 422, "to_epochs", "required"),
    ("POST", "/v1/runs/{run}/extend?wait=1", {"to_epochs": 9}, 422, "wait", "takes none"),
    ("POST", "/v1/replays", {}, 422, "spec", "required"),
    ("GET", "/v1/replays", None, 405, None, "not possible"),
    ("PUT", "/v1/runs", None, 405, None, "GET, HEAD, OPTIONS, POST are"),
    ("DELETE", "/v1/runs", None, 405, None, "not possible"),
    ("POST", "/healthz", None, 405, None, "not possible"),
    ("GET", "/v1/runs?limit=0", None, 422, "limit", "from 1 to 1000"),
    ("GET", "/v1/runs?limit=1001", None, 422, "limit", "from 1 to 1000"),
    ("GET", "/v1/runs?limit=ten", None, 422, "limit", "from 1 to 1000"),
    ("GET", "/v1/runs?after=nonsense", None, 422, "after", "next"),
    ("GET", "/v1/runs?status=done", None, 422, "status", "one of queued"),
    ("GET", "/v1/runs?colour=red", None, 422, "colour", "allowed: after, dataset, limit, status"),
    ("GET", "/v1/datasets?after=nonsense", None, 422, "after", "next"),
    ("GET", "/v1/networks?after=nonsense", None, 422, "after", "next"),
    ("GET", "/v1/workers?colour=red", None, 422, "colour", "takes none"),
    ("GET", "/v1/networks/{net}?x=1", None, 422, "x", "takes none"),
    ("GET", "/v1/runs/{run}?wait=61", None, 422, "wait", "from 0 to 60"),
    ("GET", "/v1/runs/{run}/metrics?points=3", None, 422, "points", "from 4"),
    ("GET", "/v1/runs/{run}/metrics?after=x", None, 422, "after", "next"),
    ("GET", "/v1/runs/{run}/metrics?member=-1", None, 422, "member", "from 0"),
    ("GET", "/v1/runs/{run}/events?after=x", None, 422, "after", "next"),
    ("GET", "/v1/runs/{run}/members?after=x", None, 422, "after", "next"),
    ("GET", "/v1/runs/{run}/members?sort=name", None, 422, "sort", "index, value"),
    ("GET", "/v1/runs/{run}/weights?member=2", None, 422, "member", "from 0 to 1"),
    ("GET", "/v1/runs/{queued}/weights", None, 409, None, "kept no weights"),
    ("GET", "/v1/runs/{queued}/receipt", None, 409, None, "receipt"),
    ("GET", f"/v1/runs/run_{NO_ID}/evaluation", None, 404, None, "no run"),
    ("GET", f"/v1/runs/run_{NO_ID}/importance", None, 404, None, "no run"),
    ("GET", "/v1/runs/{run}/evaluation?split=train", None, 422, "split", "one of test, validation"),
    ("GET", "/v1/runs/{run}/importance?split=", None, 422, "split", "one of test, validation"),
    ("GET", "/v1/runs/{run}/importance?member=1", None, 422, "member", "allowed: split"),
    ("GET", "/v1/runs/{run}/evaluation?split=test", None, 404, None, "test split of this run has no rows"),
    ("GET", "/v1/runs/{queued}/evaluation", None, 409, None, "kept no weights"),
    ("GET", "/v1/runs/{queued}/importance", None, 409, None, "kept no weights"),
    ("POST", "/v1/runs?dry_run=yes", {}, 422, "dry_run", "true or false"),
    ("POST", "/v1/runs/{queued}/stop", None, 409, None, "epoch has finished"),
    ("POST", "/v1/runs/{run}/cancel", None, 409, None, "already succeeded"),
    ("POST", "/v1/runs/{run}/pause", None, 409, None, "already succeeded"),
    ("POST", "/v1/runs/{run}/resume", None, 409, None, "already succeeded"),
    ("POST", "/v1/runs/{run}/cancel", {"why": "bored"}, 422, "why", "allowed: none"),
    ("DELETE", "/v1/runs/{queued}", None, 409, None, "cancel it first"),
    ("DELETE", "/v1/datasets/{iris}", None, 409, None, "still reads this dataset"),
    ("PATCH", "/v1/runs/{run}", {"status": "queued"}, 422, "status", "allowed: metadata, name, priority"),
    ("PATCH", "/v1/runs/{run}", {"priority": "high"}, 422, "priority", "a whole number"),
    ("PATCH", "/v1/runs/{run}", {"priority": 101}, 422, "priority", "from -100 to 100"),
    ("PATCH", "/v1/datasets/{iris}", {}, 422, "name", "required"),
    ("PATCH", "/v1/datasets/{iris}", {"rows": 1}, 422, "rows", "allowed: name"),
    ("POST", "/v1/networks", {"name": "x"}, 422, "layers", "required"),
    (
        "POST",
        "/v1/networks",
        {"layers": [{"units": 4, "activation": "swish"}]},
        422,
        "layers.0.activation",
        "one of identity, sigmoid",
    ),
    ("GET", "/v1/datasets/{iris}/rows?limit=0", None, 422, "limit", "from 1"),
    ("GET", "/v1/datasets/{iris}/rows?offset=-1", None, 422, "offset", "from 0"),
    ("POST", "/v1/runs/{queued}/predictions", {"instances": [{}]}, 409, None, "kept no weights"),
    ("POST", "/v1/runs/{run}/predictions", {}, 422, "instances", "required"),
    ("POST", "/v1/runs/{run}/predictions", {"instances": []}, 422, "instances", "1 to 100000"),
    ("POST", "/v1/runs/{run}/predictions", {"instances": {}}, 422, "instances", "1 to 100000"),
    ("POST", "/v1/runs/{run}/predictions", {"instances": [{}] * 100_001}, 422, "instances", "1 to 100000"),
    ("POST", "/v1/runs/{run}/predictions", {"instances": [{}], "member": 2}, 422, "member", "from 0 to 1"),
    ("POST", "/v1/runs/{run}/predictions", {"instances": [{}], "probabilities": 1}, 422, "probabilities", "true"),
    ("POST", "/v1/runs/{run}/predictions", {"instances": [{}], "interval": True}, 422, "interval", "a number above 0"),
    ("POST", "/v1/runs/{run}/predictions", {"instances": [{}], "interval": 2}, 422, "interval", "below 1"),
    ("POST", "/v1/runs/{run}/predictions", {"instances": [{}], "alias": "x"}, 422, "alias", "allowed: instances"),
]


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: f"{case[0]} {case[1]} {case[3]} {case[4]}")
def test_every_address_refuses_what_it_does_not_know(house: House, case: tuple[Any, ...]) -> None:
    method, address, body, *refusal = case
    named = address.format(**house.ids, net=f"net_{NO_ID}") if "{" in address else address
    house.refuses(tuple(refusal), method, named, **({} if body is None else {"json": body}))


INSTANCES: list[tuple[list[Any], str, str]] = [
    ([3], "instances.0", "a record"),
    (["x"], "instances.0", "a record"),
    ([None], "instances.0", "a record"),
    ([{}, [1, 2, 3, 4]], "instances.1", "a record"),
    ([[1, 2, 3, 4], {}], "instances.1", "an array"),
    ([[1, 2, 3, 4], [1, 2]], "instances.1", "4 values, in the order sepal_length"),
    ([{"petal": 1}], "instances.0.petal", "petal_length"),
    ([{}] * 7 + [{"petal_length": "x"}], "instances.7.petal_length", "a number"),
    ([[1, 2, "x", 4]], "instances.0.petal_length", "a number"),
    ([{"petal_length": True}], "instances.0.petal_length", "a number"),
    ([{"petal_length": [1]}], "instances.0.petal_length", "a number"),
    ([{"petal_length": 1e39}], "instances.0.petal_length", "3.403e+38"),
    ([{"petal_length": 10**400}], "instances.0.petal_length", "finite"),
    ([{"petal_length": 10**300}], "instances.0.petal_length", "3.403e+38"),
]


@pytest.mark.parametrize(("instances", "path", "words"), INSTANCES)
def test_a_wrong_value_of_an_instance_is_refused_at_its_path(
    house: House, instances: list[Any], path: str, words: str
) -> None:
    body = json.dumps({"instances": instances})
    address = f"/v1/runs/{house.ids['run']}/predictions"
    house.refuses((422, path, words), "POST", address, data=body, content_type=JSON)


def test_of_many_wrong_instances_the_first_hundred_are_told(house: House) -> None:
    body = {"instances": [{"petal_length": "x"}] * 5_000}
    answer = house.caller.client.post(f"/v1/runs/{house.ids['run']}/predictions", json=body)
    assert len(answer.json["errors"]) == 100
