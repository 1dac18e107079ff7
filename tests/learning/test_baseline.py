"""The best answer that looks at no feature, of a target that never changes."""

import pytest
import torch

from learning.baseline import baseline
from learning.columns import NumericColumn
from learning.metrics import metrics_of
from learning.targets import Target


@pytest.mark.parametrize("value", [14.62, 0.1, 1e-7, 3.3e12, -0.7])
@pytest.mark.parametrize("rows", [7, 30, 49])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_constant_target_is_answered_exactly(value, rows, loss):
    column = NumericColumn(torch.full((rows,), value, dtype=torch.float64))
    target = Target.fit({"y": column}, "y", "regression", torch.arange(rows))
    train = target.encode({"y": column})
    found = metrics_of(target, baseline(target, loss, train, rows), train)
    assert found == {"rmse": 0.0, "mae": 0.0, "r2": 1.0}
