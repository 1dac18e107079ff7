"""A population is resolved wholly: what each member is, which rows it sees, and that all of them fit."""

from collections.abc import Callable
from typing import Any

import pytest

from learning.specs import SCHEDULES, SWEEP_PATHS
from tests.service.callers import Caller

# For each path two values that a run of the irises may have, and what must be said beside them.
SWEPT: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "seed": ([0, 7], {}),
    "network": ([{"layers": []}, {"layers": [{"units": 3, "dropout": 0.5, "normalization": "batch"}]}], {}),
    "batch_size": ([8, "full"], {}),
    "epochs": ([2, 3], {}),
    "loss": (["cross_entropy", "auto"], {}),
    "class_weights": ([None, {"setosa": 2, "virginica": 0.5}], {}),
    "optimizer.name": (["gd", "rmsprop"], {}),
    "optimizer.learning_rate": ([1e-4, 1], {}),
    "optimizer.momentum": ([0.0, 0.9], {"optimizer": {"name": "sgd"}}),
    "optimizer.nesterov": ([False, True], {"optimizer": {"name": "sgd", "momentum": 0.9}}),
    "optimizer.betas": ([[0.9, 0.999], [0.5, 0.9]], {}),
    "optimizer.weight_decay": ([0, 0.1], {}),
    "optimizer.clip_norm": ([None, 1], {}),
    "schedule.name": (list(SCHEDULES), {}),
    "schedule.warmup_epochs": ([0, 3], {}),
    "schedule.every": ([1, 9], {"schedule": {"name": "step"}}),
    "schedule.factor": ([0.1, 0.5], {"schedule": {"name": "exponential"}}),
    "schedule.floor": ([0, 0.1], {"schedule": {"name": "cosine"}}),
    "schedule.rise": ([0.2, 0.5], {"schedule": {"name": "one_cycle"}}),
    "schedule.start": ([0.1, 1], {"schedule": {"name": "one_cycle"}}),
    "schedule.end": ([0, 0.1], {"schedule": {"name": "one_cycle"}}),
    "schedule.patience": ([0, 2], {"schedule": {"name": "plateau"}}),
    "schedule.threshold": ([0, 0.5], {"schedule": {"name": "plateau"}}),
    "early_stopping.patience": ([1, 2], {"early_stopping": {}}),
    "early_stopping.min_delta": ([0, 0.5], {"early_stopping": {}}),
}


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> str:
    return there.dataset(iris)


@pytest.fixture(scope="module")
def parted(there: Caller) -> str:
    """60 rows, two of them without a target; columns that say who is where, and some that do not quite."""
    table = "x,y,part,two,typo,gap,n\n"
    for index in range(60):
        word = ("train", "train", "train", "validation", "test")[index % 5]
        y = "" if index in (7, 8) else index * 1.5
        two = "train" if word == "test" else word
        typo = "valid" if index == 13 else "holdout" if index == 7 else word
        gap = "" if index == 14 else word
        table += f"{index % 9},{y},{word},{two},{typo},{gap},{index % 3}\n"
    return there.dataset(table)


def dry(caller: Caller, dataset: str, target: Any = "species", **spec: Any) -> dict[str, Any]:
    answer = caller.ask(dataset, target, "?dry_run=true", **spec)
    assert answer.status_code == 200, answer.text
    return answer.json


def members(caller: Caller, dataset: str, target: Any = "species", **spec: Any) -> list[dict[str, Any]]:
    run = caller.run(dataset, target, **spec)
    return caller.get(f"/v1/runs/{run['id']}/members?limit=1000")["data"]


def test_every_path_is_swept_here() -> None:
    assert SWEPT.keys() == set(SWEEP_PATHS)


@pytest.mark.parametrize("path", SWEPT)
def test_every_path_may_be_swept_and_be_a_members_own(there: Caller, flowers: str, path: str) -> None:
    values, beside = SWEPT[path]
    found = dry(there, flowers, sweep={path: values}, **beside)
    assert found["members"] == len(values)
    listed = dry(there, flowers, members=[{path: value} for value in values], **beside)
    assert [own[path] for own in listed["spec"]["members"]] == found["spec"]["sweep"][path]


@pytest.mark.parametrize("path", SWEPT)
def test_a_swept_spec_resolves_to_itself(there: Caller, flowers: str, path: str) -> None:
    values, beside = SWEPT[path]
    spec = dry(there, flowers, sweep={path: values}, **beside)["spec"]
    again = {name: value for name, value in spec.items() if name not in ("name", "dataset", "target")}
    assert dry(there, flowers, **again)["spec"] == spec


