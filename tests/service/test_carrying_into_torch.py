"""examples/carry_into_torch.py: a file of weights, in torch and without learnd, answers as the service does."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from examples.carry_into_torch import Carried
from tests.service.callers import Caller
from tests.service.test_kinds_of_columns import shop
from tests.service.test_multilabel import weather

SCRIPT = Path(__file__).parents[2] / "examples" / "carry_into_torch.py"
NORMALIZED = [
    {"units": 12, "activation": "silu", "dropout": 0.2, "normalization": "batch"},
    {"units": 7, "activation": "leaky_relu", "normalization": "layer"},
]


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


def weights(caller: Caller, run: dict[str, Any], folder: Path, query: str = "") -> Path:
    path = folder / "carried.safetensors"
    path.write_bytes(caller.client.get(f"/v1/runs/{run['id']}/weights{query}").data)
    return path


def both(caller: Caller, run: dict[str, Any], rows: list[dict[str, Any]], folder: Path) -> tuple[list[Any], list[Any]]:
    """What the service predicts of these rows, and what the carried network does."""
    answer = caller.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": rows})
    assert answer.status_code == 200, answer.text
    return answer.json["predictions"], Carried(weights(caller, run, folder)).predict(rows)


@pytest.mark.parametrize("scaling", ["standard", "robust", "none"])
def test_numbers_categories_booleans_times_and_what_is_missing(
    there: Caller, mixed: str, tmp_path: Path, scaling: str
) -> None:
    run = there.trained(there.dataset(mixed), "price", scaling=scaling, network={"layers": NORMALIZED})
    whole = {"size": 120.5, "rooms": 3, "colour": "red", "garden": True, "sold_at": "2026-01-17T10:00:00Z"}
    whole = {name: value for name, value in whole.items() if name in run["features"]}
    assert len(whole) == 5
    rows = [whole, {}, *({**whole, name: None} for name in whole)]
    rows += [
        {**whole, "colour": "mauve"},
        {**whole, "garden": False, "size": -1e9},
        {**whole, "sold_at": "1969-07-20"},
    ]
    theirs, ours = both(there, run, rows, tmp_path)
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert len(set(theirs)) > 5


def test_a_column_of_many_categories_is_looked_up(there: Caller, tmp_path: Path) -> None:
    run = there.trained(there.dataset(shop()), "amount", epochs=3)
    rows = [{"when": "2026-02-03T04:05:06+02:00", "zip": f"z{index:03}"} for index in range(95)] + [{}]
    theirs, ours = both(there, run, rows, tmp_path)
    assert any(name.startswith("0.tables") for name in Carried(tmp_path / "carried.safetensors").network.state_dict())
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_several_labels_at_once(there: Caller, tmp_path: Path) -> None:
    run = there.trained(there.dataset(weather()), ["rain", "snow"], epochs=20)
    rows = [{"damp": damp / 10, "degrees": degrees} for damp in range(10) for degrees in (-5, 15)]
    theirs, ours = both(there, run, rows, tmp_path)
    assert ours == theirs


def test_counts_are_powers_and_a_list_of_one_target_answers_in_lists(there: Caller, tmp_path: Path) -> None:
    table = "x,n\n" + "".join(f"{index / 10},{index * index % 7}\n" for index in range(80))
    asked = {"loss": "poisson", "task": "regression", "epochs": 3}
    run = there.trained(there.dataset(table), ["n"], **asked)
    theirs, ours = both(there, run, [{"x": 0.5}, {"x": 4.0}], tmp_path)
    assert [one for (one,) in ours] == pytest.approx([one for (one,) in theirs], rel=1e-5)


def test_as_a_command_it_answers_each_line_and_imports_nothing_of_learnd(
    there: Caller, iris: str, tmp_path: Path
) -> None:
    run = there.trained(there.dataset(iris), sweep={"seed": [0, 1]}, epochs=30)
    path = weights(there, run, tmp_path, "?member=1")
    names = run["features"]
    rows = [dict(zip(names, map(float, line.split(",")), strict=False)) for line in iris.splitlines()[1::10]]
    answer = there.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": rows, "member": 1}).json
    watched = f"""
import runpy, sys
sys.argv = [{str(SCRIPT)!r}, {str(path)!r}]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not {{"learning", "store", "service", "workers"}} & {{name.split(".")[0] for name in sys.modules}}
"""
    lines = "\n".join(map(json.dumps, rows))
    done = subprocess.run(
        [sys.executable, "-c", watched],
        check=False,
        input=lines,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == answer["predictions"]


def test_it_can_be_trained_further(there: Caller, iris: str, tmp_path: Path) -> None:
    run = there.trained(there.dataset(iris), epochs=1, network={"layers": NORMALIZED})
    carried = Carried(weights(there, run, tmp_path))
    names = run["features"]
    lines = [line.split(",") for line in iris.splitlines()[1:]]
    inputs = carried.encode([dict(zip(names, map(float, line[:4]), strict=True)) for line in lines])
    classes = torch.tensor([carried.target["classes"].index(line[4]) for line in lines])
    optimizer = torch.optim.Adam(carried.network.parameters(), 0.01)
    carried.network.train()
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(carried.network(inputs), classes)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
