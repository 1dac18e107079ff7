"""Populations are trained for real: each member is who it would have been alone, and the run answers as it says."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from learning.specs import INITIALIZATIONS, SCHEDULES
from tests.service.callers import Caller

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 5.6, 2.4], [5.9, 3.0, 4.2, 1.5]]


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> str:
    return there.dataset(iris)


def alone(there: Caller, dataset: str, member: dict[str, Any], target: str = "species", **asked: Any) -> dict[str, Any]:
    """The run that asks for this member's settings and for nothing else."""
    spec: dict[str, Any] = {name: value for name, value in asked.items() if name not in ("sweep", "members")}
    for path, value in member["overrides"].items():
        outer, _, inner = path.partition(".")
        if inner:
            changed = {} if path == "schedule.name" else {**spec.get(outer, {})}
            spec[outer] = {**changed, inner: value}
        else:
            spec[outer] = value
    return there.trained(dataset, target, **spec)


def predicted(there: Caller, run: dict[str, Any], **asked: Any) -> dict[str, Any]:
    answer = there.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": ROWS, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json


@pytest.mark.parametrize(
    ("target", "sweep"),
    [
        (
            "species",
            {
                "network": [
                    {"layers": []},
                    {"layers": [{"units": 9, "activation": "relu", "dropout": 0.2, "normalization": "batch"}]},
                    {"layers": [{"units": 20, "normalization": "layer"}, {"units": 3, "dropout": 0.5}]},
                ],
                "seed": [1, 2],
            },
        ),
        ("species", {"batch_size": [7, 50, "full"], "epochs": [2, 4]}),
        ("species", {"class_weights": [None, "balanced", {"setosa": 3, "virginica": 0.5}]}),
        ("species", {"optimizer.name": ["gd", "sgd", "adam", "adamw", "rmsprop"]}),
        ("sepal_length", {"loss": ["squared_error", "absolute_error", "huber"], "seed": [1, 2]}),
    ],
)
def test_members_of_every_kind_equal_runs_alone(there: Caller, flowers: str, target: str, sweep: dict) -> None:
    run = there.trained(flowers, target, sweep=sweep)
    assert len(run["members"]) == math.prod(len(values) for values in sweep.values())
    for member in run["members"]:
        single = alone(there, flowers, member, target, **({} if "epochs" in sweep else {"epochs": 5}))
        assert single["weights_sha256"] == member["weights_sha256"], member["overrides"]


def test_members_of_every_schedule_equal_runs_alone(there: Caller, flowers: str) -> None:
    run = there.trained(flowers, epochs=8, sweep={"schedule.name": list(SCHEDULES)})
    for member in run["members"]:
        single = there.trained(flowers, epochs=8, schedule={"name": member["overrides"]["schedule.name"]})
        assert single["weights_sha256"] == member["weights_sha256"], member["overrides"]


def test_a_fold_by_itself_has_the_weights_that_it_has_among_all(there: Caller, flowers: str) -> None:
    sweep = {"optimizer.learning_rate": [0.001, 0.01], "seed": [3, 4]}
    run = there.trained(flowers, validation={"folds": 3}, sweep=sweep, test={"fraction": 0.1})
    assert len(run["members"]) == 12
    for member in run["members"][::5]:
        asked = {"validation": {"folds": 3, "fold": member["fold"]}, "test": {"fraction": 0.1}}
        single = alone(there, flowers, member, **asked)
        assert single["weights_sha256"] == member["weights_sha256"]
        assert (single["best"]["member"], single["members"][0]["fold"]) == (0, member["fold"])
        assert single["rows"]["train"] + single["rows"]["validation"] + single["rows"]["test"] == 150


def test_folds_answer_as_the_mean_of_the_best_settings(there: Caller, flowers: str) -> None:
    sweep = {"optimizer.learning_rate": [0.0001, 0.02]}
    run = there.trained(flowers, validation={"folds": 3}, sweep=sweep, test={"fraction": 0.1}, epochs=15)
    best = run["best"]
    assert (best["member"], best["epoch"], best["members"]) == (None, None, [3, 4, 5])
    values = [member["best"]["value"] for member in run["members"][3:]]
    assert best["value"] == pytest.approx(sum(values) / 3)
    told = run["metrics"]
    assert told["validation"]["loss"] == pytest.approx(best["value"])
    assert told["validation_std"].keys() == told["validation"].keys()
    assert told["validation_std"]["loss"] == pytest.approx(
        math.sqrt(sum((value - best["value"]) ** 2 for value in values) / 3)
    )
    assert told["test"]["accuracy"] > 0.6
    each = [predicted(there, run, member=member, probabilities=True)["probabilities"] for member in best["members"]]
    for row, probabilities in enumerate(predicted(there, run, probabilities=True)["probabilities"]):
        for index, probability in enumerate(probabilities):
            assert probability == pytest.approx(sum(answer[row][index] for answer in each) / 3)


