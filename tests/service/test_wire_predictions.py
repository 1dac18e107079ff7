"""Predictions that are answered before Flask: the same answers, the same refusals, the same door."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete
from werkzeug.test import Client, TestResponse

from service import access
from store import keys, tenants
from store.tables import api_keys
from tests.service.callers import Caller

FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
ROWS = {"instances": [FLOWER]}


class Flask:
    """The application behind the wire, and how often it was asked."""

    def __init__(self, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        wire = caller.app.wsgi_app
        self.application = wire._flask
        self.client = Client(self.application)
        monkeypatch.setattr(wire, "_flask", self)

    def __call__(self, *given: Any) -> Any:
        self.asked += 1
        return self.application(*given)


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def addresses(there: Caller, iris: str, mixed: str) -> dict[str, str]:
    """Of a classification's run and model, a regression's run, a list of targets' and an ensemble's."""
    flowers, houses = there.dataset(iris), there.dataset(mixed)
    run = there.trained(flowers, validation={"fraction": 0.3}, sweep={"seed": [0, 1]})
    assert there.client.post("/v1/models", json={"name": "iris", "run": run["id"], "alias": "prod"}).status_code == 201
    runs = {
        "run": run,
        "price": there.trained(houses, "price", validation={"fraction": 0.3}),
        "listed": there.trained(flowers, ["petal_width", "petal_length"]),
        "ensemble": there.trained(flowers, sweep={"seed": [0, 1, 2]}, ensemble=True),
        "folds": there.trained(houses, "garden", validation={"folds": 3}),
    }
    found = {name: f"/v1/runs/{each['id']}/predictions" for name, each in runs.items()}
    return found | {ref: f"/v1/models/{ref}/predictions" for ref in ("iris", "iris@prod", "iris:1")}


@pytest.fixture
def flask(there: Caller, monkeypatch: pytest.MonkeyPatch) -> Flask:
    return Flask(there, monkeypatch)


def alike(here: TestResponse, there: TestResponse) -> bool:
    headers = [{name: value for name, value in each.headers if name != "X-Request-Id"} for each in (here, there)]
    bodies = [each.json for each in (here, there)]
    for body in bodies:
        body.pop("request_id", None)
    return (here.status_code, headers[0], bodies[0]) == (there.status_code, headers[1], bodies[1])


HOUSE = {"size": 80, "rooms": 3, "colour": "red", "garden": True, "quality": 1, "sold_at": "2026-01-05T10:00:00Z"}
PLAIN = [
    ("run", {"instances": [FLOWER, {}, {**FLOWER, "petal_width": None}]}),
    ("run", {"instances": [[5.1, 3.5, 1.4, 0.2]] * 150, "probabilities": True}),
    ("run", {"instances": [FLOWER], "interval": 0.9}),
    ("run", {"instances": [FLOWER], "interval": None, "probabilities": False}),
    ("iris", {"instances": [FLOWER], "probabilities": True}),
    ("iris@prod", {"instances": [[1, 2, 3, 4]]}),
    ("iris:1", {"instances": [FLOWER]}),
    ("price", {"instances": [HOUSE, {**HOUSE, "colour": "never seen"}, {"rooms": 2}, {}], "interval": 0.8}),
    ("listed", {"instances": [{"species": "virginica", "sepal_length": 6}], "interval": 0.9}),
    ("run", {"instances": [FLOWER], "interval": 0.999999}),
    ("ensemble", {"instances": [FLOWER] * 70, "probabilities": True}),
    ("folds", {"instances": [{"size": 70, "colour": None, "price": 300.5}]}),
]


@pytest.mark.parametrize(("place", "body"), PLAIN)
def test_a_plain_prediction_is_answered_without_flask_by_the_bytes_that_flask_would_give(
    there: Caller, addresses: dict[str, str], flask: Flask, place: str, body: dict[str, Any]
) -> None:
    answer = there.client.post(addresses[place], json=body)
    assert (answer.status_code, flask.asked) == (200, 0), answer.text
    expected = flask.client.post(addresses[place], json=body)
    assert answer.data == expected.data
    assert alike(answer, expected)
    assert answer.headers["X-Request-Id"].startswith("req_")


GOOD = b'{"instances": [[1, 2, 3, 4]]}'
JSON = "application/json"
UNUSUAL: list[tuple[str, bytes, dict[str, Any]]] = [
    ("run", b"", {}),
    ("run", b"[]", {}),
    ("run", b"{", {}),
    ("run", b'{"instances": []}', {}),
    ("run", b'{"instances": null}', {}),
    ("run", b'{"instances": {"0": 1}}', {}),
    ("run", b'{"instances": [[1, 2, 3]]}', {}),
    ("run", b'{"instances": [[1, 2, 3, "4"]]}', {}),
    ("run", b'{"instances": [[1, 2, 3, true]]}', {}),
    ("run", b'{"instances": [[1, 2, 3, 1e400]]}', {}),
    ("run", b'{"instances": [[1, 2, 3, NaN]]}', {}),
    ("run", b'{"instances": [[1, 2, 3, 1e39]]}', {}),
    ("run", b'{"instances": [{"sepal_length": 1, "sepal_length": 2}]}', {}),
    ("run", b'{"instances": [[1, 2, 3, 4]], "instances": [[1, 2, 3, 4]]}', {}),
    ("run", b'{"instances": [[1, 2, 3, 4]], "unknown": 1}', {}),
    ("run", b'{"instances": [[1, 2, 3, 4]], "probabilities": 1}', {}),
    ("run", b'{"instances": [[1, 2, 3, 4]], "probabilities": null}', {}),
    ("run", b'{"instances": [[1, 2, 3, 4]], "interval": 1}', {}),
    ("run", b'{"instances": [[1, 2, 3, 4]], "interval": true}', {}),
    ("run", b'{"instances": [[1, 2, 3, 4]], "member": 1}', {}),
    ("run", b'{"instances": [[1, 2, 3, 4]], "member": 7}', {}),
    ("price", b'{"instances": [{"size": 1}], "probabilities": true}', {}),
    ("run", b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}),
    ("run", GOOD, {"content_type": "text/plain"}),
    ("run", GOOD, {"content_type": "application/json; charset=latin-1"}),
    ("run", GOOD, {"headers": {"Accept": "image/png"}}),
    ("run", GOOD, {"headers": {"Accept": "application/json;q=0.5, */*;q=0.1"}}),
    ("run", GOOD, {"headers": {"Content-Encoding": "gzip"}}),
    ("run", GOOD, {"headers": {"Host": "evil.example"}}),
    ("run", GOOD, {"headers": {"Origin": "http://evil.example"}}),
    ("run", GOOD, {"query_string": "member=1"}),
    ("run", GOOD, {"query_string": "unknown=1"}),
]


def test_names_with_escapes_are_read_by_the_sure_parser_and_answered(
    there: Caller, addresses: dict[str, str], flask: Flask
) -> None:
    body = b'{"instances": [{"sepal_l\\u0065ngth": 1}]}'
    answer = there.client.post(addresses["run"], data=body, content_type=JSON)
    assert answer.json == flask.client.post(addresses["run"], json={"instances": [{"sepal_length": 1}]}).json
    assert flask.asked == 0


@pytest.mark.parametrize("asked", UNUSUAL)
def test_whatever_else_comes_is_answered_by_flask_from_the_whole_body(
    there: Caller, addresses: dict[str, str], flask: Flask, asked: tuple[str, bytes, dict[str, Any]]
) -> None:
    place, body, given = asked
    sent = {"data": body, "content_type": JSON, **given}
    answer = there.client.post(addresses[place], **sent)
    expected = flask.client.post(addresses[place], **sent)
    assert alike(answer, expected)
    assert flask.asked == 1
    assert answer.status_code != 500


def test_what_is_nowhere_is_told_by_flask(there: Caller, addresses: dict[str, str], flask: Flask) -> None:
    nowhere = [f"/v1/runs/run_{'0' * 26}", "/v1/models/none", "/v1/models/iris:9", "/v1/models/iris@none"]
    for address in (*nowhere, "/v1/models/..", "/v1/models/a b", "/v1/runs/run_1"):
        answer = there.client.post(f"{address}/predictions", json=ROWS)
        assert answer.status_code == 404, address
        assert alike(answer, flask.client.post(f"{address}/predictions", json=ROWS))
    assert there.client.get(addresses["iris"]).status_code == 405
    assert flask.asked == 8


def test_a_sane_request_id_comes_back(there: Caller, addresses: dict[str, str], flask: Flask) -> None:
    for sent, sane in (("abc-1.2:3_4", True), ("a b", False), ("x" * 129, False)):
        answer = there.client.post(addresses["iris"], json=ROWS, headers={"X-Request-Id": sent})
        assert (answer.headers["X-Request-Id"] == sent) is sane
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert flask.asked == 0


def test_the_services_own_pages_may_ask_and_no_others(there: Caller, addresses: dict[str, str], flask: Flask) -> None:
    for origin, status in (("http://localhost:8080", 200), ("http://localhost", 403), ("null", 403), ("", 403)):
        headers = {"Host": "localhost:8080", "Origin": origin}
        assert there.client.post(addresses["iris"], json=ROWS, headers=headers).status_code == status
    assert flask.asked == 3


def test_a_body_that_ends_before_its_length_is_no_prediction(there: Caller, addresses: dict[str, str]) -> None:
    answer = there.client.post(
        addresses["iris"], data=GOOD, content_type=JSON, environ_overrides={"CONTENT_LENGTH": str(len(GOOD) + 5)}
    )
    assert answer.status_code == 400


def test_a_run_that_is_deleted_or_extended_predicts_by_its_old_weights_no_more(there: Caller, iris: str) -> None:
    run = there.trained(there.dataset(iris), "petal_width", validation=None, optimizer={"learning_rate": 0.05})
    address = f"/v1/runs/{run['id']}/predictions"
    body = {"instances": [{"sepal_length": 6, "petal_length": 4}]}
    first = there.client.post(address, json=body).json
    assert there.client.post(address, json=body).json == first
    assert there.client.post(f"/v1/runs/{run['id']}/extend", json={"to_epochs": 9}).status_code == 202
    assert there.client.post(address, json=body).json == first
    there.train()
    assert there.client.post(address, json=body).json["predictions"] != first["predictions"]
    assert there.client.delete(f"/v1/runs/{run['id']}").status_code == 204
    assert there.client.post(address, json=body).status_code == 404


SECRET = "a-bootstrap-key-of-more-than-24-characters"


@pytest.fixture
def keyed(new_caller: Callable[..., Caller], iris: str) -> tuple[Caller, str]:
    """And the address of a model's predictions."""
    caller = new_caller()
    run = caller.trained(caller.dataset(iris))
    caller.client.post("/v1/models", json={"name": "iris", "run": run["id"]})
    return caller, "/v1/models/iris/predictions"


