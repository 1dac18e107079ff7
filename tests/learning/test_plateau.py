"""The learning rate is cut when the loss falls no more by the asked share of its size, above zero and below."""

import pytest
import torch

from learning.patience import Judge, Patience
from learning.specs import ScheduleSpec
from tests.learning.trials import member


def cuts(losses: list[float], *, threshold: float, patience: int) -> list[int]:
    """The epochs after which the rate is cut."""
    schedule = ScheduleSpec("plateau", patience=patience, threshold=threshold, factor=0.5)
    judge = Judge([member(schedule=schedule)], Patience.start(1, torch.device("cpu")))
    found, before = [], 1.0
    for epoch, loss in enumerate(losses, 1):
        judge.ended(torch.tensor([loss], dtype=torch.float64))
        now = judge.patience.slowed.item()
        if now < before:
            found.append(epoch)
        before = now
    return found


def by_hand(losses: list[float], *, threshold: float, patience: int) -> list[int]:
    reference, waited, found = float("inf"), 0, []
    for epoch, loss in enumerate(losses, 1):
        if reference == float("inf") or loss < reference - threshold * abs(reference):
            reference, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            found.append(epoch)
            waited = 0
    return found


CURVES = {
    "falls above zero": [10 * 0.97**epoch for epoch in range(80)],
    "falls below zero": [-10 - 5 * (1 - 0.97**epoch) for epoch in range(80)],
    "crosses zero": [3.01 - 0.1003 * epoch for epoch in range(80)],
    "stands still below zero": [-7.0] * 30,
    "rises slowly below zero": [-7 + 1e-4 * epoch for epoch in range(60)],
    "stands at zero": [0.0] * 20,
    "falls to zero and below by little": [1e-9 * (20.3 - 1.007 * epoch) for epoch in range(60)],
}


@pytest.mark.parametrize("patience", [0, 2, 5])
@pytest.mark.parametrize("threshold", [0.0, 1e-4, 0.05, 0.2, 0.99])
@pytest.mark.parametrize("curve", CURVES)
def test_rate_is_cut_where_the_rule_says(curve, threshold, patience):
    losses = CURVES[curve]
    found = cuts(losses, threshold=threshold, patience=patience)
    assert found == by_hand(losses, threshold=threshold, patience=patience)


def test_loss_that_rises_below_zero_is_no_improvement():
    assert cuts(CURVES["rises slowly below zero"], threshold=0.05, patience=3) != []
