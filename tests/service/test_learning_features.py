"""What a run may ask of the engine is there from the API on: accepted, echoed, trained, predicted with."""

import math
import random
from typing import Any

import pytest

from learning.specs import ACTIVATIONS, SCHEDULES
from tests.service.callers import Caller


def predicted(caller: Caller, run: dict[str, Any], count: int = 2) -> list[Any]:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 5.6, 2.4]][:count]
    answer = caller.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": rows})
    assert answer.status_code == 200, answer.text
    return answer.json["predictions"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_the_contract_trains_and_predicts(caller: Caller, iris: str, activation: str) -> None:
    layers = [{"units": 9, "activation": activation}, {"units": 5, "activation": activation}]
    optimizer = {"name": "adam", "learning_rate": 0.02}
    run = caller.trained(caller.dataset(iris), network={"layers": layers}, epochs=15, optimizer=optimizer)
    assert [layer["activation"] for layer in run["spec"]["network"]["layers"]] == [activation] * 2
    assert run["metrics"]["validation"]["accuracy"] > 0.7
    assert predicted(caller, run)[0] == "setosa"


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.001},
        {"name": "gd", "momentum": 0.9, "learning_rate": 0.3},
        {"name": "adam", "weight_decay": 0.01, "clip_norm": 1.0},
        {"name": "adamw", "weight_decay": 0.1, "betas": [0.8, 0.99]},
        {"name": "rmsprop", "momentum": 0.5, "clip_norm": 0.5},
    ],
)
def test_every_optimizer_trains_with_its_own_settings(caller: Caller, iris: str, asked: dict[str, Any]) -> None:
    run = caller.trained(caller.dataset(iris), optimizer={"learning_rate": 0.01, **asked}, epochs=30)
    assert asked.items() <= run["spec"]["optimizer"].items()
    assert run["metrics"]["validation"]["accuracy"] > 0.85


