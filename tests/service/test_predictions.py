"""Predictions by kept weights: as records or arrays, alone or in company, always prepared as at training."""

import csv
import io
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load
from werkzeug.test import TestResponse

from learning.model import Model
from learning.preprocessing import Preprocessing
from learning.specs import LayerSpec, NetworkSpec
from learning.targets import Target
from learning.weights import member_sha256
from service.serving.instances import columns_of
from tests.service.callers import Caller

FIELDS = ("sepal_length", "sepal_width", "petal_length", "petal_width")


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> dict[str, Any]:
    return there.trained(there.dataset(iris), epochs=30, optimizer={"learning_rate": 0.01}, sweep={"seed": [0, 1]})


@pytest.fixture(scope="module")
def houses(there: Caller, mixed: str) -> dict[str, Any]:
    return there.trained(there.dataset(mixed), "price", epochs=20)


def predict(there: Caller, run: dict[str, Any], instances: list[Any], **options: Any) -> dict[str, Any]:
    answer = there.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": instances, **options})
    assert answer.status_code == 200, answer.text
    return answer.json


def rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table)))


def test_raw_rows_get_the_label_of_a_class(there: Caller, flowers: dict[str, Any], iris: str) -> None:
    instances = [{name: float(row[name]) for name in FIELDS} for row in rows(iris)]
    found = predict(there, flowers, instances, probabilities=True)
    assert found["classes"] == ["setosa", "versicolor", "virginica"]
    right = [label == row["species"] for label, row in zip(found["predictions"], rows(iris), strict=True)]
    assert sum(right) / len(right) > 0.9
    for label, each in zip(found["predictions"], found["probabilities"], strict=True):
        assert sum(each) == pytest.approx(1)
        assert found["classes"][each.index(max(each))] == label
    assert (found["run"], found["member"]) == (flowers["id"], flowers["best"]["member"])


def test_records_and_arrays_are_the_same(there: Caller, flowers: dict[str, Any]) -> None:
    array = [5.1, 3.5, 1.4, 0.2]
    record = dict(zip(reversed(FIELDS), reversed(array), strict=True))
    assert predict(there, flowers, [array], probabilities=True) == predict(there, flowers, [record], probabilities=True)


def test_a_row_alone_has_the_bytes_it_has_in_company(there: Caller, houses: dict[str, Any]) -> None:
    instances = [{"size": 40 + index / 7, "rooms": index % 5, "colour": "red"} for index in range(150)]
    together = predict(there, houses, instances)["predictions"]
    for index in (0, 63, 64, 149):
        assert predict(there, houses, [instances[index]])["predictions"] == [together[index]]


def test_a_regression_answers_in_the_targets_unit(there: Caller, houses: dict[str, Any], mixed: str) -> None:
    known = [row for row in rows(mixed) if row["size"] and row["price"]][:20]
    instances = [
        {"size": float(row["size"]), "rooms": int(row["rooms"]), "colour": row["colour"] or None}
        | {"garden": row["garden"] == "true", "quality": int(row["quality"])}
        for row in known
    ]
    found = predict(there, houses, instances)
    assert "classes" not in found
    errors = [abs(value - float(row["price"])) for value, row in zip(found["predictions"], known, strict=True)]
    assert sum(errors) / len(errors) < 150  # prices go up to 650; without the scale they would be about 0


def test_missing_and_unknown_are_taken_as_at_training(there: Caller, houses: dict[str, Any]) -> None:
    whole = {"size": 80, "rooms": 3, "colour": "red", "garden": True, "quality": 1}
    absent = {name: value for name, value in whole.items() if name != "size"}
    found = predict(there, houses, [absent, {**whole, "size": None}, {**whole, "colour": "never seen"}, whole])
    assert found["predictions"][0] == found["predictions"][1] != found["predictions"][3]
    assert found["predictions"][2] != found["predictions"][3]


def test_each_member_can_be_asked(there: Caller, flowers: dict[str, Any]) -> None:
    instances = [[6.0, 2.9, 4.5, 1.5]]
    each = [predict(there, flowers, instances, probabilities=True, member=member) for member in (0, 1)]
    assert each[0]["probabilities"] != each[1]["probabilities"]
    best = predict(there, flowers, instances, probabilities=True)
    assert best == each[flowers["best"]["member"]]


def test_several_targets_are_an_array_in_their_order(there: Caller, iris: str) -> None:
    run = there.trained(there.dataset(iris), ["petal_width", "petal_length"], epochs=30)
    found = predict(there, run, [{"sepal_length": 6.5, "sepal_width": 3.0, "species": "virginica"}])["predictions"]
    assert len(found[0]) == 2
    assert found[0][1] > found[0][0]  # lengths are greater than widths


def test_numeric_and_boolean_classes_keep_their_json_type(there: Caller, mixed: str) -> None:
    dataset = there.dataset(mixed)
    quality = predict(there, there.trained(dataset, "quality", epochs=1), [{}])
    assert (quality["classes"], quality["predictions"][0] in (1, 2, 3)) == ([1, 2, 3], True)
    garden = predict(there, there.trained(dataset, "garden", epochs=1), [{}], probabilities=True)
    assert garden["classes"] == [False, True]
    assert type(garden["predictions"][0]) is bool
    assert len(garden["probabilities"][0]) == 2