@pytest.mark.parametrize("validation", [{"fraction": 0.2}, {"folds": 4, "fold": 2}, None])
def test_an_ensemble_answers_as_the_mean_of_all_its_members(
    there: Caller, flowers: str, validation: dict[str, Any] | None
) -> None:
    asked = {"ensemble": True, "sweep": {"seed": [0, 1, 2]}, "test": {"fraction": 0.2}, "epochs": 20}
    run = there.trained(flowers, validation=validation, **asked)
    assert (run["best"]["member"], run["best"]["members"]) == (None, [0, 1, 2])
    assert "validation_std" not in run["metrics"]
    each = [predicted(there, run, member=member, probabilities=True)["probabilities"] for member in range(3)]
    for row, probabilities in enumerate(predicted(there, run, probabilities=True)["probabilities"]):
        for index, probability in enumerate(probabilities):
            assert probability == pytest.approx(sum(answer[row][index] for answer in each) / 3)
    if validation is not None:
        members = [member["best"]["value"] for member in run["members"]]
        told = run["metrics"]["validation"]["log_loss"]
        assert told < sum(members) / 3  # the mean of probabilities has less loss than the losses' mean: Jensen
        assert run["metrics"]["validation"]["loss"] == pytest.approx(told)


def test_an_ensemble_of_numbers_is_averaged_in_their_units(there: Caller, flowers: str) -> None:
    run = there.trained(
        flowers, "sepal_length", ensemble=True, members=[{}, {"loss": "huber"}], features=["petal_width"]
    )
    body = {"instances": [[0.2], [1.5]]}
    address = f"/v1/runs/{run['id']}/predictions"
    each = [there.client.post(address, json={**body, "member": member}).json["predictions"] for member in (0, 1)]
    mean = there.client.post(address, json=body).json["predictions"]
    assert mean == pytest.approx([(one + other) / 2 for one, other in zip(*each, strict=True)], rel=1e-6)


def test_a_column_says_who_is_trained_validated_and_tested(there: Caller) -> None:
    """The words follow the value of x, so that only a network that saw the right rows has the right losses."""
    table = "x,y,part\n"
    for index in range(90):
        word = ("train", "train", "validation", "test")[index % 4]
        y = {"train": 1.0, "validation": 11.0, "test": 101.0}[word] + index % 7
        table += f"{index % 7},{y},{word}\n"
    run = there.trained(there.dataset(table), "y", validation={"column": "part"}, epochs=30)
    assert run["features"] == ["x"]
    assert run["rows"] == {"train": 46, "validation": 22, "test": 22, "dropped": 0}
    assert run["metrics"]["validation"]["mae"] == pytest.approx(10, abs=2)
    assert run["metrics"]["test"]["mae"] == pytest.approx(100, abs=2)
    there.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": [{"x": 3}]})


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_every_initialization_trains(there: Caller, flowers: str, initialization: str) -> None:
    run = there.trained(flowers, initialization=initialization, epochs=1)
    assert run["spec"]["initialization"] == initialization


def test_scaling_and_smoothing_are_trained_with(there: Caller, flowers: str) -> None:
    plain = there.trained(flowers, epochs=20)
    for change in ({"scaling": "robust"}, {"scaling": "none"}, {"label_smoothing": 0.1}):
        run = there.trained(flowers, epochs=20, **change)
        assert change.items() <= run["spec"].items()
        assert run["weights_sha256"] != plain["weights_sha256"]
        assert run["metrics"]["validation"]["accuracy"] > 0.6


def test_a_poisson_member_stands_beside_one_of_another_loss(there: Caller) -> None:
    table = "x,n\n" + "".join(f"{index % 9 / 9},{round(math.exp(index % 9 / 3))}\n" for index in range(120))
    asked = {"task": "regression", "sweep": {"loss": ["squared_error", "poisson"]}, "epochs": 30}
    run = there.trained(there.dataset(table), "n", **asked)
    by_rmse = []
    for member in (0, 1):
        found = there.get(f"/v1/runs/{run['id']}/metrics?member={member}&split=validation&name=rmse&limit=1000")["data"]
        best = run["members"][member]["best"]["epoch"]
        by_rmse.append(next(row["value"] for row in found if row["epoch"] == best))
    assert run["best"]["member"] == by_rmse.index(min(by_rmse))
