"""What the lecture says, trained: regression by gradient descent, logistic regression, the unit with a threshold."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from learning.examples import Examples
from learning.network import predict_blocks
from tests.learning.trials import examples, member, network, run


def test_linear_regression_by_gradient_descent_finds_the_least_squares():
    train = examples("regression", 200, 3, 2, dtype=torch.float64)
    spec = member(layers=(), task="regression", optimizer="gd", batch_size=None, learning_rate=0.3, epochs=400)
    found = run([spec], "regression", 2, train).trained.stacks[0].tensors()
    with_ones = torch.cat([train.inputs, torch.ones(200, 1, dtype=torch.float64)], dim=1)
    analytic = torch.linalg.lstsq(with_ones, train.targets).solution
    torch.testing.assert_close(found["layers.0.weight"][0], analytic[:-1], rtol=0, atol=1e-6)
    torch.testing.assert_close(found["layers.0.bias"][0], analytic[-1], rtol=0, atol=1e-6)


def test_no_hidden_layer_and_binary_cross_entropy_is_logistic_regression():
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4))
    y = (x @ [1.0, -2.0, 0.5, 0.0] + random.logistic(size=300) > 0.3).astype(float)
    train = Examples(torch.tensor(x), torch.tensor(y).unsqueeze(1))
    spec = member(layers=(), task="binary", optimizer="gd", batch_size=None, learning_rate=2.0, epochs=1500)
    found = run([spec], "binary", 1, train).trained.stacks[0].tensors()
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(x, y)
    assert found["layers.0.weight"][0, :, 0].tolist() == pytest.approx(theirs.coef_[0].tolist(), abs=1e-4)
    assert found["layers.0.bias"][0].item() == pytest.approx(theirs.intercept_[0], abs=1e-4)


@pytest.mark.parametrize("threshold", [-1.5, 0.0, 2.0])
def test_a_sigmoid_unit_with_a_threshold_has_it_as_a_negative_bias(threshold):
    tensors = {
        "layers.0.weight": torch.ones(1, 1, dtype=torch.float64),
        "layers.0.bias": torch.tensor([-threshold], dtype=torch.float64),
        "layers.1.weight": torch.ones(1, 1, dtype=torch.float64),
        "layers.1.bias": torch.zeros(1, dtype=torch.float64),
    }
    h = torch.linspace(-5, 5, 21, dtype=torch.float64).unsqueeze(1)
    found = predict_blocks(network((1, "sigmoid")), tensors, h)
    expected = [math.exp(each - threshold) / (1 + math.exp(each - threshold)) for each in h[:, 0].tolist()]
    assert found[:, 0].tolist() == pytest.approx(expected, abs=1e-12)