@pytest.mark.parametrize(
    ("instance", "path", "words"),
    [
        ({"colour": 3}, "instances.0.colour", "text, or null"),
        ({"colour": True}, "instances.0.colour", "text, or null"),
        ({"garden": 1}, "instances.0.garden", "true, false or null"),
        ({"garden": "true"}, "instances.0.garden", "true, false or null"),
        ({"rooms": "3"}, "instances.0.rooms", "a number"),
        ({"price": 3}, "instances.0.price", "the features are size, rooms"),
        ({"note": "left out at training"}, "instances.0.note", "unknown feature"),
    ],
)
def test_a_value_of_another_type_is_refused(
    there: Caller, houses: dict[str, Any], instance: dict[str, Any], path: str, words: str
) -> None:
    answer = there.client.post(f"/v1/runs/{houses['id']}/predictions", json={"instances": [instance]})
    assert answer.status_code == 422
    assert words in answer.json["errors"][path][0]


def test_instances_that_are_none_say_what_is_allowed(there: Caller, flowers: dict[str, Any]) -> None:
    for body, words in (({}, "required"), ({"instances": None}, "a list of 1"), ({"instances": []}, "a list of 1")):
        answer = there.client.post(f"/v1/runs/{flowers['id']}/predictions", json=body)
        assert words in answer.json["errors"]["instances"][0]


def test_an_answer_in_another_form_than_json_is_refused_and_not_given_as_json(
    there: Caller, flowers: dict[str, Any]
) -> None:
    def ask(accept: str) -> TestResponse:
        sent = {"json": {"instances": [{}]}, "headers": {"Accept": accept}}
        return there.client.post(f"/v1/runs/{flowers['id']}/predictions", **sent)

    for accept in ("text/html", "application/vnd.apache.parquet", "text/csv;q=0"):
        assert (ask(accept).status_code, "application/json" in ask(accept).json["detail"]) == (406, True)
    for accept in ("*/*", "application/json", "text/csv;q=0.4, application/json;q=0.5"):
        assert ask(accept).content_type == "application/json"


def test_a_member_that_diverged_at_once_has_nothing_to_predict_by(there: Caller, iris: str) -> None:
    steps = {"sweep": {"optimizer.learning_rate": [0.001, 1e30]}, "optimizer": {"name": "sgd"}}
    run = there.trained(there.dataset(iris), "petal_width", **steps)
    assert [each["status"] for each in run["members"]] == ["succeeded", "failed"]
    assert run["members"][1]["weights_sha256"] is None
    body = {"instances": [{}], "member": 1}
    for answer in (
        there.client.post(f"/v1/runs/{run['id']}/predictions", json=body),
        there.client.get(f"/v1/runs/{run['id']}/weights?member=1"),
    ):
        assert (answer.status_code, "member 1" in answer.json["detail"].lower()) == (409, True)
    assert len(predict(there, run, [{}])["predictions"]) == 1


def test_a_regression_has_no_probabilities(there: Caller, houses: dict[str, Any]) -> None:
    body = {"instances": [{}], "probabilities": True}
    answer = there.client.post(f"/v1/runs/{houses['id']}/predictions", json=body)
    assert list(answer.json["errors"]) == ["probabilities"]


def test_escapes_and_doubts_go_to_the_sure_parser(there: Caller, houses: dict[str, Any]) -> None:
    plain = predict(there, houses, [{"colour": "red"}])
    escaped = b'{"instances": [{"colour": "\\u0072ed"}]}'
    answer = there.client.post(f"/v1/runs/{houses['id']}/predictions", data=escaped, content_type="application/json")
    assert answer.json == plain


def test_a_model_is_loaded_once_however_many_ask(there: Caller, iris: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = there.trained(there.dataset(iris), epochs=1)
    models = there.parts.models
    loads = []
    load_one = models._load
    monkeypatch.setattr(models, "_load", lambda *place: loads.append(place) or load_one(*place))
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait()
        answer = there.app.test_client().post(f"/v1/runs/{run['id']}/predictions", json={"instances": [{}]})
        assert answer.status_code == 200

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_weights_can_be_taken_away_checked_and_used(there: Caller, flowers: dict[str, Any]) -> None:
    for member in (None, 0, 1):
        query = "" if member is None else f"?member={member}"
        answer = there.client.get(f"/v1/runs/{flowers['id']}/weights{query}")
        shown = flowers["best"]["member"] if member is None else member
        assert answer.status_code == 200
        tensors = load(answer.data)
        assert sorted(tensors) == sorted(f"layers.{i}.{part}" for i in range(4) for part in ("bias", "weight"))
        assert tensors["layers.0.weight"].shape == (4, 128)
        assert member_sha256(tensors) == flowers["members"][shown]["weights_sha256"]


def test_the_file_of_weights_is_a_whole_model(there: Caller, flowers: dict[str, Any], tmp_path: Any, iris: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(there.client.get(f"/v1/runs/{flowers['id']}/weights").data)
    with safe_open(path, "pt") as file:
        header = orjson.loads(file.metadata()["learnd"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    layers = tuple(LayerSpec(layer["units"], layer["activation"]) for layer in header["network"]["layers"])
    model = Model(
        Preprocessing.from_json(header["preprocessing"]),
        Target.from_json(header["target"]),
        NetworkSpec(layers),
        tensors,
    )
    instances = [[float(row[name]) for name in FIELDS] for row in rows(iris)]
    with torch.no_grad():
        found = model.predict(columns_of(instances, model.inputs))
    assert found.labels() == predict(there, flowers, instances)["predictions"]
    assert [each["index"] for each in header["members"]] == [header["best"]] == [flowers["best"]["member"]]