def test_a_network_is_meant_by_id_or_said_and_its_layers_are_copied(there: Caller, flowers: str) -> None:
    layers = [{"units": 3, "activation": "tanh", "dropout": 0.25, "normalization": "layer"}]
    id = there.client.post("/v1/networks", json={"layers": layers}).json["id"]
    said = {"layers": [{"units": 5}]}
    full = {"layers": [{"units": 5, "activation": "relu", "dropout": 0.0, "normalization": None}]}
    swept = dry(there, flowers, network=id, sweep={"network": [said, id]})["spec"]
    assert (swept["network"], swept["sweep"]) == ({"layers": layers}, {"network": [full, {"layers": layers}]})
    listed = members(there, flowers, members=[{"network": id}, {"network": said, "seed": 3}])
    assert [each["overrides"] for each in listed] == [{"network": {"layers": layers}}, {"network": full, "seed": 3}]


def test_another_schedule_comes_with_its_own_settings(there: Caller, flowers: str) -> None:
    asked = {"schedule": {"name": "step", "every": 3}, "sweep": {"schedule.name": list(SCHEDULES)}}
    for member in members(there, flowers, **asked):
        name = member["overrides"]["schedule.name"]
        own = {} if name == "step" else SCHEDULES[name]
        assert member["overrides"] == {"schedule.name": name, **{f"schedule.{each}": it for each, it in own.items()}}


def test_gd_takes_all_rows_beside_members_that_take_batches(there: Caller, flowers: str) -> None:
    found = members(there, flowers, sweep={"optimizer.name": ["adam", "gd"]})
    assert [each["overrides"] for each in found] == [
        {"optimizer.name": "adam"},
        {"optimizer.name": "gd", "batch_size": "full"},
    ]
    listed = [{"optimizer.name": "gd", "batch_size": "full"}, {}]
    assert dry(there, flowers, members=listed, batch_size=16)["spec"]["members"] == listed


def test_a_swept_loss_of_auto_is_the_tasks(there: Caller, flowers: str) -> None:
    found = dry(there, flowers, "sepal_length", sweep={"loss": ["huber", "auto"]})
    assert found["spec"]["sweep"] == {"loss": ["huber", "squared_error"]}


def test_every_setting_is_a_member_for_each_of_its_folds(there: Caller, flowers: str) -> None:
    asked = {"validation": {"folds": 3}, "sweep": {"seed": [4, 5]}}
    found = members(there, flowers, **asked)
    assert [(each["index"], each["overrides"], each["fold"]) for each in found] == [
        (index, {"seed": seed}, fold) for index, (seed, fold) in enumerate((s, f) for s in (4, 5) for f in (0, 1, 2))
    ]
    assert dry(there, flowers, **asked)["members"] == 6
    alone = members(there, flowers, **{**asked, "validation": {"folds": 3, "fold": 2}})
    assert [(each["overrides"], each["fold"]) for each in alone] == [({"seed": 4}, 2), ({"seed": 5}, 2)]


@pytest.mark.parametrize(
    ("validation", "counts"),
    [
        ({"folds": 4}, (101, 34, 15)),  # 135 rows beside test, in folds of 34, 34, 34 and 33
        ({"folds": 4, "fold": 0}, (101, 34, 15)),
        ({"folds": 4, "fold": 3}, (102, 33, 15)),
        ({"folds": 135, "fold": 7}, (134, 1, 15)),
    ],
)
def test_rows_are_those_of_the_first_fold_or_of_the_one(
    there: Caller, flowers: str, validation: dict[str, int], counts: tuple[int, int, int]
) -> None:
    found = dry(there, flowers, validation=validation, test={"fraction": 0.1})
    train, validated, test = counts
    assert found["rows"] == {"train": train, "validation": validated, "test": test, "dropped": 0}
    assert found["spec"]["validation"] == validation


