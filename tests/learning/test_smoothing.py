"""Labels less sure of themselves: the loss and its slope are torch's own, and without smoothing nothing moves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.layout import pad_last, padded
from learning.losses import LOSSES, OutputMask, example_losses, loss_of

F64 = torch.float64
CASES = [("binary_cross_entropy", 1), ("binary_cross_entropy", 4), ("cross_entropy", 2), ("cross_entropy", 17)]


def drawn(loss, rows, width, *, seed=0):
    random = torch.Generator().manual_seed(seed)
    outputs = torch.randn(rows, width, dtype=F64, generator=random) * 4
    if loss == "cross_entropy":
        return outputs, torch.randint(width, (rows,), generator=random)
    return outputs, (torch.rand(rows, width, generator=random) > 0.4).to(F64)


def torchs_own(loss, outputs, targets, smoothing):
    if loss == "cross_entropy":
        return torch.nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)(outputs, targets)
    softer = targets * (1 - smoothing) + smoothing / 2
    return torch.nn.BCEWithLogitsLoss(reduction="none")(outputs, softer).mean(1)


@pytest.mark.parametrize("smoothing", [0.05, 0.3, 1.0])
@pytest.mark.parametrize(("loss", "width"), CASES)
def test_smoothed_losses_and_their_gradients_are_torchs_own(loss, width, smoothing):
    outputs, targets = drawn(loss, 40, width)
    asked = outputs.clone().requires_grad_()
    theirs = torchs_own(loss, asked, targets, smoothing)
    theirs.sum().backward()
    found = example_losses(loss, outputs, targets, smoothing)
    torch.testing.assert_close(found, theirs.detach(), rtol=0, atol=1e-10)

    ours = loss_of(loss, smoothing)
    slope = torch.empty(40, padded(width), dtype=F64)
    ours.gradient(pad_last(outputs, padded(width)), ours.pad(targets, width, F64), OutputMask(width, outputs), slope)
    torch.testing.assert_close(slope[:, :width], asked.grad, rtol=0, atol=1e-10)
    assert not slope[:, width:].any(), "padding has no gradient"


@pytest.mark.parametrize(("loss", "width"), CASES)
def test_no_smoothing_is_the_plain_loss_itself(loss, width):
    assert loss_of(loss, 0.0) is LOSSES[loss]
    outputs, targets = drawn(loss, 40, width)
    assert not example_losses(loss, outputs, targets, 0.1).equal(example_losses(loss, outputs, targets))


def test_a_loss_of_numbers_has_no_labels_to_smooth():
    assert loss_of("huber", 0.1) is LOSSES["huber"]


@pytest.mark.parametrize(("loss", "width"), CASES)
def test_smoothed_losses_stay_finite_for_any_logit(loss, width):
    outputs, targets = drawn(loss, 40, width)
    outputs = (outputs * 1e30).float()
    targets = targets if loss == "cross_entropy" else targets.float()
    assert example_losses(loss, outputs, targets, 0.1).isfinite().all()


@settings(deadline=None)
@given(rows=st.integers(1, 300), members=st.integers(1, 9), seed=st.integers(0, 2**31), case=st.sampled_from(CASES))
def test_a_members_smoothed_losses_do_not_depend_on_its_company(rows, members, seed, case):
    loss, width = case
    _, targets = drawn(loss, rows, width, seed=seed)
    targets = targets if loss == "cross_entropy" else targets.float()
    outputs = torch.randn(members, rows, width, generator=torch.Generator().manual_seed(seed))
    together = example_losses(loss, outputs, targets, 0.1)
    for member in range(members):
        assert example_losses(loss, outputs[member].clone(), targets, 0.1).equal(together[member])
