"""What is found out about a run after it ended: figures that are its own, beside plainer ones, of rows it never saw."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import update

from store.tables import runs
from tests.service.callers import Caller

TESTED = {"epochs": 15, "test": {"fraction": 0.2}, "optimizer": {"learning_rate": 0.01}}


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> str:
    return there.dataset(iris)


def found(there: Caller, run: dict[str, Any], kind: str = "evaluation", query: str = "") -> dict[str, Any]:
    """Asked for, made, answered; as the document says."""
    address = f"/v1/runs/{run['id']}/{kind}{query}"
    there.get(address, 202)
    there.analyse()
    answer = there.get(address)
    document = there.get("/openapi.json")
    responses = document["paths"][f"/v1/runs/{{id}}/{kind}"]["get"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
    assert (answer["object"], answer["run"]) == (kind, run["id"])
    return answer


def without_loss(metrics: dict[str, float]) -> dict[str, Any]:
    return {name: pytest.approx(value, rel=1e-6) for name, value in metrics.items() if name != "loss"}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"sweep": {"optimizer.learning_rate": [0.001, 0.02], "seed": [0, 1]}},
        {"sweep": {"seed": [0, 1, 2]}, "ensemble": True},
        {"validation": {"folds": 3}},
        {"validation": {"folds": 3, "fold": 1}},
        {"validation": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("target", ["species", "petal_width", ["petal_width", "petal_length"]], ids=str)
def test_its_metrics_are_the_runs_own(there: Caller, flowers: str, target: Any, spec: dict[str, Any]) -> None:
    run = there.trained(flowers, target, **{**TESTED, **spec})
    answer = found(there, run)
    assert answer["rows"] == run["rows"]["test"] == 30
    extra = {"precision", "recall"} if target == "species" else set()
    assert answer["metrics"].keys() - extra == run["metrics"]["test"].keys() - {"loss"}
    assert answer["metrics"] == answer["metrics"] | without_loss(run["metrics"]["test"])


def test_of_validation_rows_they_are_too(there: Caller, flowers: str) -> None:
    run = there.trained(flowers, **TESTED)
    answer = found(there, run, query="?split=validation")
    assert (answer["split"], answer["rows"]) == ("validation", run["rows"]["validation"])
    assert answer["metrics"]["log_loss"] == pytest.approx(run["metrics"]["validation"]["log_loss"])


def test_each_row_of_folds_is_told_by_the_fold_that_did_not_learn_it(there: Caller, flowers: str) -> None:
    run = there.trained(flowers, **{**TESTED, "validation": {"folds": 5}})
    answer = found(there, run, query="?split=validation")
    assert answer["rows"] == 120
    # Folds of one size: the mean over all rows is the mean of the folds' means, which the run has told.
    for name in ("log_loss", "accuracy"):
        assert answer["metrics"][name] == pytest.approx(run["metrics"]["validation"][name], rel=1e-6)
    assert found(there, run, "importance", "?split=validation")["rows"] == 120


def linear_of(run: dict[str, Any]) -> dict[str, Any]:
    """No hidden layer, from inputs and first weights as the run has them."""
    return {"network": {"layers": []}} | {name: run["spec"][name] for name in ("initialization", "scaling")}


def test_what_looks_at_nothing_and_what_has_no_hidden_layer_stand_beside_it(there: Caller, flowers: str) -> None:
    run = there.trained(flowers, **{**TESTED, "epochs": 40})
    answer = found(there, run)
    assert answer["baseline"]["accuracy"] == pytest.approx(1 / 3)
    assert answer["baseline"]["log_loss"] == pytest.approx(1.0986, abs=0.01)
    linear = there.trained(flowers, **{**TESTED, "epochs": 40}, **linear_of(run))
    assert answer["linear"] == answer["linear"] | without_loss(linear["metrics"]["test"])
    assert answer["metrics"]["log_loss"] < answer["linear"]["log_loss"] < answer["baseline"]["log_loss"]
    plain = found(there, linear)
    assert plain["linear"] == plain["metrics"]


def test_the_fit_beside_a_run_that_was_stopped_goes_no_further_than_the_run(there: Caller, flowers: str) -> None:
    asked = {**TESTED, "schedule": {"name": "constant"}}
    run = there.trained(flowers, **asked)
    receipt = there.get(f"/v1/runs/{run['id']}/receipt")
    with there.parts.database.write() as tx:  # as stop leaves it
        tx.execute(update(runs).where(runs.c.id == run["id"]).values(receipt={**receipt, "epochs": 3}))
    linear = there.trained(flowers, **{**asked, "epochs": 3}, **linear_of(run))
    answer = found(there, run)
    assert answer["linear"] == answer["linear"] | without_loss(linear["metrics"]["test"])


def test_classes_are_told_one_by_one(there: Caller, flowers: str) -> None:
    answer = found(there, there.trained(flowers, **TESTED))
    classes = ["setosa", "versicolor", "virginica"]
    assert answer["classes"] == answer["confusion_classes"] == classes
    assert [each["class"] for each in answer["per_class"]] == [each["class"] for each in answer["roc"]] == classes
    assert sum(map(sum, answer["confusion_matrix"])) == 30
    assert [sum(row) for row in answer["confusion_matrix"]] == [each["support"] for each in answer["per_class"]]
    right = sum(answer["confusion_matrix"][index][index] for index in range(3))
    assert right / 30 == pytest.approx(answer["metrics"]["accuracy"])
    assert sum(each["count"] for each in answer["calibration"][0]["bins"]) == 30


def test_numbers_are_told_target_by_target(there: Caller, flowers: str) -> None:
    answer = found(there, there.trained(flowers, ["petal_width", "petal_length"], **TESTED))
    assert [each["target"] for each in answer["per_target"]] == ["petal_width", "petal_length"]
    mean = sum(each["rmse"] for each in answer["per_target"]) / 2
    assert mean == pytest.approx(answer["metrics"]["rmse"])
    for each in answer["residual_quantiles"]:
        assert each["values"] == sorted(each["values"])


@pytest.fixture(scope="module")
def weather(there: Caller) -> str:
    """Times, many categories, weights, labels, and a column that says who is in which split."""
    drawn = random.Random(3)
    lines = ["at,station,wind,wet,cold,trust,part"]
    for index in range(300):
        wind = drawn.uniform(0, 10)
        wet, cold = wind + drawn.gauss(0, 2) > 5, index % 100 > 50
        part = "test" if index % 5 == 0 else "validation" if index % 5 == 1 else "train"
        time = f"2026-{1 + index % 12:02d}-{1 + index % 28:02d}T10:00:00Z"
        cells = (time, f"station {index % 70}", round(wind, 3), wet, cold, 1 + index % 3, part)
        lines.append(",".join(str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in cells))
    return there.dataset("\n".join(lines) + "\n")


@pytest.mark.parametrize("target", [["wet", "cold"], "wet", "wind"], ids=str)
def test_so_they_are_of_labels_times_weights_and_splits_by_a_column(there: Caller, weather: str, target: Any) -> None:
    spec = {"validation": {"column": "part"}, "sample_weight": "trust", "epochs": 8, "features": ["at", "station"]}
    run = there.trained(weather, target, **spec)
    for split in ("test", "validation"):
        answer = found(there, run, query=f"?split={split}")
        assert answer["rows"] == run["rows"][split] == 60
        assert answer["metrics"] == answer["metrics"] | without_loss(run["metrics"][split])
    shuffled = found(there, run, "importance")
    assert {each["name"] for each in shuffled["features"]} == {"at", "station"}


def test_a_linear_fit_whose_loss_became_infinite_is_null(there: Caller) -> None:
    # Unscaled, so that its steps are too long for what is not bounded.
    large = there.dataset("x,y\n" + "".join(f"{x * 100},{x % 7}\n" for x in range(100)))
    bounded = {"layers": [{"units": 4, "activation": "tanh"}]}
    optimizer = {"name": "sgd", "learning_rate": 0.01}
    spec = {"scaling": "none", "network": bounded, "optimizer": optimizer, "test": {"fraction": 0.2}, "epochs": 30}
    answer = found(there, there.trained(large, "y", task="regression", **spec))
    assert answer["linear"] is None
    assert answer["metrics"]["rmse"] > 0


def test_the_feature_that_says_everything_matters_most(there: Caller) -> None:
    rows = [f"{x},{(x * 7) % 11},{x * 2 + 1}" for x in range(120)]
    dataset = there.dataset("cause,noise,effect\n" + "\n".join(rows) + "\n")
    run = there.trained(dataset, "effect", **{**TESTED, "epochs": 60})
    answer = found(there, run, "importance")
    assert (answer["metric"], answer["rows"]) == ("rmse", 24)
    assert answer["baseline"] == pytest.approx(run["metrics"]["test"]["rmse"], rel=1e-6)
    cause, noise = answer["features"]
    assert (cause["name"], noise["name"]) == ("cause", "noise")
    assert cause["mean"] > 10 * max(abs(noise["mean"]), cause["std"] / 10)


def test_asked_again_of_an_equal_run_the_answer_is_the_same(there: Caller, flowers: str) -> None:
    first, second = (there.trained(flowers, **TESTED) for _ in range(2))
    for kind in ("evaluation", "importance"):
        one, other = found(there, first, kind), found(there, second, kind)
        assert {**one, "run": None} == {**other, "run": None}
