"""A spec is resolved wholly: every default filled in, every `auto` but the device decided, by the contract's rules."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.resolution.recipes import DEFAULT, supplied
from tests.service.callers import Caller

# Every field of the contract's `POST /v1/runs`.
FIELDS = [
    "dataset",
    "target",
    "features",
    "task",
    "recipe",
    "network",
    "initialization",
    "scaling",
    "label_smoothing",
    "loss",
    "optimizer",
    "schedule",
    "epochs",
    "batch_size",
    "validation",
    "test",
    "early_stopping",
    "class_weights",
    "sample_weight",
    "sweep",
    "members",
    "ensemble",
    "seed",
    "split_seed",
    "device",
    "precision",
    "priority",
    "not_before",
    "name",
    "metadata",
]


def dry(caller: Caller, dataset: str, target: Any, **spec: Any) -> dict[str, Any]:
    answer = caller.ask(dataset, target, "?dry_run=true", **spec)
    assert answer.status_code == 200, answer.text
    return answer.json


def column(values: list[Any]) -> str:
    return "x,y\n" + "".join(f"{index},{value}\n" for index, value in enumerate(values))


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


def test_nothing_but_dataset_and_target_resolves_every_field(there: Caller, iris: str) -> None:
    id = there.dataset(iris)
    spec = there.run(id)["spec"]
    assert list(spec) == FIELDS
    recipe = supplied(DEFAULT, 150, ())
    assert {name: spec[name] for name in recipe} == recipe
    assert (spec["dataset"], spec["target"]) == (id, "species")
    assert spec["features"] == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert (spec["task"], spec["loss"], spec["initialization"]) == ("multiclass", "cross_entropy", "lecun")
    assert (spec["seed"], spec["split_seed"], spec["device"], spec["test"]) == (0, 0, "auto", {"fraction": 0.0})


def test_a_resolved_spec_resolves_to_itself(there: Caller, iris: str) -> None:
    spec = there.run(there.dataset(iris), epochs=7, sweep={"seed": [3, 1]}, test={"fraction": 0.1})["spec"]
    again = there.client.post("/v1/runs", json=spec)
    assert again.json["spec"] == spec, again.text


def test_an_object_that_is_sent_takes_the_values_shown_for_what_is_absent(there: Caller, iris: str) -> None:
    spec = dry(there, there.dataset(iris), "species", optimizer={"name": "sgd"}, schedule={}, validation={}, test={})[
        "spec"
    ]
    assert spec["optimizer"] == {
        "name": "sgd",
        "learning_rate": 1e-3,
        "momentum": 0.0,
        "nesterov": False,
        "betas": [0.9, 0.999],
        "weight_decay": 0.0,
        "clip_norm": None,
    }
    assert spec["schedule"] == {"name": "constant", "warmup_epochs": 0}
    assert (spec["validation"], spec["test"]) == ({"fraction": 0.2}, {"fraction": 0.0})


def test_numbers_keep_their_json_type(there: Caller, iris: str) -> None:
    spec = dry(there, there.dataset(iris), "species", epochs=3.0, optimizer={"learning_rate": 1})["spec"]
    assert (spec["epochs"], type(spec["epochs"])) == (3, int)
    assert type(spec["optimizer"]["learning_rate"]) is float


@pytest.mark.parametrize(
    ("values", "task", "loss", "warned"),
    [
        (["a", "b"] * 20, "binary", "binary_cross_entropy", False),
        (["a", "b", "c"] * 20, "multiclass", "cross_entropy", False),
        (["true", "false"] * 20, "binary", "binary_cross_entropy", False),
        ([0, 1] * 20, "binary", "binary_cross_entropy", True),
        ([1, 2, 3] * 20, "multiclass", "cross_entropy", True),
        (list(range(20)) * 10, "multiclass", "cross_entropy", True),  # at most 20 values, a tenth of the rows
        (list(range(20)) * 9, "regression", "squared_error", False),  # more than a tenth
        (list(range(21)) * 20, "regression", "squared_error", False),  # more than 20
        ([0.5, 1.5] * 40, "regression", "squared_error", False),  # not whole
        ([index * 1.1 for index in range(40)], "regression", "squared_error", False),
    ],
)
def test_auto_takes_the_task_from_the_target(
    there: Caller, values: list[Any], task: str, loss: str, warned: bool
) -> None:
    found = dry(there, there.dataset(column(values)), "y")
    assert (found["task"], found["spec"]["task"], found["spec"]["loss"]) == (task, task, loss)
    assert ("numeric_classes" in {each["code"] for each in found["warnings"]}) is warned


@pytest.mark.parametrize(
    ("values", "asked", "task"),
    [
        ([1, 2, 3] * 20, "regression", "regression"),
        ([1, 2, 3] * 20, "multiclass", "multiclass"),
        ([0, 1] * 20, "binary", "binary"),
        (["a", "b"] * 20, "multiclass", "multiclass"),
        ([0.5, 1.5] * 40, "binary", "binary"),
    ],
)
def test_a_task_that_is_asked_for_is_taken_where_it_fits(
    there: Caller, values: list[Any], asked: str, task: str
) -> None:
    found = dry(there, there.dataset(column(values)), "y", task=asked)
    assert (found["task"], found["warnings"]) == (task, [])


def test_fewer_than_two_classes_is_no_task(there: Caller) -> None:
    for values in (["a"] * 20, ["a", ""] * 20, [5] * 40):
        answer = there.ask(there.dataset(column(values)), "y")
        assert answer.status_code == 422
        assert "at least 2 classes" in answer.json["errors"]["target"][0]


def test_several_numeric_targets_are_a_regression(there: Caller, iris: str) -> None:
    found = dry(there, there.dataset(iris), ["petal_width", "petal_length"])
    assert (found["task"], found["spec"]["target"]) == ("regression", ["petal_width", "petal_length"])
    assert found["spec"]["features"] == ["sepal_length", "sepal_width", "species"]


def test_usable_columns_are_the_features_and_the_others_are_named(there: Caller, mixed: str) -> None:
    found = dry(there, there.dataset(mixed), "price")
    assert found["spec"]["features"] == ["size", "rooms", "colour", "garden", "sold_at", "quality"]
    left_out = [each["column"] for each in found["warnings"] if each["code"] == "feature_left_out"]
    assert left_out == ["note"]


def test_features_keep_the_order_in_which_they_are_asked_for(there: Caller, mixed: str) -> None:
    asked = ["garden", "size", "colour"]
    assert dry(there, there.dataset(mixed), "price", features=asked)["spec"]["features"] == asked


def test_a_table_with_nothing_but_the_target_has_no_features(there: Caller) -> None:
    answer = there.ask(there.dataset("y\n" + "a\nb\n" * 10), "y")
    assert "beside the target" in answer.json["errors"]["features"][0]


def test_features_that_are_the_same_in_every_row_tell_nothing(there: Caller) -> None:
    same = there.dataset("a,b,y\n" + "1,,p\n1,,q\n" * 10)
    refused = there.ask(same, "y")
    assert (refused.status_code, list(refused.json["errors"])) == (422, ["features"])
    sometimes_missing = there.dataset("a,y\n" + "1,p\n,q\n" * 10)
    assert there.ask(sometimes_missing, "y").status_code == 202


def test_rows_without_a_target_are_dropped_with_a_warning(there: Caller, mixed: str) -> None:
    found = dry(there, there.dataset(mixed), "price", validation={"fraction": 0.25}, test={"fraction": 0.1})
    assert found["rows"] == {"train": 118 - 30 - 12, "validation": 30, "test": 12, "dropped": 2}
    assert [each["message"] for each in found["warnings"] if each["code"] == "missing_target"] == [
        "Rows without a target are dropped: 2."
    ]


@pytest.mark.parametrize(
    ("rows", "validation", "test", "counts"),
    [
        (10, 0.25, 0.25, (4, 3, 3)),  # 2.5 rounds up, of all rows each
        (5, 0.1, 0.0, (4, 1, 0)),
        (5, 0.0, 0.0, (5, 0, 0)),
        (2, 0.0, 0.0, (2, 0, 0)),
        (3, 0.2, 0.0, (2, 1, 0)),
    ],
)
def test_counts_round_half_up(
    there: Caller, rows: int, validation: float, test: float, counts: tuple[int, int, int]
) -> None:
    id = there.dataset(column([index * 1.5 for index in range(rows)]))
    asked = {"validation": {"fraction": validation}, "test": {"fraction": test}}
    found = dry(there, id, "y", **asked)["rows"]
    assert (found["train"], found["validation"], found["test"]) == counts
    run = there.run(id, "y", epochs=1, **asked)
    there.train()
    assert there.get(f"/v1/runs/{run['id']}")["rows"] == found


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"validation": {"fraction": 0.1}}, "validation.fraction"),
        ({"validation": None, "test": {"fraction": 0.1}}, "test.fraction"),
        ({"validation": {"fraction": 0.5}, "test": {"fraction": 0.3}}, "validation.fraction"),
    ],
)
def test_an_empty_split_or_under_two_train_rows_is_refused(there: Caller, spec: dict[str, Any], path: str) -> None:
    answer = there.ask(there.dataset(column([1.5, 2.5, 3.5, 4.5])), "y", **spec)
    assert (answer.status_code, list(answer.json["errors"])) == (422, [path])


def test_gd_takes_all_rows_in_a_step(there: Caller, iris: str) -> None:
    id = there.dataset(iris)
    for batch in ({}, {"batch_size": "full"}):
        assert dry(there, id, "species", optimizer={"name": "gd"}, **batch)["spec"]["batch_size"] == "full"


@pytest.mark.parametrize(("asked", "found"), [("auto", "xavier"), ("he", "he"), ("xavier", "xavier")])
def test_auto_is_one_initialization_and_another_can_be_had(there: Caller, iris: str, asked: str, found: str) -> None:
    assert dry(there, there.dataset(iris), "species", initialization=asked)["spec"]["initialization"] == found


def test_a_sweep_is_a_product_in_the_order_of_paths_the_last_fastest(there: Caller, iris: str) -> None:
    run = there.run(there.dataset(iris), sweep={"seed": [7, 8], "optimizer.learning_rate": [0.1, 1]})
    assert [member["overrides"] for member in run["members"]] == [
        {"optimizer.learning_rate": 0.1, "seed": 7},
        {"optimizer.learning_rate": 0.1, "seed": 8},
        {"optimizer.learning_rate": 1.0, "seed": 7},
        {"optimizer.learning_rate": 1.0, "seed": 8},
    ]


def test_a_dry_run_estimates_and_leaves_nothing(there: Caller, iris: str) -> None:
    id = there.dataset(iris)
    before = there.get("/v1/runs")
    small = dry(there, id, "species", network={"layers": []})
    large = dry(there, id, "species", network={"layers": [{"units": 4_000}, {"units": 4_000}]}, sweep={"seed": [0, 1]})
    assert (small["members"], large["members"]) == (1, 2)
    assert large["memory_bytes"] > 2 * 4_000 * 4_000 * 4 > small["memory_bytes"]
    assert there.get("/v1/runs") == before


def test_what_would_not_fit_is_refused_before_it_is_queued(new_caller: Callable[..., Caller], iris: str) -> None:
    wide = {"layers": [{"units": 1_000}]}
    caller = new_caller(max_memory_bytes=200_000)
    refused = caller.ask(caller.dataset(iris), network=wide)
    assert "200000 bytes of memory" in refused.json["errors"]["network"][0]
    caller = new_caller(max_parameters=4 * 1_000 + 1_000 + 3 * 1_000 + 3)
    assert caller.ask(caller.dataset(iris), network=wide).status_code == 202
    caller = new_caller(max_parameters=4 * 1_000 + 1_000 + 3 * 1_000 + 2)
    assert "weights in all" in caller.ask(caller.dataset(iris), network=wide).json["errors"]["network"][0]
    assert "weights in all" in caller.ask(caller.dataset(iris), sweep={"seed": [0, 1]}).json["errors"]["sweep"][0]


def test_a_run_whose_state_could_not_be_saved_in_time_is_refused(new_caller: Callable[..., Caller], iris: str) -> None:
    state = 4 * (2 + 2) * (4 * 50 + 50 + 50 * 3 + 3)  # weights, best weights and two moments, of four bytes each
    asked: dict[str, Any] = {"network": {"layers": [{"units": 50}]}, "optimizer": {"name": "adam"}}
    caller = new_caller(drain_seconds=(state + 1) / (100 << 20))
    assert caller.ask(caller.dataset(iris), **asked).status_code == 202
    caller = new_caller(drain_seconds=(state - 1) / (100 << 20))
    assert f"is {state}" in caller.ask(caller.dataset(iris), **asked).json["errors"]["network"][0]


def test_names_may_be_anything_a_header_may_hold(there: Caller) -> None:
    drawn = random.Random(0)
    table = '"a.b","Größe; DROP TABLE runs","y"\n' + "".join(
        f"{drawn.random()},{drawn.random()},{drawn.choice('ab')}\n" for _ in range(30)
    )
    found = dry(there, there.dataset(table), "y")
    assert found["spec"]["features"] == ["a.b", "Größe; DROP TABLE runs"]


def test_each_slot_has_its_share_of_the_memory(new_caller, monkeypatch):
    monkeypatch.setattr("service.resolution.capacity.limit", lambda: 200 << 20)
    spec = {"target": "species", "network": {"layers": [{"units": 64}]}}
    for slots, status in ((1, 200), (16, 422)):
        caller = new_caller(slots=slots)
        dataset = caller.dataset((Path(__file__).parents[2] / "examples" / "iris.csv").read_text())
        answer = caller.client.post("/v1/runs?dry_run=true", json={"dataset": dataset, **spec})
        assert answer.status_code == status, answer.text


def test_time_limit_is_in_the_spec_where_it_is_asked_for(there: Caller, iris: str) -> None:
    id = there.dataset(iris)
    assert there.run(id, max_seconds=60)["spec"]["max_seconds"] == 60
    assert "max_seconds" not in there.run(id)["spec"]
