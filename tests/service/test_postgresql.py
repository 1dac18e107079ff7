"""The same application on PostgreSQL: one whole way through, and the texts that PostgreSQL is stricter about."""

from collections.abc import Callable

from tests.service.callers import Caller


def test_the_whole_way_on_postgresql(new_caller: Callable[..., Caller], postgresql_url: str, iris: str) -> None:
    caller = new_caller(database_url=postgresql_url)
    key = {"Idempotency-Key": "once"}
    dataset = caller.dataset(iris)
    body = {"dataset": dataset, "target": "species", "epochs": 4, "sweep": {"seed": [0, 1]}, "name": "ü"}
    first = caller.client.post("/v1/runs", json=body, headers=key)
    assert caller.client.post("/v1/runs", json=body, headers=key).data == first.data
    caller.train()
    run = caller.get(f"/v1/runs/{first.json['id']}?wait=5")
    assert (run["status"], run["name"]) == ("succeeded", "ü")
    for part in ("metrics", "members?sort=value", "events", "receipt"):
        assert caller.get(f"/v1/runs/{run['id']}/{part}")
    answer = caller.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
    assert answer.status_code == 200
    extended = caller.client.post(
        f"/v1/runs/{run['id']}/extend", json={"to_epochs": 6}, headers={"Idempotency-Key": "on"}
    )
    assert (extended.status_code, extended.json["status"]) == (202, "queued")
    caller.train()
    receipt = caller.get(f"/v1/runs/{run['id']}/receipt")
    replay = caller.client.post("/v1/replays", json=receipt)
    caller.train()
    assert caller.get(replay.headers["Location"])["replay"] == {"of": run["id"], "identical": True}
    assert caller.client.delete(replay.headers["Location"]).status_code == 204
    assert caller.get("/readyz")["database"] == "ok"
    assert 'learnd_runs{status="succeeded"} 1.0' in caller.client.get("/metrics").text
    assert caller.client.delete(f"/v1/runs/{run['id']}").status_code == 204
    assert caller.client.delete(f"/v1/datasets/{dataset}").status_code == 204


def test_no_text_of_a_caller_is_too_much_for_postgresql(
    new_caller: Callable[..., Caller], postgresql_url: str, iris: str
) -> None:
    caller = new_caller(database_url=postgresql_url)
    dataset = caller.dataset(iris)
    run = caller.run(dataset)["id"]
    for address in (
        "/v1/runs?dataset=%00",
        f"/v1/runs/{run}/metrics?split=%00",
        f"/v1/runs/{run}/metrics?name=a%00b",
        f"/v1/runs/{run}/events?after=99999999999999999999",
        f"/v1/runs/{run}/events?after=-1",
        f"/v1/runs/{run}/metrics?after=WyJhIl0",
        f"/v1/runs/{run}/members?after=WzE4NDQ2NzQ0MDczNzA5NTUxNjE2XQ",
        "/v1/runs?after=WyJydW5cdTAwMDAiXQ",
        "/v1/datasets?name=%00",
    ):
        method = "POST" if "name=%00" in address and "datasets" in address else "GET"
        answer = caller.client.open(
            address, method=method, content_type="text/csv", data=iris if method == "POST" else None
        )
        assert answer.status_code == 422, (address, answer.text)
    for body in ({"dataset": "ds_\u0000", "target": "y"}, {"dataset": dataset, "target": "spe\u0000cies"}):
        assert caller.client.post("/v1/runs", json=body).status_code == 422
    assert caller.client.get("/v1/runs/run_%00").status_code == 404
    hostile = 'name,"a\'); DROP TABLE runs; --",y\n' + "x\x01,1,a\ny\u2028,2,b\n" * 10
    found = caller.send(hostile)
    assert found.status_code in (201, 422)
    assert caller.get("/v1/runs")["data"]
