"""RFC 9110, 13.1 and 13.2: what If-Match and If-None-Match do to every resource that has an ETag, by every method."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from werkzeug.test import TestResponse

from tests.service.callers import Caller

OLD = {"If-Unmodified-Since": "Sat, 29 Oct 1994 19:43:31 GMT"}
NEW = {"If-Modified-Since": "Fri, 29 Oct 2100 19:43:31 GMT"}


class Row(NamedTuple):
    """Headers in which `$` is the current tag without its quotes, and what a read and a change are answered."""

    headers: dict[str, str]
    read: int  # 0: as without conditions
    change: int


TABLE = [
    # 13.1.1: the strong comparison
    Row({"If-Match": '"$"'}, 0, 0),
    Row({"If-Match": "*"}, 0, 0),
    Row({"If-Match": " * "}, 0, 0),
    Row({"If-Match": '"a", "$"'}, 0, 0),
    Row({"If-Match": ',, "a,b" ,"$",'}, 0, 0),
    Row({"If-Match": 'W/"a","$"'}, 0, 0),
    Row({"If-Match": '"a"'}, 412, 412),
    Row({"If-Match": 'W/"$"'}, 412, 412),
    Row({"If-Match": '"$x", "x$", "a"'}, 412, 412),
    Row({"If-Match": '""'}, 412, 412),
    Row({"If-Match": '"*"'}, 412, 412),
    Row({"If-Match": ""}, 412, 412),
    Row({"If-Match": "$"}, 412, 412),  # no list of tags
    Row({"If-Match": '"$'}, 412, 412),
    Row({"If-Match": '"a" "$"'}, 412, 412),
    Row({"If-Match": '*, "$"'}, 412, 412),
    Row({"If-Match": 'w/"a", "$"'}, 412, 412),
    # 13.1.2: the weak comparison
    Row({"If-None-Match": '"$"'}, 304, 412),
    Row({"If-None-Match": 'W/"$"'}, 304, 412),
    Row({"If-None-Match": '"a", W/"b", "$"'}, 304, 412),
    Row({"If-None-Match": ' ,"a,\tb", ,W/"$" ,'}, 0, 412),  # a tag holds no tab, so it is no list of tags
    Row({"If-None-Match": '"a;b,c",\tW/"$"\t,'}, 304, 412),
    Row({"If-None-Match": "*"}, 304, 412),
    Row({"If-None-Match": '"a"'}, 0, 0),
    Row({"If-None-Match": 'W/"a", "b"'}, 0, 0),
    Row({"If-None-Match": '"*"'}, 0, 0),
    Row({"If-None-Match": '"$x"'}, 0, 0),
    Row({"If-None-Match": ""}, 0, 0),
    Row({"If-None-Match": "$"}, 0, 412),  # no list of tags: answered in full, and nothing is changed
    # 13.1.3 and 13.1.4: there is no modification date, so these count for nothing
    Row(OLD, 0, 0),
    Row(NEW, 0, 0),
    Row(OLD | NEW, 0, 0),
    # 13.2.2: the order, and that the dates count for nothing beside tags
    Row({"If-Match": '"a"', "If-None-Match": '"$"'}, 412, 412),
    Row({"If-Match": '"$"', "If-None-Match": '"$"'}, 304, 412),
    Row({"If-Match": '"$"', "If-None-Match": '"a"'}, 0, 0),
    Row({"If-Match": "*", "If-None-Match": "*"}, 304, 412),
    Row({"If-Match": '"$"'} | OLD, 0, 0),
    Row({"If-Match": '"a"'} | NEW, 412, 412),
    Row({"If-None-Match": '"$"'} | OLD, 304, 412),
    Row({"If-None-Match": '"a"'} | NEW, 0, 0),
    # 13.1.5: no ranges are served, so If-Range counts for nothing
    Row({"If-Range": '"$"', "Range": "bytes=0-1"}, 0, 0),
    Row({"If-Range": '"a"', "Range": "bytes=0-1"}, 0, 0),
    Row({"If-None-Match": '"$"', "If-Range": '"a"', "Range": "bytes=0-1"}, 304, 412),
]


class House(NamedTuple):
    caller: Caller
    dataset: str
    trained: str
    batch: str  # that has succeeded

    def post(self, path: str, body: Any) -> Any:
        answer = self.caller.client.post(path, json=body)
        assert answer.status_code in (201, 202), answer.text
        return answer.json

    def new_dataset(self) -> str:
        return f"/v1/datasets/{self.caller.dataset('a,b' + chr(10) + '1,2' + chr(10))}"

    def new_network(self) -> str:
        return f"/v1/networks/{self.post('/v1/networks', {'layers': []})['id']}"

    def new_run(self) -> str:
        return f"/v1/runs/{self.caller.run(self.dataset)['id']}"

    def ended_run(self) -> str:
        address = self.new_run()
        assert self.caller.client.post(f"{address}/cancel").status_code == 202
        return address

    def new_model(self) -> str:
        self.post("/v1/models", {"name": "new", "run": self.trained, "alias": "prod"})
        return "/v1/models/new"

    def new_alias(self) -> str:
        answer = self.caller.client.put("/v1/models/iris/aliases/new", json={"version": 1})
        assert answer.status_code == 200
        return "/v1/models/iris/aliases/new"

    def new_batch(self) -> str:
        body = {"model": "iris", "dataset": self.dataset}
        return f"/v1/batch-predictions/{self.post('/v1/batch-predictions', body)['id']}"

    def ended_batch(self) -> str:
        address = self.new_batch()
        assert self.caller.client.post(f"{address}/cancel").status_code == 202
        return address


@pytest.fixture(scope="module")
def house(new_caller: Callable[..., Caller], iris: str) -> House:
    caller = new_caller()
    dataset = caller.dataset(iris)
    trained = caller.trained(dataset, epochs=1)["id"]
    for _ in range(2):
        assert caller.client.post("/v1/models", json={"name": "iris", "run": trained}).status_code == 201
    assert caller.client.put("/v1/models/iris/aliases/prod", json={"version": 1}).status_code == 200
    batch = caller.client.post("/v1/batch-predictions", json={"model": "iris", "dataset": dataset}).json["id"]
    caller.predict_batches()
    return House(caller, dataset, trained, batch)


READ = [
    "/v1/datasets/{dataset}",
    "/v1/runs/{trained}",
    "/v1/runs/{trained}?wait=0",
    "/v1/runs/{trained}/weights",
    "/v1/runs/{trained}/onnx",
    "/v1/models/iris",
    "/v1/models/iris/versions/2",
    "/v1/models/iris/aliases/prod",
    "/v1/models/iris/weights",
    "/v1/models/iris@prod/onnx",
    "/v1/batch-predictions/{batch}",
    "/v1/batch-predictions/{batch}/result",
    "/openapi.json",
    "/docs/swagger-ui.css",
]


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_answer_as_the_table_says(house: House, path: str, method: str) -> None:
    address = path.format(**house._asdict())
    with house.caller.client.open(address, method=method) as full:
        assert full.status_code == 200
        tag, body = full.headers["ETag"], full.data
    assert "Last-Modified" not in full.headers  # or the conditions by dates would count
    for row in TABLE[:: 4 if path.endswith("onnx") else 1]:  # each time such a file is made anew
        with house.caller.client.open(address, method=method, headers=_sent(row, tag)) as answer:
            assert answer.status_code == (row.read or 200), row
            sent = answer.data
        if row.read == 412:
            assert answer.content_type == "application/problem+json"
        elif row.read == 304:
            assert (sent, answer.headers["ETag"]) == (b"", tag)
            assert answer.headers.get("Cache-Control") == full.headers.get("Cache-Control")
            assert answer.headers.get("Vary") == full.headers.get("Vary")
            assert not {"Content-Type", "Content-Length"} & set(answer.headers.keys())
        else:
            assert (sent, answer.headers["ETag"]) == (body, tag), row


def test_networks_have_tags_as_well(house: House) -> None:
    address = house.new_network()
    tag = house.caller.client.get(address).headers["ETag"]
    for row in TABLE:
        assert house.caller.client.get(address, headers=_sent(row, tag)).status_code == (row.read or 200), row


def test_forms_of_one_result_have_tags_of_their_own(house: House) -> None:
    address = f"/v1/batch-predictions/{house.batch}/result"
    parquet, csv = (
        house.caller.client.get(address, headers={"Accept": media})
        for media in ("application/vnd.apache.parquet", "text/csv")
    )
    assert parquet.headers["ETag"] != csv.headers["ETag"]
    again = house.caller.client.get(address, headers={"Accept": "text/csv", "If-None-Match": csv.headers["ETag"]})
    assert again.status_code == 304
    other = house.caller.client.get(address, headers={"Accept": "text/csv", "If-None-Match": parquet.headers["ETag"]})
    assert (other.status_code, other.data) == (200, csv.data)


CHANGES = {
    "rename a dataset": (House.new_dataset, "PATCH", "", {"name": "other"}),
    "delete a dataset": (House.new_dataset, "DELETE", "", None),
    "rename a run": (House.new_run, "PATCH", "", {"name": "other", "priority": 3}),
    "delete a run": (House.ended_run, "DELETE", "", None),
    "cancel a run": (House.new_run, "POST", "/cancel", None),
    "pause a run": (House.new_run, "POST", "/pause", None),
    "delete a network": (House.new_network, "DELETE", "", None),
    "delete a model": (House.new_model, "DELETE", "", None),
    "move an alias": (House.new_alias, "PUT", "", {"version": 2}),
    "delete an alias": (House.new_alias, "DELETE", "", None),
    "cancel a batch": (House.new_batch, "POST", "/cancel", None),
    "delete a batch": (House.ended_batch, "DELETE", "", None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_answer_as_the_table_says(house: House, change: str) -> None:
    new, method, below, body = CHANGES[change]
    address = None
    for row in TABLE:
        address = address or new(house)
        before = house.caller.client.get(address)
        answer = _change(house, method, address + below, body, _sent(row, before.headers["ETag"]))
        after = house.caller.client.get(address)
        if row.change:
            assert answer.status_code == 412, row
            assert answer.content_type == "application/problem+json"
            assert (after.status_code, after.data) == (200, before.data), row
            continue
        assert answer.status_code in (200, 202, 204), (row, answer.text)
        assert after.data != before.data
        if method in ("PATCH", "PUT"):
            assert answer.headers["ETag"] == after.headers["ETag"] != before.headers["ETag"]
            assert answer.data == after.data
        if new is House.new_run:  # nobody is to train it
            house.caller.client.post(f"{address}/cancel")
        address = None
        if new is House.new_model and after.status_code == 200:
            assert house.caller.client.delete("/v1/models/new").status_code == 204
    if new in (House.new_model, House.new_alias) and address is not None:
        house.caller.client.delete(address)


@pytest.mark.parametrize(("verb", "body"), [("stop", None), ("resume", None), ("extend", {"to_epochs": 2})])
def test_other_verbs_look_at_conditions_too(house: House, verb: str, body: Any) -> None:
    if verb == "resume":
        address = house.new_run()
        assert house.caller.client.post(f"{address}/pause").status_code == 202
    else:
        address = f"/v1/runs/{house.caller.trained(house.dataset, epochs=1)['id']}"
    before = house.caller.client.get(address)
    for headers in ({"If-Match": '"a"'}, {"If-None-Match": "*"}, {"If-None-Match": before.headers["ETag"]}):
        answer = _change(house, "POST", f"{address}/{verb}", body, headers)
        assert answer.status_code == 412, answer.text
        assert house.caller.client.get(address).data == before.data
    done = _change(house, "POST", f"{address}/{verb}", body, {"If-Match": before.headers["ETag"]})
    assert (done.status_code, done.json["status"]) == (202, "succeeded" if verb == "stop" else "queued")
    assert done.headers["ETag"] == house.caller.client.get(address).headers["ETag"]
    house.caller.client.post(f"{address}/cancel")


def test_an_alias_that_is_not_there_yet(house: House) -> None:
    address, none = "/v1/models/iris/aliases/later", {"If-None-Match": "*"}
    put = {"method": "PUT", "path": address, "json": {"version": 1}}
    assert house.caller.client.get(address).status_code == 404
    for headers in ({"If-Match": "*"}, {"If-Match": house.caller.client.get("/v1/models/iris").headers["ETag"]}):
        assert house.caller.client.open(**put, headers=headers).status_code == 412
        assert house.caller.client.get(address).status_code == 404
    assert house.caller.client.open(**put, headers=none).status_code == 200
    assert house.caller.client.open(**{**put, "json": {"version": 2}}, headers=none).status_code == 412
    assert house.caller.get(address)["aliases"]["later"] == 1
    assert house.caller.client.delete(address, headers=none).status_code == 412
    assert house.caller.client.delete(address, headers={"If-Match": "*"}).status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/v1/runs/run_" + "0" * 26, {"name": "x"}, 404),
        ("DELETE", "/v1/datasets/ds_" + "0" * 26, None, 404),
        ("DELETE", "/v1/models/none", None, 404),
        ("DELETE", "/v1/models/iris/aliases/none", None, 404),
        ("PUT", "/v1/models/none/aliases/prod", {"version": 1}, 404),
        ("PUT", "/v1/models/iris/aliases/prod", {"version": 99}, 422),
        ("PUT", "/v1/models/iris/aliases/prod", {"version": "1"}, 422),
        ("PATCH", "/v1/runs/{trained}", {"priority": "high"}, 422),
        ("DELETE", "/v1/runs/{trained}", None, 409),  # a model was made of it
        ("POST", "/v1/runs/{trained}/pause", None, 409),
        ("GET", "/v1/runs/run_" + "0" * 26, None, 404),
    ],
)
def test_what_would_fail_without_conditions_fails_alike(
    house: House, method: str, path: str, body: Any, status: int
) -> None:
    address = path.format(**house._asdict())
    for headers in ({}, {"If-Match": '"a"'}, {"If-Match": "*"}, {"If-None-Match": "*"}):
        assert _change(house, method, address, body, headers).status_code == status, headers


def test_a_long_poll_looks_at_its_condition_at_once(house: House) -> None:
    address = house.new_run()
    assert house.caller.client.get(f"{address}?wait=30", headers={"If-Match": '"a"'}).status_code == 412
    house.caller.client.post(f"{address}/cancel")


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, new_caller: Callable[..., Caller]) -> Caller:
    settings = {}
    if request.param == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgresql_url")
    return new_caller(**settings)


def test_of_many_who_change_the_same_one_is_first(fresh: Caller, iris: str) -> None:
    """Each read the same tag: the transaction that writes looks at it again, so that only one is not refused."""
    dataset = fresh.dataset(iris)
    run = fresh.trained(dataset, epochs=1)["id"]
    fresh.client.post("/v1/models", json={"name": "iris", "run": run, "alias": "prod"})
    fresh.client.post("/v1/models", json={"name": "iris", "run": run})
    for address, method, body in (
        (f"/v1/runs/{run}", "PATCH", lambda number: {"name": f"by {number}"}),
        (f"/v1/datasets/{dataset}", "PATCH", lambda number: {"name": f"by {number}"}),
        ("/v1/models/iris/aliases/prod", "PUT", lambda _: {"version": 2}),
    ):
        tag = fresh.client.get(address).headers["ETag"]

        def change(number: int, address=address, method=method, body=body, tag=tag) -> int:
            client = fresh.app.test_client()
            return client.open(address, method=method, json=body(number), headers={"If-Match": tag}).status_code

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(change, range(8))) == [200] + 7 * [412], address


def _sent(row: Row, tag: str) -> dict[str, str]:
    return {name: value.replace("$", tag.strip('"')) for name, value in row.headers.items()}


def _change(house: House, method: str, address: str, body: Any, headers: dict[str, str]) -> TestResponse:
    sent = {} if body is None else {"json": body}
    return house.caller.client.open(address, method=method, headers=headers, **sent)