def test_a_column_says_who_is_where_and_is_no_feature(there: Caller, parted: str) -> None:
    found = dry(there, parted, "y", validation={"column": "part"})
    assert found["rows"] == {"train": 35, "validation": 11, "test": 12, "dropped": 2}
    assert found["spec"]["validation"] == {"column": "part"}
    assert found["spec"]["features"] == ["x", "two", "typo", "gap", "n"]
    without_test = dry(there, parted, "y", validation={"column": "two"}, test={"fraction": 0})
    assert without_test["rows"] == {"train": 47, "validation": 11, "test": 0, "dropped": 2}


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"validation": {"column": "n"}}, "validation.column", "a categorical column of train, validation, test"),
        ({"validation": {"column": "typo"}}, "validation.column", "says 'valid', and may only say train, validation"),
        ({"validation": {"column": "gap"}}, "validation.column", "says nothing in 1 rows"),
        ({"validation": {"column": "part"}, "test": {"fraction": 0.2}}, "test.fraction", "'part' says which"),
        ({"validation": {"column": "part"}, "features": ["x", "part"]}, "features.1", "not the validation column"),
        ({"validation": {"column": "y"}}, "validation.column", "not the target"),
    ],
)
def test_a_column_that_cannot_say_it_is_refused(
    there: Caller, parted: str, change: dict[str, Any], path: str, words: str
) -> None:
    answer = there.ask(parted, "y", **change)
    assert answer.status_code == 422, answer.text
    assert words in answer.json["errors"][path][0]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["train"] * 10, "validation split would be empty"),
        (["validation"] * 9 + ["train"], "at least 2 rows and would have 1"),
    ],
)
def test_a_column_that_leaves_a_split_too_small_is_refused(there: Caller, said: list[str], words: str) -> None:
    table = "x,y,part\n" + "".join(f"{index},{index * 1.5},{word}\n" for index, word in enumerate(said))
    answer = there.ask(there.dataset(table), "y", validation={"column": "part"}, features=["x"])
    assert list(answer.json["errors"]) == ["validation.column"]
    assert words in answer.json["errors"]["validation.column"][0]


def test_a_word_of_a_row_without_a_target_is_not_looked_at(there: Caller) -> None:
    table = "x,y,part\n1,,holdout\n" + "".join(
        f"{n},{n * 1.5},{'train' if n % 3 else 'validation'}\n" for n in range(9)
    )
    assert dry(there, there.dataset(table), "y", validation={"column": "part"})["rows"]["dropped"] == 1


def test_two_members_or_more_may_be_an_ensemble(there: Caller, flowers: str) -> None:
    assert dry(there, flowers, ensemble=True, sweep={"seed": [1, 2]})["spec"]["ensemble"] is True
    assert dry(there, flowers, ensemble=True, members=[{}, {"seed": 2}])["spec"]["ensemble"] is True


def test_labels_may_be_smoothed_where_there_are_labels(there: Caller, flowers: str) -> None:
    assert dry(there, flowers, label_smoothing=0.1)["spec"]["label_smoothing"] == 0.1
    assert dry(there, flowers, "sepal_length", label_smoothing=0)["spec"]["label_smoothing"] == 0.0


def test_the_weights_of_all_members_count_whatever_their_shapes(new_caller: Callable[..., Caller], iris: str) -> None:
    plain, wide = {"layers": []}, {"layers": [{"units": 10}]}
    batch = {"layers": [{"units": 10, "normalization": "batch"}]}
    layer = {"layers": [{"units": 10, "normalization": "layer"}]}
    one = 5 * 10 + 11 * 3  # weights and biases
    for asked, count in [
        ({"network": plain}, 5 * 3),
        ({"sweep": {"network": [plain, wide]}}, 5 * 3 + one),
        ({"members": [{"network": batch}, {"network": layer}]}, one + 4 * 10 + one + 2 * 10),
        ({"network": wide, "validation": {"folds": 3}}, 3 * one),
        ({"network": wide, "validation": {"folds": 3, "fold": 1}}, one),
    ]:
        enough = new_caller(max_parameters=count)
        dry(enough, enough.dataset(iris), **asked)
        short = new_caller(max_parameters=count - 1)
        answer = short.ask(short.dataset(iris), **asked)
        assert f"this needs {count}" in str(answer.json["errors"]), asked


def test_settings_times_folds_are_at_most_4096_members(there: Caller, flowers: str) -> None:
    sweep = {"seed": list(range(64)), "schedule.name": ["step", "cosine"], "batch_size": [8, 16, 32, 64]}
    asked = {"sweep": sweep, "validation": {"folds": 8}, "network": {"layers": [{"units": 4}]}}
    assert dry(there, flowers, **asked)["members"] == 4_096
    refused = there.ask(flowers, **{**asked, "validation": {"folds": 9}})
    assert "9 folds of 512 settings are 4608" in refused.json["errors"]["validation.folds"][0]
