"""The Open Inference Protocol v2: tensors in JSON and in binary, with the answers of the predictions route."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from jsonschema import Draft202012Validator

from service.problems import MEDIA_TYPE
from service.serving import tensors
from store import keys, tenants
from tests.service.callers import Caller

HEADER = "Inference-Header-Content-Length"
FIELDS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 4.7, 1.5], [6.3, 3.3, 6.0, 2.5]]


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller], iris: str, mixed: str) -> Caller:
    caller = new_caller()
    table = caller.dataset(mixed)
    labels = caller.dataset("a,b,wet,cold\n" + "1,2,true,false\n2,3,false,true\n4,1,true,true\n" * 10)
    named = {
        "iris": (caller.dataset(iris), "species"),
        "price": (table, "price"),
        "quality": (table, "quality"),
        "garden": (table, "garden"),
        "labels": (labels, ["wet", "cold"]),
        "numbers": (labels, ["a", "b"]),
    }
    for name, (dataset, target) in named.items():
        run = caller.trained(dataset, target, epochs=3)
        answer = caller.client.post("/v1/models", json={"name": name, "run": run["id"], "alias": "prod"})
        assert answer.status_code == 201, answer.text
    return caller


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def in_binary(inputs: list[dict[str, Any]], **others: Any) -> tuple[bytes, dict[str, str]]:
    """The same request with every tensor in binary."""
    told, pieces = [], []
    for each in inputs:
        data = each["data"]
        if each["datatype"] == "BYTES":
            data = [("" if text is None else text).encode() for text in data]
            pieces.append(b"".join(struct.pack("<I", len(text)) + text for text in data))
        elif each["datatype"] == "BOOL":
            pieces.append(bytes(data))
        else:
            numbers = [np.nan if value is None else value for value in data]
            pieces.append(np.array(numbers, dtype=tensors.DTYPES[each["datatype"]]).tobytes())
        told.append({**each, "parameters": {"binary_data_size": len(pieces[-1])}})
        del told[-1]["data"]
    head = orjson.dumps({"inputs": told, **others})
    return b"".join([head, *pieces]), {HEADER: str(len(head))}


def infer(there: Caller, model: str, inputs: list[dict[str, Any]], **others: Any) -> dict[str, Any]:
    answer = there.client.post(f"/v2/models/{model}/infer", json={"inputs": inputs, **others})
    assert answer.status_code == 200, answer.text
    return answer.json


def outputs(answer: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["data"] for each in answer["outputs"]}


def expected(there: Caller, model: str, instances: list[Any]) -> dict[str, Any]:
    """The outputs, flat, as the predictions route says them."""
    classes = model not in ("price", "numbers")
    body = {"instances": instances, "probabilities": classes}
    answer = there.client.post(f"/v1/models/{model}/predictions", json=body)
    assert answer.status_code == 200, answer.text
    found = {"predictions": answer.json["predictions"]}
    if classes:
        found["probabilities"] = answer.json["probabilities"]
    return {
        name: [each for row in rows for each in row] if isinstance(rows[0], list) else rows
        for name, rows in found.items()
    }


GIVEN = [  # each model takes those that are its features
    tensor("size", "FP64", [80.5, None, 42.0]),
    tensor("rooms", "INT32", [3, 1, 6], [3, 1]),
    tensor("colour", "BYTES", ["red", None, "never seen"]),
    tensor("sold_at", "BYTES", ["2026-01-03T10:00:00Z", "2026-01-20", None]),
    *(tensor(name, "FP64", column) for name, column in zip(FIELDS, map(list, zip(*ROWS, strict=True)), strict=True)),
    *(tensor("a", "FP32", [1.0, 2.5, 3.0]), tensor("b", "FP64", [1.0, 2.0, None])),
    *(tensor("wet", "BOOL", [True, False, True]), tensor("cold", "BOOL", [True, True, False])),
]


def test_a_server_and_its_models_tell_what_they_are(there: Caller) -> None:
    server = there.get("/v2")
    assert (server["name"], server["extensions"]) == ("learnd", ["binary_tensor_data"])
    assert there.get("/v2/health/live") == {"live": True}
    assert there.get("/v2/health/ready") == {"ready": True}
    for address in ("iris", "iris@prod", "iris:1", "iris/versions/1"):
        found = there.get(f"/v2/models/{address}")
        assert (found["name"], found["versions"], bool(found["platform"])) == ("iris", ["1"], True)
        assert found["inputs"] == [{"name": name, "datatype": "FP64", "shape": [-1]} for name in FIELDS]
        assert found["outputs"] == [
            {"name": "predictions", "datatype": "BYTES", "shape": [-1]},
            {
                "name": "probabilities",
                "datatype": "FP64",
                "shape": [-1, 3],
                "classes": ["setosa", "versicolor", "virginica"],
            },
        ]
        assert there.get(f"/v2/models/{address}/ready") == {"name": "iris", "ready": True}
    kinds = {each["name"]: each["datatype"] for each in there.get("/v2/models/price")["inputs"]}
    assert (kinds["size"], kinds["garden"], kinds["colour"], kinds["sold_at"]) == ("FP64", "BOOL", "BYTES", "BYTES")


@pytest.mark.parametrize(
    ("model", "datatype", "shape"),
    [
        ("price", "FP64", [3]),
        ("iris", "BYTES", [3]),
        ("quality", "INT64", [3]),
        ("garden", "BOOL", [3]),
        ("labels", "BOOL", [3, 2]),
        ("numbers", "FP64", [3, 2]),
    ],
)
def test_every_task_has_the_answers_of_the_predictions_route(
    there: Caller, model: str, datatype: str, shape: list[int]
) -> None:
    names = {each["name"] for each in there.get(f"/v2/models/{model}")["inputs"]}
    inputs = [each for each in GIVEN if each["name"] in names]
    records = [{each["name"]: each["data"][row] for each in inputs} for row in range(3)]
    answer = infer(there, model, inputs)
    assert outputs(answer) == expected(there, model, records)
    assert (answer["model_name"], answer["model_version"], "id" in answer) == (model, "1", False)
    first = answer["outputs"][0]
    assert (first["name"], first["datatype"], first["shape"]) == ("predictions", datatype, shape)
    metadata = {each["name"]: each for each in there.get(f"/v2/models/{model}")["outputs"]}
    for each in answer["outputs"]:
        assert each["datatype"] == metadata[each["name"]]["datatype"]
        assert each["shape"][1:] == metadata[each["name"]]["shape"][1:]

    body, headers = in_binary(inputs, parameters={"binary_data_output": True})
    raw = there.client.post(f"/v2/models/{model}/infer", data=body, headers=headers)
    assert (raw.status_code, raw.content_type) == (200, "application/octet-stream")
    assert unpacked(raw) == outputs(answer)


def unpacked(answer: Any) -> dict[str, Any]:
    """The outputs of a binary answer, by hand."""
    length = int(answer.headers[HEADER])
    head, place = orjson.loads(answer.data[:length]), length
    found = {}
    for each in head["outputs"]:
        end = place + each["parameters"]["binary_data_size"]
        piece, place = answer.data[place:end], end
        if each["datatype"] == "BYTES":
            values = []
            while piece:
                (size,) = struct.unpack_from("<I", piece)
                values.append(piece[4 : 4 + size].decode())
                piece = piece[4 + size :]
        else:
            dtype = {"BOOL": "?"}.get(each["datatype"]) or tensors.DTYPES[each["datatype"]]
            values = np.frombuffer(piece, dtype).tolist()
        assert len(values) == np.prod(each["shape"])
        found[each["name"]] = values
    assert place == len(answer.data)
    return found


def test_one_matrix_is_enough_where_all_features_are_numbers(there: Caller) -> None:
    flat = [value for row in ROWS for value in row]
    for data in (flat, ROWS):
        assert outputs(infer(there, "iris", [tensor("input-0", "FP64", data, [3, 4])])) == expected(there, "iris", ROWS)
    body, headers = in_binary([tensor("x", "FP64", flat, [3, 4])])
    answer = there.client.post("/v2/models/iris:1/infer", data=body, headers=headers)
    assert outputs(answer.json) == expected(there, "iris", ROWS)


@pytest.mark.parametrize("datatype", [*tensors.DTYPES])
def test_numbers_may_have_any_datatype(there: Caller, datatype: str) -> None:
    columns = [[5, 6, 7], [3, 4, 2], [1, 5, 6], [0, 1, 2]]
    inputs = [tensor(name, datatype, column) for name, column in zip(FIELDS, columns, strict=True)]
    found = expected(there, "iris", [list(row) for row in zip(*columns, strict=True)])
    assert outputs(infer(there, "iris", inputs)) == found
    body, headers = in_binary(inputs)
    assert outputs(there.client.post("/v2/models/iris/infer", data=body, headers=headers).json) == found


def test_what_is_wanted_can_be_said_and_the_id_comes_back(there: Caller) -> None:
    inputs = [tensor("x", "FP32", ROWS, [3, 4])]
    answer = infer(there, "iris", inputs, id="42", outputs=[{"name": "probabilities"}], parameters={"priority": 1})
    assert (answer["id"], [each["name"] for each in answer["outputs"]]) == ("42", ["probabilities"])
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "predictions"}]
    raw = there.client.post("/v2/models/iris/infer", json={"inputs": inputs, "outputs": wanted})
    head = orjson.loads(raw.data[: int(raw.headers[HEADER])])
    assert [list(each) for each in head["outputs"]] == [
        ["name", "datatype", "shape", "parameters"],
        ["name", "datatype", "shape", "data"],
    ]
    values = np.frombuffer(raw.data[int(raw.headers[HEADER]) :], "<f8").tolist()
    assert values == answer["outputs"][0]["data"]
    kept = {"binary_data_output": True}
    raw = there.client.post(
        "/v2/models/iris/infer",
        json={
            "inputs": inputs,
            "parameters": kept,
            "outputs": [{"name": "predictions", "parameters": {"binary_data": False}}],
        },
    )
    assert HEADER not in raw.headers


def test_errors_are_problems_with_the_member_that_such_clients_read(there: Caller) -> None:
    for address, status in (
        ("/v2/models/nothing", 404),
        ("/v2/models/iris:9/ready", 404),
        ("/v2/models/iris/versions/9", 404),
        ("/v2/nothing", 404),
        ("/v2?x=1", 422),
    ):
        answer = there.client.get(address)
        assert (answer.status_code, answer.content_type) == (status, MEDIA_TYPE)
        assert answer.json["error"] == answer.json["detail"]
    assert "error" not in there.client.get("/v1/models/nothing").json


def test_answers_are_what_the_document_says(there: Caller) -> None:
    document = there.get("/openapi.json")

    def fits(path: str, method: str, answer: Any) -> None:
        schema = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer)

    fits("/v2", "get", there.get("/v2"))
    fits("/v2/health/live", "get", there.get("/v2/health/live"))
    fits("/v2/health/ready", "get", there.get("/v2/health/ready"))
    fits("/v2/models/{ref}", "get", there.get("/v2/models/iris"))
    fits("/v2/models/{name}/versions/{version}/ready", "get", there.get("/v2/models/iris/versions/1/ready"))
    fits("/v2/models/{ref}/infer", "post", infer(there, "price", GIVEN[:4], id="x"))


def test_a_key_for_predictions_is_enough_and_health_needs_none(new_caller: Callable[..., Caller], iris: str) -> None:
    caller = new_caller()
    run = caller.trained(caller.dataset(iris), epochs=1)
    caller.client.post("/v1/models", json={"name": "iris", "run": run["id"]})
    with caller.parts.database.write() as tx:
        secrets = {scope: keys.create(tx, tenants.LOCAL, [scope]) for scope in ("read", "predict", "write")}
    addresses = {
        "/v2/models/iris/infer": {"inputs": [tensor("x", "FP64", ROWS, [3, 4])]},
        "/v2/models/iris/versions/1/infer": {"inputs": [tensor("x", "FP64", ROWS, [3, 4])]},
        "/v1/models/iris/invocations": {"instances": ROWS},
    }
    for address, body in addresses.items():
        assert caller.client.post(address, json=body).status_code == 401
        for scope, status in (("predict", 200), ("read", 403), ("write", 403)):
            headers = {"Authorization": f"Bearer {secrets[scope]}"}
            assert caller.client.post(address, json=body, headers=headers).status_code == status
    assert caller.client.get("/v2/models/iris").status_code == 401
    for address in ("/v2/health/live", "/v2/health/ready"):
        assert caller.client.get(address).status_code == 200
