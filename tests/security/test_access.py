"""Who may call: nobody without a key once there is one, no page of a browser before, and never another's rows."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import delete, update

from service.exposure import Exposed
from store import keys, tenants
from store.errors import Busy
from store.moments import now
from store.tables import api_keys
from tests.service.callers import Caller

NO_ID = "0" * 26
ARGUMENT = re.compile(r"<(?:[^>]*:)?(\w+)>")
SECRET = "a-bootstrap-key-of-more-than-24-characters"
OPEN = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
PREFIXES = {"datasets": "ds", "networks": "net", "runs": "run", "batch-predictions": "bp"}


def every_route(caller: Caller) -> Iterator[tuple[str, str]]:
    """Method and address of everything in the URL map, also of what answers without being in the document."""
    for rule in caller.app.url_map.iter_rules():
        noun = rule.rule.split("/")[2] if rule.rule.startswith("/v1/") else ""
        known = {"id": f"{PREFIXES.get(noun)}_{NO_ID}", "version": "1"}
        address = ARGUMENT.sub(lambda found, known=known: known.get(found[1], "swagger-ui.css"), rule.rule)  # type: ignore[misc]
        for method in rule.methods or ():
            yield method, address


@pytest.fixture
def keyed(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller(bootstrap_key=SECRET)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def a_key(caller: Caller, *scopes: str, tenant: str = tenants.LOCAL) -> dict[str, str]:
    with caller.parts.database.write() as tx:
        return bearer(keys.create(tx, tenant, scopes))


def test_without_a_key_every_route_but_health_is_closed(keyed: Caller) -> None:
    routes = list(every_route(keyed))
    assert len(routes) > 60
    for method, address in [*routes, ("GET", "/nothing"), ("PUT", "/v1/runs")]:
        answer = keyed.client.open(address, method=method)
        if address in OPEN:
            assert answer.status_code != 401, address
        else:
            assert answer.status_code == 401, (method, address)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        bearer("wrong-and-long-enough-to-be-a-key"),
        bearer(""),
        bearer(SECRET[:-1]),
        bearer(SECRET + "x"),
        bearer(SECRET.upper()),
        {"Authorization": SECRET},
        {"Authorization": f"Basic {SECRET}"},
        {"X-Api-Key": SECRET},
        {"Authorization": "Bearer \xff\xfe"},
        {"Authorization": f"Bearer {SECRET[:8]}"},
    ],
)
def test_a_wrong_key_is_none(keyed: Caller, headers: dict[str, str]) -> None:
    assert keyed.client.get("/v1/runs", headers=headers).status_code == 401
    assert keyed.client.get("/v1/runs?key=" + SECRET, headers=headers).status_code == 401


def test_nobody_is_admitted_before_the_first_key_could_be_made(
    new_caller: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise Busy("away")

    with monkeypatch.context() as broken:
        broken.setattr(keys, "create", away)
        client = new_caller(bootstrap_key=SECRET).client
        assert client.get("/v1/runs").status_code == 503
        assert client.get("/v1/runs", headers=bearer(SECRET)).status_code == 503
        assert client.get("/healthz").status_code == 200
    assert client.get("/v1/runs").status_code == 401
    assert client.get("/v1/runs", headers=bearer(SECRET)).status_code == 200


def test_the_bootstrap_key_opens_everything_from_anywhere(keyed: Caller) -> None:
    for headers in ({}, {"Host": "learnd.example"}, {"Origin": "https://elsewhere.example"}):
        assert keyed.client.get("/v1/runs", headers={**bearer(SECRET), **headers}).status_code == 200
    assert keyed.client.post("/v1/networks", json={"layers": []}, headers=bearer(SECRET)).status_code == 201
    assert keyed.client.get("/metrics", headers=bearer(SECRET)).status_code == 200


def test_the_first_key_closes_the_door_at_once(caller: Caller) -> None:
    assert caller.client.get("/v1/runs").status_code == 200
    key = a_key(caller, "read")
    assert caller.client.get("/v1/runs").status_code == 401
    assert caller.client.get("/v1/runs", headers=key).status_code == 200


@pytest.mark.parametrize("scope", keys.SCOPES)
def test_each_scope_opens_its_own_routes_and_no_other(keyed: Caller, scope: str) -> None:
    key = a_key(keyed, scope)
    for method, address in every_route(keyed):
        if address in OPEN:
            continue
        with keyed.client.open(address, method=method, headers=key) as answer:
            refused = answer.status_code == 403
        asks = address.endswith(("/predictions", "/invocations", "/infer", "/batch-predictions"))
        if method == "POST" and (asks or (address.endswith("/cancel") and "/batch-predictions/" in address)):
            needed = "predict"
        else:
            needed = "read" if method in ("GET", "HEAD", "OPTIONS") else "write"
        assert refused is (scope not in (needed, "admin")), (method, address)


def test_an_expired_key_is_none(keyed: Caller) -> None:
    from datetime import UTC, datetime

    with keyed.parts.database.write() as tx:
        secret = keys.create(tx, tenants.LOCAL, ["read"], expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert keyed.client.get("/v1/runs", headers=bearer(secret)).status_code == 401


HOSTS = {
    "localhost": 200,
    "localhost:8080": 200,
    "LOCALHOST:8080": 200,
    "127.0.0.1": 200,
    "127.0.0.1:1": 200,
    "127.8.9.10": 200,
    "[::1]:8080": 200,
    "evil.example": 403,
    "evil.example:8080": 403,
    "127.0.0.1.evil.example": 403,
    "localhost.evil.example": 403,
    "evil.example#localhost": 403,
    "10.0.0.1": 403,
    "0.0.0.0": 403,
    "[::]": 403,
    "192.168.1.1:8080": 403,
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
def test_without_keys_only_a_loopback_host_is_answered(caller: Caller, host: str, status: int) -> None:
    for address in ("/v1/runs", "/docs", "/openapi.json", "/nothing"):
        answer = caller.client.get(address, headers={"Host": host})
        expected = 404 if status == 200 and address == "/nothing" else status
        # What werkzeug cannot read as a host at all is no request.
        assert answer.status_code == expected or (expected == 403 and answer.status_code == 400), (host, address)


ORIGINS = {
    "http://localhost:8080": 201,
    "http://evil.example": 403,
    "https://localhost:8080": 403,
    "http://localhost:9999": 403,
    "http://localhost": 403,
    "http://localhost:8080.evil.example": 403,
    "null": 403,
    "": 403,
}


@pytest.mark.parametrize(("origin", "status"), ORIGINS.items())
def test_without_keys_another_origin_is_refused(caller: Caller, origin: str, status: int) -> None:
    headers = {"Host": "localhost:8080", "Origin": origin}
    assert caller.client.post("/v1/networks", json={"layers": []}, headers=headers).status_code == status
    assert len(caller.get("/v1/networks")["data"]) == (status == 201)


def test_no_answer_invites_another_origin(caller: Caller) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
        answer = caller.client.open("/v1/runs", method=method, headers=headers)
        assert not [name for name in dict(answer.headers) if name.lower().startswith("access-control")]
        assert "Set-Cookie" not in answer.headers


def test_another_tenant_sees_and_touches_nothing(keyed: Caller, iris: str) -> None:
    mine = bearer(SECRET)
    with keyed.parts.database.write() as tx:
        other = tenants.create(tx, "other")
    theirs = a_key(keyed, *keys.SCOPES, tenant=other)
    as_me = keyed.client.post("/v1/datasets?name=secret", data=iris, content_type="text/csv", headers=mine).json["id"]
    body = {"dataset": as_me, "target": "species", "epochs": 1}
    run = keyed.client.post("/v1/runs", json=body, headers=mine).json["id"]
    queued = keyed.client.post("/v1/runs", json=body, headers=mine).json["id"]
    keyed.train()
    network = keyed.client.post("/v1/networks", json={"layers": []}, headers=mine).json["id"]
    keyed.client.post("/v1/models", json={"name": "iris", "run": run, "alias": "prod"}, headers=mine)
    asked_for = {"model": "iris@prod", "dataset": as_me}
    batch = keyed.client.post("/v1/batch-predictions", json=asked_for, headers=mine).json["id"]
    owned = {"datasets": as_me, "runs": run, "networks": network, "batch-predictions": batch}
    bodies: dict[str, Any] = {
        "predictions": {"instances": [{}]},
        "invocations": {"instances": [{}]},
        "infer": {"inputs": [{"name": "sepal_length", "shape": [1], "datatype": "FP64", "data": [1.0]}]},
        "put": {"version": 1},
        "extend": {"to_epochs": 9},
        "patch": {"name": "stolen"},
    }

    def snapshot() -> list[bytes]:
        return [
            keyed.client.get(address, headers=mine).data
            for address in (
                *(f"/v1/datasets/{as_me}", f"/v1/runs/{run}", f"/v1/runs/{queued}", f"/v1/networks/{network}"),
                *("/v1/models/iris", f"/v1/batch-predictions/{batch}"),
            )
        ]

    before, asked = snapshot(), 0
    for method, address in every_route(keyed):
        if not (NO_ID in address or "/models/" in address) or method == "OPTIONS":
            continue
        noun, last = address.split("/")[2], address.rsplit("/", 1)[-1]
        if noun in owned:
            named = address.replace(f"{PREFIXES[noun]}_{NO_ID}", owned[noun])
        else:
            named = address.replace("/models/swagger-ui.css", "/models/iris")
        sent = bodies.get(last) or bodies.get(method.lower())
        answer = keyed.client.open(named, method=method, headers=theirs, **({"json": sent} if sent else {}))
        assert answer.status_code == 404, (method, named, answer.text)
        asked += 1
    assert asked > 20
    for noun in (*owned, "models"):
        assert keyed.client.get(f"/v1/{noun}", headers=theirs).json["data"] == []
    stolen = keyed.client.post("/v1/runs", json=body, headers=theirs)
    assert (stolen.status_code, list(stolen.json["errors"])) == (422, ["dataset"])
    assert snapshot() == before


def test_figures_and_workers_tell_no_run_of_another(keyed: Caller) -> None:
    with keyed.parts.database.write() as tx:
        other = tenants.create(tx, "other")
    theirs = a_key(keyed, "read", tenant=other)
    assert "run_" not in keyed.client.get("/v1/workers", headers=theirs).text


def test_replaced_bootstrap_key_opens_nothing_more(new_caller: Callable[..., Caller], tmp_path: Path) -> None:
    first = new_caller(bootstrap_key=SECRET)
    url = first.parts.settings.database
    assert first.client.get("/v1/runs", headers=bearer(SECRET)).status_code == 200
    new = "another-bootstrap-key-7f3a91c0"
    second = new_caller(bootstrap_key=new, database_url=url)
    for each in (first, second):  # also in a process that was started with the old one
        assert each.client.get("/v1/runs", headers=bearer(SECRET)).status_code == 401
        assert each.client.get("/v1/runs", headers=bearer(new)).status_code == 200
    third = new_caller(database_url=url)  # no key in the settings: the last one stays
    assert third.client.get("/v1/runs").status_code == 401
    assert third.client.get("/v1/runs", headers=bearer(new)).status_code == 200


@pytest.mark.parametrize("ends", ["revoked", "expired", "replaced"])
def test_long_answers_end_with_their_key(keyed: Caller, iris: str, ends: str) -> None:
    run = keyed.client.post("/v1/datasets?name=iris", data=iris, content_type="text/csv", headers=bearer(SECRET)).json
    body = {"dataset": run["id"], "target": "species"}
    address = f"/v1/runs/{keyed.client.post('/v1/runs', json=body, headers=bearer(SECRET)).json['id']}"
    headers = bearer(SECRET) if ends == "replaced" else a_key(keyed, "read")
    secret = headers["Authorization"].removeprefix("Bearer ")
    polled: Queue[Any] = Queue()
    waiting = Thread(target=lambda: polled.put(keyed.app.test_client().get(f"{address}?wait=60", headers=headers)))
    waiting.start()
    stream = keyed.client.get(
        f"{address}/events", headers={**headers, "Accept": "text/event-stream"}, buffered=False
    ).iter_encoded()
    assert b"run.queued" in next(stream)
    assert next(stream) == b""
    begun = time.monotonic()
    with keyed.parts.database.write() as tx:
        mine = api_keys.c.prefix == secret[:8]
        if ends == "revoked":
            tx.execute(delete(api_keys).where(mine))
        elif ends == "expired":
            tx.execute(update(api_keys).where(mine).values(expires_at=now()))
        else:
            keys.set_bootstrap(tx, tenants.LOCAL, "another-bootstrap-key-7f3a91c0")
    assert b"".join(stream) == b""  # without `event: end`: the run has not ended
    assert polled.get(timeout=10).status_code == 401
    assert time.monotonic() - begun < 1
    waiting.join()


def test_stream_without_a_key_ends_with_the_first_key(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    stream = caller.client.get(
        f"/v1/runs/{run}/events", headers={"Accept": "text/event-stream"}, buffered=False
    ).iter_encoded()
    assert b"run.queued" in next(stream)
    a_key(caller, "read")
    assert b"".join(stream) == b""


@pytest.mark.parametrize("weak", ["short", "a" * 24, "0123456789" * 3, "changeme-changeme-changeme", SECRET + "\n"])
def test_weak_bootstrap_key_is_refused_at_start(new_caller: Callable[..., Caller], weak: str) -> None:
    with pytest.raises(Exposed, match="LEARND_BOOTSTRAP_KEY is to"):
        new_caller(bootstrap_key=weak)


def test_no_key_stands_in_the_database(keyed: Caller) -> None:
    with keyed.parts.database.write() as tx:
        secret = keys.create(tx, tenants.LOCAL, ["read"])
    keyed.client.get("/v1/runs", headers=bearer(secret))
    kept = b"".join(path.read_bytes() for path in Path(keyed.parts.settings.data_dir).glob("learnd.db*"))
    for each in (secret, SECRET):
        assert each.encode() not in kept
        assert each[:8].encode() in kept  # the beginning, to tell keys apart: so the search above searches


def test_beyond_loopback_it_does_not_start_without_a_key(new_caller: Callable[..., Caller]) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "learnd.example"):
        with pytest.raises(Exposed, match="LEARND_BOOTSTRAP_KEY"):
            new_caller(host=host)
    for host in ("127.0.0.1", "::1", "localhost"):
        assert new_caller(host=host).client.get("/v1/runs").status_code == 200
    assert new_caller(host="0.0.0.0", bootstrap_key=SECRET).client.get("/v1/runs").status_code == 401
