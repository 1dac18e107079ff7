"""Several boolean columns as one target: each is a question of its own, asked of one network."""

from typing import Any

import pytest

from tests.service.callers import Caller


def weather(rows: int = 120) -> str:
    """Rain is what comes with damp air, snow what comes with damp and cold air."""
    table = "damp,degrees,rain,snow\n"
    for index in range(rows):
        damp, degrees = index % 10 / 10, index * 7 % 30 - 10
        table += f"{damp},{degrees},{str(damp > 0.45).lower()},{str(damp > 0.45 and degrees < 5).lower()}\n"
    return table


@pytest.fixture
def run(caller: Caller) -> dict[str, Any]:
    asked = {"optimizer": {"learning_rate": 0.02}, "epochs": 60, "test": {"fraction": 0.2}}
    return caller.trained(caller.dataset(weather()), ["rain", "snow"], **asked)


def test_it_is_learned_and_measured_label_by_label(run: dict[str, Any]) -> None:
    assert (run["task"], run["spec"]["loss"]) == ("multilabel", "binary_cross_entropy")
    assert run["features"] == ["damp", "degrees"]
    assert run["metrics"]["test"].keys() == {"loss", "accuracy", "auc", "log_loss", "f1"}
    assert run["metrics"]["test"]["accuracy"] > 0.8


def test_a_prediction_is_an_array_of_booleans_and_each_target_has_a_probability(
    caller: Caller, run: dict[str, Any]
) -> None:
    body = {"instances": [[0.9, -8.0], [0.9, 19.0], [0.0, 0.0]], "probabilities": True}
    found = caller.client.post(f"/v1/runs/{run['id']}/predictions", json=body).json
    assert found["predictions"] == [[True, True], [True, False], [False, False]]
    assert found["classes"] == ["rain", "snow"]
    for row, chosen in zip(found["probabilities"], found["predictions"], strict=True):
        assert [probability > 0.5 for probability in row] == chosen


def test_a_list_of_one_boolean_column_is_multilabel_too(caller: Caller) -> None:
    run = caller.trained(caller.dataset(weather()), ["rain"], epochs=1)
    assert run["task"] == "multilabel"
    found = caller.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": [{"damp": 0.5}]}).json
    assert [type(each) for each in found["predictions"][0]] == [bool]
    assert found["classes"] == ["rain"]


def test_rows_that_lack_one_of_the_labels_are_dropped(caller: Caller) -> None:
    run = caller.trained(caller.dataset(weather() + "0.5,3,true,\n0.5,3,,false\n"), ["rain", "snow"], epochs=1)
    assert run["rows"]["dropped"] == 2
    assert [warning["code"] for warning in run["warnings"]] == ["missing_target"]