def key(caller: Caller, *scopes: str, tenant: str = tenants.LOCAL) -> dict[str, str]:
    with caller.parts.database.write() as tx:
        return {"Authorization": f"Bearer {keys.create(tx, tenant, scopes)}"}


def test_each_key_opens_what_it_opens_in_flask(keyed: tuple[Caller, str], monkeypatch: pytest.MonkeyPatch) -> None:
    caller, address = keyed
    flask = Flask(caller, monkeypatch)
    with caller.parts.database.write() as tx:
        other = tenants.create(tx, "other")
    given = {
        "predict": (key(caller, "predict"), 200),
        "admin": (key(caller, "admin"), 200),
        "read": (key(caller, "read", "write"), 403),
        "other": (key(caller, "predict", tenant=other), 404),
        "none": ({}, 401),
        "wrong": ({"Authorization": "Bearer lk_wrong-and-long-enough-to-be-a-key"}, 401),
    }
    for _ in range(3):
        for headers, status in given.values():
            answer = caller.client.post(address, json=ROWS, headers={**headers, "Host": "learnd.example"})
            assert answer.status_code == status, answer.text
    assert flask.asked == 3 * 4


def test_a_revoked_key_and_an_open_door_are_shut_within_a_second(
    keyed: tuple[Caller, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, address = keyed

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(access, "time", clock)

    def status(headers: dict[str, str] | None = None) -> int:
        return caller.client.post(address, json=ROWS, headers=headers or {}).status_code

    assert status() == 200
    mine, theirs = key(caller, "predict"), key(caller, "admin")
    clock.now += 1.01
    assert (status(), status(mine), status(theirs)) == (401, 200, 200)
    with caller.parts.database.write() as tx:
        tx.execute(delete(api_keys).where(api_keys.c.scopes == ["predict"]))
    clock.now += 1.01
    assert (status(mine), status(theirs)) == (401, 200)
