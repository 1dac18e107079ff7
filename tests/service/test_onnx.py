"""ONNX of every kind of model, in onnxruntime on raw rows and without our code, answers as the service does."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from learning.specs import ACTIVATIONS
from tests.service.callers import Caller
from tests.service.carried import Carried, Row
from tests.service.drawn import POPULATIONS, TASKS, question
from tests.service.test_kinds_of_columns import shop

FLOAT32 = 1e-5  # of a number's size, and of its target's spread: two ways to add float32 differ in the last bits
PROBABILITY = 1e-6


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def houses(there: Caller, mixed: str) -> str:
    return there.dataset(mixed)


def carried(caller: Caller, run: dict[str, Any], query: str = "") -> Carried:
    answer = caller.client.get(f"/v1/runs/{run['id']}/onnx{query}")
    assert answer.status_code == 200, answer.text
    return Carried(answer.data)


def agree(caller: Caller, run: dict[str, Any], rows: list[Row], member: int | None = None) -> list[Any]:
    """That the file and the service say the same of these rows; what they say. Over HTTP, and nothing of us in ours."""
    body: dict[str, Any] = {"instances": rows, "probabilities": run["task"] != "regression"}
    if member is not None:
        body["member"] = member
    answer = caller.client.post(f"/v1/runs/{run['id']}/predictions", json=body)
    assert answer.status_code == 200, answer.text
    theirs = answer.json["predictions"]
    file = carried(caller, run, "" if member is None else f"?member={member}")
    ours = file.answer(rows)
    if run["task"] == "regression":
        spread = np.abs(np.array(theirs) - np.mean(theirs, axis=0)).max(axis=0)
        np.testing.assert_allclose(ours["prediction"], theirs, rtol=FLOAT32, atol=FLOAT32 * np.max(spread))
    else:
        assert ours["prediction"].tolist() == theirs
        assert file.told["learnd.classes"] == answer.json["classes"]
        np.testing.assert_allclose(ours["probabilities"], answer.json["probabilities"], rtol=0, atol=PROBABILITY)
    return list(theirs)


def odd_rows(run: dict[str, Any]) -> list[Row]:
    """Of the mixed table: whole rows, each feature missing, what training never saw, and what lies far out."""
    drawn = random.Random(5)
    rows: list[Row] = []
    for _ in range(40):
        row = {
            "size": round(drawn.uniform(20, 200), 2),
            "rooms": drawn.randint(1, 6),
            "colour": drawn.choice(["red", "green", "blue", "mauve", "RED", None]),
            "garden": drawn.choice([True, False]),
            "sold_at": f"2026-{drawn.randint(1, 12):02}-{drawn.randint(1, 28):02}T{drawn.randint(0, 23):02}:15:00.25Z",
            "quality": drawn.randint(1, 3),
            "price": round(drawn.uniform(60, 700), 2),
        }
        rows.append({name: value for name, value in row.items() if name in run["features"]})
    whole = rows[0]
    rows += [{}, *({**whole, name: None} for name in whole)]
    far = {"size": -3e38, "rooms": 1e30, "sold_at": "1969-07-20T20:17:40Z"}
    rows += [{**whole, name: value} for name, value in far.items() if name in whole]
    return rows


@pytest.mark.parametrize("scaling", ["standard", "robust", "none"])
def test_numbers_categories_booleans_times_and_what_is_missing(there: Caller, houses: str, scaling: str) -> None:
    features = ["size", "rooms", "colour", "garden", "sold_at"]
    run = there.trained(houses, "price", scaling=scaling, features=features)
    rows = odd_rows(run)
    if scaling == "none":  # a number as it is, past what float32 can square, is nothing but noise
        rows = [row for row in rows if abs(row.get("size") or 0) < 1e6 and (row.get("rooms") or 0) < 1e6]
    assert len({round(value, 6) for value in agree(there, run, rows)}) > 30


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_every_activation_and_normalization(
    there: Caller, houses: str, activation: str, normalization: str | None
) -> None:
    layer = {"activation": activation, "normalization": normalization, "dropout": 0.1}
    run = there.trained(houses, "garden", network={"layers": [{"units": 9, **layer}, {"units": 17, **layer}]})
    assert set(agree(there, run, odd_rows(run))) <= {True, False}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_asked_of_whatever_columns(there: Caller, task: str, population: str, seed: int) -> None:
    asked = question(seed, task, population)
    run = there.trained(there.dataset(asked.table.encode()), asked.target, **asked.spec)
    assert run["features"] == asked.spec["features"]
    agree(there, run, asked.rows)
    if population == "ensemble":
        agree(there, run, asked.rows, member=0)


def test_a_column_of_many_categories_is_looked_up(there: Caller) -> None:
    run = there.trained(there.dataset(shop()), "amount", epochs=3)
    rows = [{"when": "2026-02-03T04:05:06+02:00", "zip": f"z{index:03}"} for index in range(95)] + [{}]
    assert len(set(agree(there, run, rows))) > 85
    held = [each.name for each in carried(there, run).model.graph.initializer]
    assert "embeddings.0" in held


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        (["low", "größer", ""], "binary", "tensor(string)"),
        (["true", "false"], "binary", "tensor(bool)"),
        ([7, 11, 13], "multiclass", "tensor(int64)"),
        ([0.5, 2.25, -1], "multiclass", "tensor(double)"),
        ([1e300, 2, -1e19], "multiclass", "tensor(double)"),
    ],
)
def test_a_class_has_the_type_of_its_column(there: Caller, values: list[Any], task: str, kind: str) -> None:
    table = "x,y\n" + "".join(f"{index % 9},{values[index % 9 * len(values) // 9]}\n" for index in range(90))
    run = there.trained(there.dataset(table), "y", task=task, epochs=40, optimizer={"learning_rate": 0.05})
    found = agree(there, run, [{"x": x} for x in range(9)])
    assert set(found) == {value for value in values if value != ""} - {"true", "false"} | {
        value == "true" for value in values if value in ("true", "false")
    }
    assert [each.type for each in carried(there, run).session.get_outputs()] == [kind, "tensor(double)"]


def test_a_feature_that_says_nothing_is_taken_and_not_looked_at(there: Caller) -> None:
    table = "x,same,y\n" + "".join(f"{index % 9},7,{index % 9 * 2}\n" for index in range(60))
    run = there.trained(there.dataset(table), "y", features=["same", "x"], task="regression")
    first, second = agree(there, run, [{"x": 3, "same": 7}, {"x": 3, "same": 9}])
    assert first == second
    assert [each["name"] for each in carried(there, run).inputs] == ["same", "x"]


def test_files_of_equal_models_are_equal_bytes(there: Caller, iris: str) -> None:
    run = there.trained(there.dataset(iris), epochs=1, validation={"folds": 3})
    assert carried(there, run).content == carried(there, run).content