def test_a_sweep_over_an_optimizers_numbers_has_members_equal_to_runs_alone(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    sweep = {"optimizer.momentum": [0.0, 0.9], "optimizer.clip_norm": [None, 0.5], "optimizer.weight_decay": [0.01]}
    population = caller.trained(dataset, optimizer={"name": "sgd"}, sweep=sweep)
    assert len(population["members"]) == 4
    for member in population["members"]:
        own = {path.removeprefix("optimizer."): value for path, value in member["overrides"].items()}
        alone = caller.trained(dataset, optimizer={"name": "sgd", **own})
        assert alone["weights_sha256"] == member["weights_sha256"]


def counts(rows: int = 200) -> str:
    drawn = random.Random(3)
    table = "x,n\n"
    for _ in range(rows):
        x = drawn.uniform(-1, 1)
        table += f"{x:.3f},{round(math.exp(1 + 2 * x) + drawn.uniform(-0.4, 0.4))}\n"
    return table


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_every_loss_of_numbers_trains_and_predicts_in_the_targets_own_units(caller: Caller, loss: str) -> None:
    network = {"layers": [{"units": 64, "activation": "tanh"}] * 2}
    asked = {"loss": loss, "task": "regression", "network": network, "optimizer": {"learning_rate": 0.02}, "epochs": 40}
    run = caller.trained(caller.dataset(counts()), "n", **asked)
    assert run["spec"]["loss"] == loss
    assert run["metrics"]["validation"]["r2"] > 0.9
    answer = caller.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": [[-1.0], [0.9]]})
    low, high = answer.json["predictions"]
    assert low == pytest.approx(math.exp(-1), abs=0.8)
    assert high == pytest.approx(math.exp(2.8), abs=2.5)


@pytest.mark.parametrize("wrong", ["-1", "0.5"])
def test_poisson_is_refused_for_what_is_no_count(caller: Caller, wrong: str) -> None:
    answer = caller.ask(caller.dataset(counts() + f"0.1,{wrong}\n"), "n", task="regression", loss="poisson")
    assert answer.status_code == 422
    assert "counts" in answer.json["errors"]["loss"][0]


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_filled_in_and_trains(caller: Caller, iris: str, name: str) -> None:
    warmup = {} if name == "one_cycle" else {"warmup_epochs": 2}
    asked = {"schedule": {"name": name, **warmup}, "optimizer": {"learning_rate": 0.01}, "epochs": 20}
    run = caller.trained(caller.dataset(iris), **asked)
    assert run["spec"]["schedule"] == {"name": name, "warmup_epochs": 0, **warmup, **SCHEDULES[name]}
    assert run["metrics"]["validation"]["accuracy"] > 0.7


def test_a_run_ends_early_and_tells_nothing_of_the_epochs_it_did_not_train(caller: Caller, iris: str) -> None:
    dataset, stopping = caller.dataset(iris), {"patience": 3, "min_delta": 10.0}
    asked = {"early_stopping": stopping, "sweep": {"early_stopping.patience": [3, 5]}, "epochs": 50}
    run = caller.trained(dataset, **asked)
    assert run["spec"]["early_stopping"] == stopping
    assert run["progress"]["fraction"] == 1.0
    shown = caller.get(f"/v1/runs/{run['id']}/metrics?split=validation&name=loss")["data"]
    epochs = {member: [row["epoch"] for row in shown if row["member"] == member] for member in (0, 1)}
    # The first epoch is an improvement on nothing; none after it is one by 10.
    assert epochs == {0: [1, 2, 3, 4], 1: [1, 2, 3, 4, 5, 6]}
    alone = caller.trained(dataset, early_stopping=stopping, epochs=50)
    assert alone["weights_sha256"] == run["members"][0]["weights_sha256"]
    assert alone["progress"]["epoch"] == 4


def test_a_sweep_over_epochs_and_schedules_has_members_equal_to_runs_alone(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    sweep = {"epochs": [2, 6], "schedule.factor": [0.5, 0.9]}
    population = caller.trained(dataset, schedule={"name": "step", "every": 1}, sweep=sweep)
    assert population["progress"]["epochs"] == 6
    for member in population["members"]:
        own = member["overrides"]
        schedule = {"name": "step", "every": 1, "factor": own["schedule.factor"]}
        alone = caller.trained(dataset, schedule=schedule, epochs=own["epochs"])
        assert alone["weights_sha256"] == member["weights_sha256"]


def weighed(weights: list[float]) -> str:
    return "x,kind,w\n" + "".join(f"{index % 7},{'ab'[index % 3 == 0]},{w}\n" for index, w in enumerate(weights))


def test_rows_are_weighed_by_a_column_that_is_no_feature(caller: Caller) -> None:
    dataset = caller.dataset(weighed([1 + index % 4 for index in range(60)]))
    run = caller.trained(dataset, "kind", sample_weight="w")
    assert run["spec"]["sample_weight"] == "w"
    assert run["features"] == ["x"]
    plain = caller.trained(dataset, "kind", features=["x"])
    assert run["metrics"]["train"]["loss"] != plain["metrics"]["train"]["loss"]
    answer = caller.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": [{"x": 3}]})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("weights", [[1, -1] * 20, [0] * 40, [1, ""] * 20])
def test_a_weight_that_is_null_or_negative_or_always_zero_is_refused(caller: Caller, weights: list[Any]) -> None:
    answer = caller.ask(caller.dataset(weighed(weights)), "kind", sample_weight="w")
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["sample_weight"]


def test_classes_are_weighed_by_name_or_balanced(caller: Caller) -> None:
    dataset = caller.dataset(weighed([1] * 60))
    asked = {"features": ["x"], "validation": None}
    balanced = caller.trained(dataset, "kind", class_weights="balanced", **asked)
    assert balanced["spec"]["class_weights"] == "balanced"
    named = caller.trained(dataset, "kind", class_weights={"a": 60 / (2 * 40), "b": 60 / (2 * 20)}, **asked)
    assert named["spec"]["class_weights"] == {"a": 0.75, "b": 1.5}
    assert named["weights_sha256"] == balanced["weights_sha256"]
    assert named["weights_sha256"] != caller.trained(dataset, "kind", **asked)["weights_sha256"]


def test_a_class_that_is_a_number_is_named_by_its_digits(caller: Caller) -> None:
    dataset = caller.dataset("x,n\n" + "".join(f"{index % 7},{index % 3}\n" for index in range(60)))
    run = caller.trained(dataset, "n", class_weights={"0": 5, "2": 0.5})
    assert run["spec"]["class_weights"] == {"0": 5.0, "2": 0.5}


def test_listed_members_are_in_their_order_and_equal_to_runs_alone(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    listed = [{"seed": 7}, {}, {"optimizer.learning_rate": 0.05, "epochs": 9}, {"schedule.warmup_epochs": 2}]
    run = caller.trained(dataset, members=listed)
    assert run["spec"]["members"] == listed
    assert [member["overrides"] for member in run["members"]] == listed
    alone = [
        {"seed": 7},
        {},
        {"optimizer": {"learning_rate": 0.05}, "epochs": 9},
        {"schedule": {"warmup_epochs": 2}},
    ]
    hashes = [caller.trained(dataset, **own)["weights_sha256"] for own in alone]
    assert [member["weights_sha256"] for member in run["members"]] == hashes
