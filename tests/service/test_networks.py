"""Networks are said once and used by id."""

from tests.service.callers import Caller


def test_a_network_is_kept_with_every_field(caller: Caller) -> None:
    body = {"name": "small", "layers": [{"units": 8}, {"units": 4, "activation": "tanh", "normalization": None}]}
    answer = caller.client.post("/v1/networks", json=body)
    assert answer.status_code == 201
    found = answer.json
    assert answer.headers["Location"] == f"/v1/networks/{found['id']}"
    assert (found["object"], found["name"]) == ("network", "small")
    assert found["layers"] == [
        {"units": 8, "activation": "relu", "dropout": 0.0, "normalization": None},
        {"units": 4, "activation": "tanh", "dropout": 0.0, "normalization": None},
    ]
    assert caller.get(f"/v1/networks/{found['id']}") == found
    assert caller.get("/v1/networks")["data"] == [found]
    assert caller.client.delete(f"/v1/networks/{found['id']}").status_code == 204
    caller.get(f"/v1/networks/{found['id']}", 404)


def test_no_layer_is_a_network_too_and_a_name_is_not_needed(caller: Caller) -> None:
    found = caller.client.post("/v1/networks", json={"layers": []}).json
    assert (found["name"], found["layers"]) == (None, [])


def test_a_run_copies_the_layers_of_the_network_it_names(caller: Caller, iris: str) -> None:
    network = caller.client.post("/v1/networks", json={"layers": [{"units": 3, "activation": "tanh"}]}).json
    run = caller.run(caller.dataset(iris), network=network["id"])
    caller.client.delete(f"/v1/networks/{network['id']}")
    assert caller.get(f"/v1/runs/{run['id']}")["spec"]["network"] == {"layers": network["layers"]}
    assert run["spec"]["initialization"] == "xavier"
