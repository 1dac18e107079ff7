"""A run that cannot be is refused before anything is queued: each wrong field at its own path, with what is allowed."""

import json
from typing import Any

import pytest

from tests.service.callers import Caller
from tests.service.refusals import JSON, NO_ID, House

MANY = {"layers": [{"units": 1}] * 65}

# What is put into a good request for a run, the path it is refused at, and words of what is allowed.
RUNS: list[tuple[dict[str, Any], str, str]] = [
    ({"dataset": None}, "dataset", "text of 1 to 200"),
    ({"dataset": 5}, "dataset", "text of 1 to 200"),
    ({"dataset": "iris"}, "dataset", "there is no dataset iris"),
    ({"dataset": f"ds_{NO_ID}"}, "dataset", "there is no dataset"),
    ({"target": None}, "target", "the name of a column"),
    ({"target": 7}, "target", "the name of a column"),
    ({"target": "colour"}, "target", "its columns are sepal_length"),
    ({"target": []}, "target", "a list of 1 to"),
    ({"target": ["sepal_length", 3]}, "target.1", "the name of a column"),
    ({"target": ["sepal_length", "nope"]}, "target.1", "is no column"),
    ({"target": ["sepal_length", "sepal_length"]}, "target.1", "named once"),
    ({"target": ["sepal_length", "species"]}, "target", "all boolean or all numeric"),
    ({"features": []}, "features", "a list of 1 to"),
    ({"features": "sepal_length"}, "features", "a list of 1 to"),
    ({"features": ["sepal_length", "nope"]}, "features.1", "its columns are"),
    ({"features": ["species"]}, "features.0", "not the target"),
    ({"features": ["sepal_length", "sepal_length"]}, "features.1", "named once"),
    ({"task": "clustering"}, "task", "one of auto, regression"),
    ({"task": "regression"}, "task", "multiclass, or auto"),
    ({"task": "binary"}, "task", "3 classes"),
    ({"recipe": "standard-999"}, "recipe", "standard-1"),
    ({"network": 3}, "network", "the id of a network"),
    ({"network": "net_nope"}, "network", "there is no network"),
    ({"network": {}}, "network.layers", "required"),
    ({"network": {"layers": 3}}, "network.layers", "a list of 0 to 64"),
    ({"network": MANY}, "network.layers", "a list of 0 to 64"),
    ({"network": {"layers": [{}]}}, "network.layers.0.units", "required"),
    ({"network": {"layers": [{"units": 0}]}}, "network.layers.0.units", "a whole number from 1 to 16384"),
    ({"network": {"layers": [{"units": 16_385}]}}, "network.layers.0.units", "16384"),
    ({"network": {"layers": [{"units": "32"}]}}, "network.layers.0.units", "a whole number"),
    ({"network": {"layers": [{"units": True}]}}, "network.layers.0.units", "a whole number"),
    ({"network": {"layers": [{"units": 2}, {"units": 1.5}]}}, "network.layers.1.units", "a whole number"),
    ({"network": {"layers": [{"units": 2, "activation": "step"}]}}, "network.layers.0.activation", "relu"),
    ({"network": {"layers": [{"units": 2, "dropout": 1.0}]}}, "network.layers.0.dropout", "below 1"),
    ({"network": {"layers": [{"units": 2, "size": 3}]}}, "network.layers.0.size", "allowed: activation"),
    ({"initialization": "zero"}, "initialization", "xavier"),
    ({"scaling": "minmax"}, "scaling", "standard"),
    ({"label_smoothing": 1.0}, "label_smoothing", "below 1"),
    ({"loss": "hinge"}, "loss", "cross_entropy"),
    ({"loss": "squared_error"}, "loss", "fits multiclass"),
    ({"optimizer": "adam"}, "optimizer", "an object of betas, clip_norm, learning_rate"),
    ({"validation": 0.2}, "validation", "an object of column, fold, folds, fraction"),
    ({"optimizer": None}, "optimizer", "null is not allowed"),
    ({"optimizer": {"name": "lion"}}, "optimizer.name", "adam"),
    ({"optimizer": {"learning_rate": 0}}, "optimizer.learning_rate", "a number above 0"),
    ({"optimizer": {"learning_rate": -1e-3}}, "optimizer.learning_rate", "a number above 0"),
    ({"optimizer": {"learning_rate": "fast"}}, "optimizer.learning_rate", "a number above 0"),
    ({"optimizer": {"learning_rate": 10**400}}, "optimizer.learning_rate", "number"),
    ({"optimizer": {"betas": [0.9]}}, "optimizer.betas", "a list of 2 numbers"),
    ({"optimizer": {"betas": [0.9, 1]}}, "optimizer.betas.1", "below 1"),
    ({"optimizer": {"rate": 1}}, "optimizer.rate", "allowed: betas"),
    ({"optimizer": {"momentum": 0.9}}, "optimizer.momentum", "gd, sgd and rmsprop take a momentum"),
    ({"optimizer": {"momentum": 1.0}}, "optimizer.momentum", "below 1"),
    ({"optimizer": {"name": "rmsprop", "nesterov": True}}, "optimizer.nesterov", "gd and sgd do"),
    ({"optimizer": {"name": "sgd", "nesterov": True}}, "optimizer.nesterov", "a momentum above 0"),
    ({"optimizer": {"weight_decay": -0.1}}, "optimizer.weight_decay", "at least 0"),
    ({"optimizer": {"clip_norm": 0}}, "optimizer.clip_norm", "above 0"),
    ({"sweep": {"optimizer.momentum": [0.0, 0.9]}}, "sweep.optimizer.momentum", "gd, sgd and rmsprop"),
    ({"sweep": {"optimizer.betas": [[0.9, 2]]}}, "sweep.optimizer.betas.0.1", "below 1"),
    ({"optimizer": {"name": "gd"}, "batch_size": 32}, "batch_size", '"full"'),
    ({"schedule": {"name": "warm"}}, "schedule.name", "constant"),
    ({"schedule": {"name": "step", "floor": 0.1}}, "schedule.floor", "step has every and factor"),
    ({"schedule": {"every": 3}}, "schedule.every", "constant has no settings"),
    ({"schedule": {"name": "exponential", "factor": 1.5}}, "schedule.factor", "at most 1"),
    ({"schedule": {"name": "one_cycle", "warmup_epochs": 2}}, "schedule.warmup_epochs", "a rise of its own"),
    ({"schedule": {"name": "cosine", "warmup_epochs": 5}, "epochs": 5}, "schedule.warmup_epochs", "fewer than"),
    ({"schedule": {"name": "plateau"}, "validation": None}, "schedule.name", "no validation"),
    ({"early_stopping": {}, "validation": None}, "early_stopping", "no validation"),
    ({"early_stopping": {}, "validation": {"fraction": 0.0}}, "early_stopping", "no validation"),
    ({"sweep": {"schedule.factor": [0.1]}}, "sweep.schedule.factor", "constant has warmup_epochs"),
    ({"sweep": {"early_stopping.patience": [3]}}, "sweep.early_stopping.patience", "with early_stopping"),
    ({"sweep": {"epochs": [3, 0]}}, "sweep.epochs.1", "a whole number from 1"),
    ({"sweep": {"schedule.warmup_epochs": [3, 9]}, "epochs": 9}, "sweep.schedule.warmup_epochs", "fewer than"),
    ({"epochs": 0}, "epochs", "a whole number from 1 to 100000"),
    ({"epochs": -1}, "epochs", "a whole number from 1 to 100000"),
    ({"epochs": 100_001}, "epochs", "100000"),
    ({"epochs": 1.5}, "epochs", "a whole number"),
    ({"epochs": "10"}, "epochs", "a whole number"),
    ({"epochs": True}, "epochs", "a whole number"),
    ({"epochs": None}, "epochs", "a whole number"),
    ({"batch_size": 0}, "batch_size", "a whole number from 1"),
    ({"batch_size": "all"}, "batch_size", "full"),
    ({"validation": {"fraction": 1}}, "validation.fraction", "below 1"),
    ({"validation": {"fraction": 0.001}}, "validation.fraction", "would be empty"),
    ({"validation": {"fraction": 0.5}, "test": {"fraction": 0.5}}, "validation.fraction", "at least 2 train rows"),
    ({"validation": {"fraction": 0.2, "folds": 5}}, "validation", "one of"),
    ({"validation": {"folds": 5, "fold": 5}}, "validation.fold", "from 0 to 4"),
    ({"validation": {"share": 0.2}}, "validation.share", "allowed"),
    ({"test": None}, "test", "null is not allowed"),
    ({"test": {"fraction": -0.1}}, "test.fraction", "at least 0"),
    ({"early_stopping": {"patience": 0}}, "early_stopping.patience", "from 1"),
    ({"class_weights": {"setosa": -1}}, "class_weights.setosa", "at least 0"),
    ({"class_weights": "heavy"}, "class_weights", "balanced"),
    ({"sample_weight": 3}, "sample_weight", "the name of a column"),
    ({"sweep": []}, "sweep", "an object of paths"),
    ({"sweep": {"seed": []}}, "sweep.seed", "at least one value"),
    ({"sweep": {"seed": 3}}, "sweep.seed", "a list"),
    ({"sweep": {"seed": [0, -1]}}, "sweep.seed.1", "a whole number from 0"),
    ({"sweep": {"optimizer.learning_rate": [0.1, 0]}}, "sweep.optimizer.learning_rate.1", "above 0"),
    ({"sweep": {"dataset": ["x"]}}, "sweep", "allowed: seed, optimizer.*"),
    ({"sweep": {"seed": list(range(9))}}, "sweep", "at most 8 members"),
    ({"sweep": {"seed": [0]}, "members": [{"seed": 1}]}, "members", "absent"),
    ({"members": 3}, "members", "a list of objects"),
    ({"members": [3]}, "members.0", "an object of paths"),
    ({"members": [{}, {"dataset": "x"}]}, "members.1", "allowed: seed, optimizer.*"),
    ({"members": [{"seed": 1}, {"seed": -1}]}, "members.1.seed", "a whole number from 0"),
    ({"members": [{}, {"optimizer.momentum": 0.9}]}, "members.1.optimizer.momentum", "gd, sgd and rmsprop"),
    ({"members": [{}] * 9}, "members", "at most 8 members"),
    ({"ensemble": "yes"}, "ensemble", "true or false"),
    ({"seed": -1}, "seed", "a whole number from 0"),
    ({"seed": 2**63}, "seed", "a whole number from 0"),
    ({"device": "tpu"}, "device", "one of auto, cpu, cuda"),
    ({"precision": "float16"}, "precision", "float32"),
    ({"priority": 1.5}, "priority", "a whole number"),
    ({"max_seconds": 0}, "max_seconds", "from 1"),
    ({"max_seconds": None}, "max_seconds", "a whole number"),
    ({"priority": 101}, "priority", "from -100 to 100"),
    ({"priority": -101}, "priority", "from -100 to 100"),
    ({"not_before": "tomorrow"}, "not_before", "RFC 3339"),
    ({"not_before": "2026-13-01T00:00:00Z"}, "not_before", "RFC 3339"),
    ({"name": ""}, "name", "1 to 200"),
    ({"name": 7}, "name", "1 to 200"),
    ({"name": "x" * 201}, "name", "1 to 200"),
    ({"name": "two\nlines"}, "name", "control characters"),
    ({"metadata": {"a": 1}}, "metadata", "at most 16 texts"),
    ({"metadata": {str(key): "x" for key in range(17)}}, "metadata", "at most 16 texts"),
    ({"learning_rate": 0.1}, "learning_rate", "allowed: batch_size, class_weights, dataset"),
    ({"status": "succeeded"}, "status", "unknown field"),
    ({"tenant_id": "tn_other"}, "tenant_id", "unknown field"),
    ({"attempt": 3}, "attempt", "unknown field"),
    ({"sweep": {"schedule.speed": [1]}}, "sweep", "'schedule.speed' cannot be swept"),
    ({"sweep": {"batch_size": ["half"]}}, "sweep.batch_size.0", '"full"'),
    ({"sweep": {"loss": ["cross_entropy", "huber"]}}, "sweep.loss.1", "fits multiclass"),
    ({"sweep": {"loss": ["hinge"]}}, "sweep.loss.0", "cross_entropy"),
    ({"sweep": {"optimizer.name": ["adam", "lion"]}}, "sweep.optimizer.name.1", "adamw"),
    ({"sweep": {"optimizer.nesterov": [True]}}, "sweep.optimizer.nesterov", "gd and sgd do"),
    ({"sweep": {"optimizer.nesterov": [1]}}, "sweep.optimizer.nesterov.0", "true or false"),
    ({"sweep": {"optimizer.name": ["adam", "gd"]}, "batch_size": 16}, "sweep.optimizer.name", "another than gd"),
    ({"sweep": {"optimizer.name": ["adam", "gd"], "batch_size": [16]}}, "sweep.batch_size", '"full"'),
    ({"optimizer": {"name": "gd"}, "sweep": {"batch_size": ["full", 8]}}, "sweep.batch_size", '"full"'),
    ({"sweep": {"schedule.name": ["warm"]}}, "sweep.schedule.name.0", "one_cycle"),
    ({"sweep": {"schedule.name": ["step", "plateau"]}, "validation": None}, "sweep.schedule.name", "no validation"),
    ({"sweep": {"schedule.name": ["step", "cosine"], "schedule.every": [3]}}, "sweep.schedule.every", "cosine has"),
    (
        {"sweep": {"schedule.name": ["one_cycle"], "schedule.warmup_epochs": [2]}},
        "sweep.schedule.warmup_epochs",
        "a rise of its own",
    ),
    ({"sweep": {"network": [{"layers": []}, "net_nope"]}}, "sweep.network.1", "there is no network net_nope"),
    ({"sweep": {"network": [{"layers": [{"units": 0}]}]}}, "sweep.network.0.layers.0.units", "from 1 to 16384"),
    (
        {"sweep": {"network": [{"layers": []}, {"layers": [{"units": 1, "dropout": 1}]}]}},
        "sweep.network.1.layers.0.dropout",
        "below 1",
    ),
    ({"sweep": {"network": [3]}}, "sweep.network.0", "the id of a network"),
    ({"sweep": {"class_weights": [None, {"setosa": -1}]}}, "sweep.class_weights.1.setosa", "at least 0"),
    ({"sweep": {"class_weights": ["balanced", {"rose": 1}]}}, "sweep.class_weights.1.rose", "a class of the target"),
    ({"members": [{}, {"class_weights": "heavy"}]}, "members.1.class_weights", "balanced"),
    ({"members": [{}, {"class_weights": {"rose": 1}}]}, "members.1.class_weights.rose", "a class of the target"),
    ({"members": [{}, {"loss": "squared_error"}]}, "members.1.loss", "fits multiclass"),
    ({"members": [{"network": f"net_{NO_ID}"}]}, "members.0.network", "there is no network"),
    ({"members": [{"network": {"layers": [{"units": 2}, {}]}}]}, "members.0.network.layers.1.units", "required"),
    ({"members": [{"optimizer.name": "gd", "batch_size": 8}]}, "members.0.batch_size", '"full"'),
    ({"members": [{"optimizer.name": "gd"}], "batch_size": 16}, "members.0.optimizer.name", "another than gd"),
    ({"members": [{"schedule.name": "cosine", "schedule.every": 1}]}, "members.0.schedule.every", "cosine has"),
    ({"ensemble": True}, "ensemble", "two members or more"),
    ({"ensemble": True, "sweep": {"seed": [1]}}, "ensemble", "two members or more"),
    ({"ensemble": True, "sweep": {"seed": [1, 2]}, "validation": {"folds": 2}}, "ensemble", "their mean as it is"),
    ({"target": "sepal_length", "label_smoothing": 0.1}, "label_smoothing", "a regression has no labels"),
    ({"target": "sepal_length", "sweep": {"loss": ["huber", "poisson"]}}, "sweep.loss.1", "counts"),
    (
        {"target": "sepal_length", "members": [{"class_weights": "balanced"}]},
        "members.0.class_weights",
        "no classes",
    ),
    ({"validation": {"folds": 1}}, "validation.folds", "from 2 to 1000"),
    ({"validation": {"fold": 1}}, "validation", "one of"),
    ({"validation": {"folds": 151}}, "validation.folds", "at most 8 members in all"),
    ({"validation": {"folds": 151, "fold": 3}}, "validation.folds", "more than the 150 rows"),
    ({"validation": {"folds": 2}, "test": {"fraction": 0.98}}, "validation.folds", "at least 2 rows"),
    ({"validation": {"folds": 2}, "test": {"fraction": 0.001}}, "test.fraction", "would be empty"),
    ({"test": {"fraction": 0.999}}, "test.fraction", "at least 2 train rows"),
    ({"validation": {"folds": 2}, "test": {"fraction": 0.999}}, "test.fraction", "at least 2 train rows"),
    ({"validation": {"folds": 3}, "sweep": {"seed": [1, 2, 3]}}, "validation.folds", "3 folds of 3 settings are 9"),
    ({"validation": {"column": "part"}}, "validation.column", "is no column"),
    ({"validation": {"column": "species"}}, "validation.column", "not the target"),
    ({"validation": {"column": "sepal_width"}}, "validation.column", "'sepal_width' is numeric"),
    ({"validation": {"column": 3}}, "validation.column", "the name of a column"),
    # Known to the contract, and not made yet: refused where they stand, never ignored.
    ({"device": "cuda"}, "device", "not supported yet"),
    ({"precision": "bfloat16"}, "precision", "not supported yet"),
    ({"class_weights": {"rose": 2}}, "class_weights.rose", "a class of the target: setosa"),
    ({"class_weights": {"setosa": 0, "versicolor": 0, "virginica": 0}}, "class_weights", "above 0"),
    ({"sample_weight": "weight"}, "sample_weight", "is no column"),
    ({"sample_weight": "species"}, "sample_weight", "not the target"),
    ({"sample_weight": "sepal_width", "features": ["sepal_width"]}, "features.0", "not the sample_weight"),
    ({"task": "multilabel"}, "task", "multiclass, or auto"),
]


