"""The same request with the same key is done once, whatever becomes of the first answer."""

import io
import threading
from typing import Any

import pytest
from werkzeug.test import TestResponse

from store.errors import Busy
from tests.service.callers import Caller

KEY = {"Idempotency-Key": "3f0c-once"}
NETWORK = {"name": "x", "layers": [{"units": 3}]}


def count(caller: Caller, noun: str) -> int:
    return len(caller.get(f"/v1/{noun}?limit=1000")["data"])


def same(first: TestResponse, again: TestResponse) -> None:
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert again.content_type == first.content_type
    assert again.headers.get("Location") == first.headers.get("Location")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers


def test_each_post_that_creates_is_done_once(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    for noun, sent in [
        ("networks", {"json": NETWORK}),
        ("runs", {"json": {"dataset": dataset, "target": "species"}}),
        ("datasets", {"data": iris, "content_type": "text/csv"}),
    ]:
        before = count(caller, noun)
        headers = {"Idempotency-Key": f"key-of-{noun}"}
        first = caller.client.post(f"/v1/{noun}", headers=headers, **sent)
        assert first.status_code in (201, 202)
        same(first, caller.client.post(f"/v1/{noun}", headers=headers, **sent))
        assert count(caller, noun) == before + 1
        if noun == "runs":
            assert first.headers["Retry-After"] == "1"


def test_a_form_may_come_again_with_another_boundary(caller: Caller) -> None:
    def send(boundary: str) -> TestResponse:
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\nx,y\n1,2\n\r\n'
            f"--{boundary}--\r\n"
        ).encode()
        media = f"multipart/form-data; boundary={boundary}"
        return caller.client.post("/v1/datasets", data=io.BytesIO(body), content_type=media, headers=KEY)

    same(send("first"), send("second"))
    assert count(caller, "datasets") == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/networks", {**NETWORK, "name": "y"}),
        ("/v1/runs", NETWORK),
        ("/v1/runs?dry_run=true", NETWORK),
    ],
)
def test_another_request_with_the_key_is_refused(caller: Caller, path: str, body: dict[str, Any]) -> None:
    caller.client.post("/v1/networks", json=NETWORK, headers=KEY)
    answer = caller.client.post(path, json=body, headers=KEY)
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["Idempotency-Key"])
    assert count(caller, "networks") == 1


def test_a_refusal_is_kept_as_it_was(caller: Caller) -> None:
    first = caller.client.post("/v1/networks", json={"layers": 3}, headers=KEY)
    assert first.status_code == 422
    same(first, caller.client.post("/v1/networks", json={"layers": 3}, headers=KEY))


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ümlaut"])
def test_a_key_that_is_none_is_refused(caller: Caller, key: str) -> None:
    answer = caller.client.post("/v1/networks", json=NETWORK, headers={"Idempotency-Key": key})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["Idempotency-Key"])


def test_of_many_equal_posts_at_once_one_creates(caller: Caller, iris: str) -> None:
    body = {"dataset": caller.dataset(iris), "target": "species"}
    answers: list[TestResponse] = []
    together = threading.Barrier(16)

    def post() -> None:
        together.wait()
        answers.append(caller.app.test_client().post("/v1/runs", json=body, headers=KEY))

    threads = [threading.Thread(target=post) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json["id"] for answer in answers if answer.status_code == 202}) == 1
    assert count(caller, "runs") == 1


def test_an_answer_of_ours_is_not_kept(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from store import networks

    def busy(*_: Any, **__: Any) -> None:
        raise Busy("locked")

    with monkeypatch.context() as broken:
        broken.setattr(networks, "insert", busy)
        answer = caller.client.post("/v1/networks", json=NETWORK, headers=KEY)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    again = caller.client.post("/v1/networks", json=NETWORK, headers=KEY)
    assert again.status_code == 201
    assert "Idempotency-Replayed" not in again.headers


def test_a_key_that_could_not_be_released_is_free_once_the_database_is_back(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store import idempotency, networks

    def away(*_: Any, **__: Any) -> None:
        raise Busy("away")

    for at in (networks, "insert"), (idempotency, "complete"):  # before the work, and in its own transaction
        with monkeypatch.context() as broken:
            broken.setattr(*at, away)
            broken.setattr(idempotency, "release", away)
            answer = caller.client.post("/v1/networks", json=NETWORK, headers=KEY)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert caller.client.post("/v1/networks", json=NETWORK, headers=KEY).status_code == 201
    assert count(caller, "networks") == 1


def test_keys_are_a_tenants_own(caller: Caller) -> None:
    from store import keys, tenants

    with caller.parts.database.write() as tx:
        secrets = [keys.create(tx, tenant, keys.SCOPES) for tenant in (tenants.LOCAL, tenants.create(tx, "other"))]
    answers = [
        caller.client.post("/v1/networks", json=NETWORK, headers={**KEY, "Authorization": f"Bearer {secret}"})
        for secret in secrets
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json["id"] != answers[1].json["id"]
