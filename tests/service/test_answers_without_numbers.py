"""Rows past what a network can compute with get an answer that is one, or a refusal that names the row."""

import math

import numpy as np
import onnxruntime
import pytest
import torch

from learning.answer_columns import answer_columns
from learning.model import Prediction
from learning.targets import Target
from tests.service.callers import Caller

HUGE = 3.4e38
ROWS = "".join(f"{n % 5},{n % 3},{n % 7},{'nsw'[(n * 7) % 3]},{'ab'[n % 2]}\n" for n in range(60))
NETWORKS = {
    "linear": [],
    "relu": [{"units": 8, "activation": "relu"}],
    "gelu": [{"units": 8, "activation": "gelu"}],
    "softplus": [{"units": 8, "activation": "softplus"}],
    "batch norm": [{"units": 8, "activation": "elu", "normalization": "batch"}],
    "layer norm": [{"units": 8, "activation": "relu", "normalization": "layer"}],
}
TARGETS = {"y": "regression", "k": "multiclass", "b": "binary"}


@pytest.fixture(scope="module")
def there(new_caller) -> tuple[Caller, str]:
    caller = new_caller()
    return caller, caller.dataset(f"a,c,y,k,b\n{ROWS}")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_far_values_are_answered_with_numbers(there, target: str, network: str, scaling: str) -> None:
    caller, dataset = there
    spec = {"target": target, "task": TARGETS[target], "features": ["a", "c"], "scaling": scaling, "epochs": 2}
    spec |= {"network": {"layers": NETWORKS[network]}, "optimizer": {"name": "sgd", "learning_rate": 1e-4}}
    run = caller.trained(dataset, **spec)
    classes = TARGETS[target] != "regression"
    instances = [[HUGE, HUGE], [-HUGE, 1e30], [1e19, 2.0], [1e12, 1.0], [1.0, 2.0]]
    answer = caller.client.post(
        f"/v1/runs/{run['id']}/predictions", json={"instances": instances, "probabilities": classes}
    )
    assert answer.status_code == 200, answer.text
    for numbers in answer.json["probabilities"] if classes else [answer.json["predictions"]]:
        assert all(isinstance(number, float) and math.isfinite(number) for number in numbers)
        if classes:
            assert sum(numbers) == pytest.approx(1)
    file = caller.client.get(f"/v1/runs/{run['id']}/onnx").data
    session = onnxruntime.InferenceSession(file)
    feeds = {
        each.name: np.array([[row[place]] for row in instances], np.float64)
        for place, each in enumerate(session.get_inputs())
    }
    shapes = {each.name: each.shape for each in session.get_inputs()}
    feeds = {name: value if len(shapes[name]) == 2 else value[:, 0] for name, value in feeds.items()}
    found = dict(zip((each.name for each in session.get_outputs()), session.run(None, feeds), strict=True))
    ours = answer.json["probabilities" if classes else "predictions"]
    theirs = next(value for name, value in found.items() if ("probabilit" in name) == classes)
    assert np.allclose(np.array(ours, float).reshape(-1), np.array(theirs, float).reshape(-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_row_without_an_answer_is_missing_in_columns(bad: float) -> None:
    outputs = torch.tensor([[0.5, 1.0], [bad, 1.0], [2.0, 1.0]])
    target = Target("multiclass", ("k",), False, ("x", "y"), (), ())
    prediction = Prediction(target, outputs)
    assert prediction.overflowed() == [1]
    found = answer_columns(prediction, probabilities=True)
    assert found["prediction"].codes.tolist() == [1, -1, 0]
    assert [math.isnan(value) for value in found["probability_x"].values.tolist()] == [False, True, False]


def test_large_but_finite_outputs_are_answers() -> None:
    target = Target("regression", ("y",), False, None, (0.0,), (1.0,))
    assert Prediction(target, torch.full((4, 1), 3e38)).overflowed() == []