@pytest.mark.parametrize(("change", "path", "words"), RUNS)
def test_a_wrong_field_of_a_run_is_refused_at_its_path(
    house: House, change: dict[str, Any], path: str, words: str
) -> None:
    # Not flask's own JSON, for that refuses some of what is to be refused here.
    body = json.dumps({"dataset": house.ids["iris"], "target": "species", **change})
    house.refuses((422, path, words), "POST", "/v1/runs", data=body, content_type=JSON)


# Of the table with a column of every type.
MIXED: list[tuple[dict[str, Any], str, str]] = [
    ({"target": "note"}, "target", "'note' is text"),
    ({"target": "sold_at"}, "target", "'sold_at' is datetime"),
    ({"target": "price", "features": ["size", "note"]}, "features.1", "'note' is text"),
    ({"target": "price", "loss": "cross_entropy"}, "loss", "fits regression"),
    ({"target": "price", "class_weights": "balanced"}, "class_weights", "a regression has no classes"),
    ({"target": "price", "sample_weight": "colour"}, "sample_weight", "a numeric column; 'colour' is categorical"),
    ({"target": "price", "sample_weight": "size"}, "sample_weight", "without null"),
    ({"target": "price", "loss": "poisson"}, "loss", "counts"),
    ({"target": "colour", "loss": "huber"}, "loss", "fits multiclass"),
    ({"target": "garden", "task": "regression"}, "task", "binary, or auto"),
    ({"target": ["price", "colour"]}, "target", "all boolean or all numeric"),
]


