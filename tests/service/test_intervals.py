"""Predictions that say how far off they may be: as often right as was asked, and refused where nobody can know."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.service.callers import Caller

QUICK = {"epochs": 25, "optimizer": {"learning_rate": 0.01}}


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


def rows_of(seed: int, count: int) -> list[dict[str, Any]]:
    """A number and a class that follow from x and z but for a noise."""
    drawn = random.Random(seed)
    found = []
    for _ in range(count):
        x, z = drawn.uniform(-2, 2), drawn.uniform(-1, 1)
        kind = "high" if x + drawn.gauss(0, 0.7) > 0.5 else "low" if z + drawn.gauss(0, 0.5) > 0 else "middle"
        found.append({"x": x, "z": z, "y": 10 * x + drawn.gauss(0, 3), "kind": kind, "up": str(x > z).lower()})
    return found


@pytest.fixture(scope="module")
def table(there: Caller) -> str:
    rows = rows_of(1, 600)
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    return there.dataset("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def fresh() -> list[dict[str, Any]]:
    return rows_of(2, 2_000)


def ask(there: Caller, run: dict[str, Any], rows: list[dict[str, Any]], **options: Any) -> TestResponse:
    instances = [{name: row[name] for name in ("x", "z")} for row in rows]
    return there.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": instances, **options})


def within(there: Caller, run: dict[str, Any], rows: list[dict[str, Any]], level: float, **more: Any) -> dict[str, Any]:
    answer = ask(there, run, rows, interval=level, **more)
    assert answer.status_code == 200, answer.text
    return answer.json


WAYS: dict[str, dict[str, Any]] = {
    "one": {},
    "swept": {"sweep": {"seed": [0, 1]}},
    "folds": {"validation": {"folds": 4}},
    "ensemble": {"sweep": {"seed": [0, 1, 2]}, "ensemble": True},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_nine_in_ten_numbers_lie_in_their_intervals(
    there: Caller, table: str, fresh: list[dict[str, Any]], way: dict[str, Any]
) -> None:
    run = there.trained(table, "y", features=["x", "z"], **QUICK, **way)
    answer = within(there, run, fresh, 0.9)
    assert "sets" not in answer
    inside = [low <= row["y"] <= high for (low, high), row in zip(answer["intervals"], fresh, strict=True)]
    assert 0.84 < sum(inside) / len(inside) < 0.96
    for (low, high), value in zip(answer["intervals"], answer["predictions"], strict=True):
        assert (low + high) / 2 == pytest.approx(value)
    narrow = within(there, run, fresh[:1], 0.5)["intervals"][0]
    assert answer["intervals"][0][0] < narrow[0] < narrow[1] < answer["intervals"][0][1]
    assert "intervals" not in ask(there, run, fresh[:1]).json
    assert "intervals" not in ask(there, run, fresh[:1], interval=None).json


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_nine_in_ten_classes_are_in_their_sets(
    there: Caller, table: str, fresh: list[dict[str, Any]], way: dict[str, Any]
) -> None:
    run = there.trained(table, "kind", features=["x", "z"], **QUICK, **way)
    answer = within(there, run, fresh, 0.9, probabilities=True)
    assert "intervals" not in answer
    inside = [row["kind"] in each for each, row in zip(answer["sets"], fresh, strict=True)]
    assert 0.84 < sum(inside) / len(inside) < 0.96
    assert {len(each) for each in answer["sets"]} >= {1, 2}
    assert all(label in each for label, each in zip(answer["predictions"], answer["sets"], strict=True))


def test_several_numbers_have_an_interval_each(there: Caller, table: str, fresh: list[dict[str, Any]]) -> None:
    run = there.trained(table, ["y", "z"], features=["x"], **QUICK)
    instances = [{"x": row["x"]} for row in fresh]
    answer = there.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": instances, "interval": 0.8}).json
    for place, name in enumerate(("y", "z")):
        pairs = [each[place] for each in answer["intervals"]]
        inside = [low <= row[name] <= high for (low, high), row in zip(pairs, fresh, strict=True)]
        assert 0.7 < sum(inside) / len(inside) < 0.9


def test_an_end_that_too_few_rows_can_know_is_null(there: Caller, table: str, fresh: list[dict[str, Any]]) -> None:
    run = there.trained(table, "y", features=["x", "z"], **QUICK)
    assert within(there, run, fresh[:1], 0.9999)["intervals"] == [[None, None]]


def test_what_nobody_can_know_is_refused(there: Caller, table: str, fresh: list[dict[str, Any]]) -> None:
    bare = there.trained(table, "y", epochs=1, validation=None)
    swept = there.trained(table, "y", epochs=1, sweep={"seed": [0, 1]})
    together = there.trained(table, "y", epochs=1, sweep={"seed": [0, 1]}, ensemble=True)
    best = swept["best"]["member"]
    for run, options in ((bare, {}), (swept, {"member": 1 - best}), (together, {"member": 0})):
        answer = ask(there, run, fresh[:1], interval=0.9, **options)
        assert answer.status_code == 422, answer.text
        assert "validation rows or folds" in answer.json["errors"]["interval"][0]
    assert within(there, swept, fresh[:1], 0.9, member=best) == within(there, swept, fresh[:1], 0.9)
