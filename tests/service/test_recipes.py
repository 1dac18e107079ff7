"""What is measured together is supplied together, and a recipe's name stands for the same things for ever."""

import hashlib
import json
from typing import Any

import pytest

from benchmarks import default_run
from benchmarks.tables import tables
from service.resolution.recipes import DEFAULT, RECIPES, STANDARD_1, named_by, supplied
from tests.service.callers import Caller

ROWS = (150, 1_000, 1_001, 20_000, 20_001, 1_000_000)
HASHES = {
    "standard-1": "2f819b670405c484c551e5ced661c1f1170c02c26c3e670130893c06b9b8d252",
    "standard-2": "910d28fc46e5ca2f0a42302152f1e2e212839fb1c0462f630b40c618607d0627",
}


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_name_stands_for_never_changes(name: str) -> None:
    said = json.dumps([RECIPES[name](rows) for rows in ROWS], sort_keys=True)
    assert hashlib.sha256(said.encode()).hexdigest() == HASHES[name]


@pytest.mark.parametrize(
    ("asked", "plain"),
    [
        ({}, set()),
        ({"seed": 3, "batch_size": 8, "validation": None, "scaling": "none"}, set()),
        ({"epochs": 10}, {"optimizer", "schedule", "validation", "label_smoothing"}),
        ({"optimizer": {}}, {"schedule", "epochs", "validation", "label_smoothing"}),
        ({"schedule": {"name": "step"}, "epochs": 5}, {"optimizer", "validation", "label_smoothing"}),
        ({"network": {"layers": []}}, {"scaling", "initialization", "validation", "label_smoothing"}),
        ({"network": {"layers": []}, "scaling": "robust"}, {"initialization", "validation", "label_smoothing"}),
        ({"loss": "cross_entropy"}, {"label_smoothing"}),
        ({"sweep": {"seed": [1, 2]}}, set()),
        (
            {"sweep": {"optimizer.learning_rate": [0.1]}},
            {"optimizer", "schedule", "epochs", "validation", "label_smoothing"},
        ),
        (
            {"members": [{"seed": 1}, {"network": "net_1"}]},
            {"network", "scaling", "initialization", "validation", "label_smoothing"},
        ),
    ],
)
def test_who_names_a_part_of_a_set_has_the_rest_from_the_plainest(asked: dict[str, Any], plain: set[str]) -> None:
    found, measured = supplied(DEFAULT, 150, named_by(asked)), supplied(DEFAULT, 150, ())
    for field in found.keys() - asked.keys():
        assert found[field] == (STANDARD_1 if field in plain else measured)[field], field


def test_a_swept_setting_and_the_same_alone_stand_in_the_same_company(caller: Caller, iris: str) -> None:
    id = caller.dataset(iris)
    swept = caller.run(id, sweep={"optimizer.learning_rate": [0.01, 0.003]})["spec"]
    alone = caller.run(id, optimizer={"learning_rate": 0.003})["spec"]
    for field in ("schedule", "epochs", "network", "scaling", "initialization", "batch_size"):
        assert swept[field] == alone[field]
    assert {**swept["optimizer"], "learning_rate": 0.003} == alone["optimizer"]


def test_a_run_of_some_epochs_may_be_extended_for_its_schedule_knows_no_end(caller: Caller, iris: str) -> None:
    assert caller.run(caller.dataset(iris), epochs=3)["spec"]["schedule"] == {"name": "constant", "warmup_epochs": 0}


def test_a_linear_model_is_linear_in_its_columns(caller: Caller, iris: str) -> None:
    assert caller.run(caller.dataset(iris), network={"layers": []})["spec"]["scaling"] == "standard"


def test_the_benchmark_trains_what_the_service_resolves(caller: Caller, iris: str) -> None:
    table = next(table for table in tables() if table.name == "iris")
    ours = default_run.spec(table, 3)
    served = caller.run(caller.dataset(iris), seed=3, split_seed=3, test={"fraction": 0.2})["spec"]
    different = {"target", "features", "dataset"}
    assert {name: served[name] for name in ours if name not in different} == {
        name: value for name, value in ours.items() if name not in different
    }