@pytest.mark.parametrize(("change", "path", "words"), MIXED)
def test_what_does_not_fit_the_columns_is_refused(house: House, change: dict[str, Any], path: str, words: str) -> None:
    body = {"dataset": house.ids["mixed"], **change}
    house.refuses((422, path, words), "POST", "/v1/runs", json=body)


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"target": ["c", "b"], "class_weights": "balanced"}, "class_weights", "sample_weight may weigh"),
        ({"target": ["b"], "class_weights": {"true": 2}}, "class_weights", "null"),
        ({"target": ["b", "c"], "task": "binary"}, "task", "multilabel, or auto: the targets are boolean"),
        ({"target": "b", "task": "multilabel"}, "task", "binary, or auto"),
        ({"target": ["b", "c"], "loss": "squared_error"}, "loss", "binary_cross_entropy"),
    ],
)
def test_what_does_not_fit_several_boolean_targets_is_refused(
    house: House, change: dict[str, Any], path: str, words: str
) -> None:
    house.refuses((422, path, words), "POST", "/v1/runs", json={"dataset": house.ids["boolean"], **change})


def test_a_boolean_target_that_tells_nothing_apart_is_refused_at_its_place(house: House) -> None:
    dataset = house.caller.dataset("a,b,c\n" + "1,true,false\n2,false,false\n3,,true\n4,true,false\n" * 5)
    body = {"dataset": dataset, "target": ["b", "c"]}
    house.refuses((422, "target.1", "at least 2 classes"), "POST", "/v1/runs", json=body)


def test_every_mistake_is_told_at_once(house: House) -> None:
    answer = house.caller.ask(house.ids["iris"], epochs=0, network={"layers": [{"units": 0}]}, seed="x")
    assert set(answer.json["errors"]) == {"epochs", "network.layers.0.units", "seed"}


def test_a_run_without_anything_says_what_is_required(house: House) -> None:
    answer = house.caller.client.post("/v1/runs", json={})
    assert answer.json["errors"] == {"dataset": ["required"], "target": ["required"]}


def test_a_target_of_too_long_names_is_refused(caller: Caller) -> None:
    def lines(classes: int, letters: int) -> str:
        return "x,y\n" + "".join(f"{row},{row % classes}{'é' * letters}\n" for row in range(2 * classes))

    refused = caller.ask(caller.dataset(lines(300, 2_000)), "y")
    assert refused.status_code == 422
    assert "at most 1048576 bytes together; these take 1200790" in refused.json["errors"]["target"][0]
    assert caller.ask(caller.dataset(lines(300, 1_700)), "y").status_code == 202
