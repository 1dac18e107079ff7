"""ONNX of every kind of model, in onnxruntime on raw rows and without our code, answers as the service does."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from learning.specs import ACTIVATIONS
from tests.service.callers import Caller
from tests.service.carried import Carried, Row
from tests.service.test_kinds_of_columns import shop
from tests.service.test_learning_features import counts
from tests.service.test_multilabel import weather

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
