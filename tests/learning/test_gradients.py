import pytest
import torch

from learning.activations import ACTIVATIONS
from learning.layout import Layout, pad_last, padded
from learning.losses import LOSSES, OutputMask, example_losses
from learning.network import Gradient, Network
from learning.weights import flat_of, tensors_of
from tests.learning.trials import network

F64 = torch.float64
TORCHS = {
    "identity": lambda h: h,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    **{name: getattr(torch.nn.functional, name) for name in ("leaky_relu", "elu", "gelu", "silu")},
    # Torch's takes log(1 + e^h) for h from a threshold on, of 20 if nothing is said: too coarse to compare with.
    "softplus": lambda h: torch.nn.functional.softplus(h, threshold=40.0),
}
NUMBERS = [("squared_error", 3), ("absolute_error", 2), ("huber", 3), ("poisson", 2)]
CLASSES = [("binary_cross_entropy", 1), ("binary_cross_entropy", 4), ("cross_entropy", 5)]
CASES = NUMBERS + CLASSES


def _targets(loss: str, rows: int, width: int) -> torch.Tensor:
    if loss == "cross_entropy":
        return torch.randint(width, (rows,))
    numbers = torch.randn(rows, width, dtype=F64)
    if loss == "poisson":
        return (numbers * 3).abs().round()
    return numbers if (loss, width) in NUMBERS else (numbers > 0).to(F64)


def _written_out(layout, tensors, x, targets, *, shares, loss):
    """The engine's gradient [K, P] of K members on the rows of `x`, a multiple of 16."""
    flat = flat_of(layout, tensors)
    net = Network(layout, flat, len(x))
    gradient = Gradient(net, torch.empty_like(flat))
    inputs = pad_last(x, padded(layout.inputs)).expand(len(flat), -1, -1)
    goals = LOSSES[loss].pad(targets, layout.outputs, F64).unsqueeze(0)
    LOSSES[loss].gradient(net.forward(inputs), goals, OutputMask(layout.outputs, flat), gradient.deltas[-1])
    gradient.deltas[-1].mul_(shares.unsqueeze(1))
    gradient.backward(inputs, add=False)
    return gradient.collect()


def _plain(layout, tensors, x, k):
    """The same network as anybody would write it in torch."""
    y = x
    for index, layer in enumerate(layout.layers):
        y = y @ tensors[f"layers.{index}.weight"][k] + tensors[f"layers.{index}.bias"][k]
        y = TORCHS[layer.activation](y)
    return y


def _torchs_losses(loss, outputs, targets):
    if loss == "cross_entropy":
        return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
    own = {
        "squared_error": torch.nn.functional.mse_loss,
        "absolute_error": torch.nn.functional.l1_loss,
        "huber": torch.nn.functional.huber_loss,
        "poisson": torch.nn.functional.poisson_nll_loss,
        "binary_cross_entropy": torch.nn.functional.binary_cross_entropy_with_logits,
    }[loss]
    return own(outputs, targets, reduction="none").mean(1)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize(("loss", "width"), CASES)
def test_the_written_out_gradient_is_autograds(loss, width, activation):
    torch.manual_seed(0)
    members, rows, real = 3, 32, 27
    layout = Layout.of(network((7, activation), (20, activation)), 5, width)
    spread = 0.2 if loss == "poisson" else 1.0  # e to a sum of large weights tells nothing
    tensors = tensors_of(layout, spread * torch.randn(members, layout.stride, dtype=F64))
    x, targets = torch.randn(rows, 5, dtype=F64), _targets(loss, rows, width)
    shares = torch.rand(rows, dtype=F64)
    shares[real:] = 0.0

    for tensor in tensors.values():
        tensor.requires_grad_()
    for k in range(members):
        (_torchs_losses(loss, _plain(layout, tensors, x, k), targets) * shares).sum().backward()
    expected = {name: tensor.grad for name, tensor in tensors.items()}

    found = _written_out(layout, {n: t.detach() for n, t in tensors.items()}, x, targets, shares=shares, loss=loss)
    for name, tensor in tensors_of(layout, found).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-10)
    assert torch.equal(flat_of(layout, tensors_of(layout, found)), found), "padding has no gradient"


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize(("loss", "width"), CASES)
def test_the_written_out_gradient_is_that_of_finite_differences(loss, width, activation):
    torch.manual_seed(1)
    layout = Layout.of(network((3, activation)), 4, width)
    flat = flat_of(layout, tensors_of(layout, torch.randn(1, layout.stride, dtype=F64)))
    x, targets = torch.randn(16, 4, dtype=F64), _targets(loss, 16, width)
    shares = torch.full((16,), 1 / 16, dtype=F64)
    found = _written_out(layout, tensors_of(layout, flat), x, targets, shares=shares, loss=loss)

    def error(change: torch.Tensor) -> torch.Tensor:
        return (example_losses(loss, _plain(layout, tensors_of(layout, flat + change), x, 0), targets) * shares).sum()

    real = flat.nonzero()
    assert len(real) > 10
    for place in real[:: max(1, len(real) // 20)]:
        step = torch.zeros_like(flat)
        step[tuple(place)] = 1e-6
        slope = (error(step) - error(-step)) / 2e-6
        assert found[tuple(place)].item() == pytest.approx(slope.item(), abs=1e-7)


@pytest.mark.parametrize(("loss", "width"), CASES)
def test_losses_are_torchs_own(loss, width):
    torch.manual_seed(2)
    outputs = torch.randn(4, 50, width, dtype=F64) * 5
    targets = _targets(loss, 50, width)
    found = example_losses(loss, outputs, targets)
    assert found.shape == (4, 50)
    for k in range(4):
        torch.testing.assert_close(found[k], _torchs_losses(loss, outputs[k], targets), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_an_activation_and_its_slope_are_torchs_own_far_from_zero_too(activation):
    h = torch.cat([torch.linspace(-19, 19, 401, dtype=F64), torch.tensor([-700.0, -60.0, 0.5, 60.0, 700.0], dtype=F64)])
    ours, slope = h.clone(), torch.ones_like(h)
    ACTIVATIONS[activation].forward(ours, torch.ones_like(h))
    ACTIVATIONS[activation].backward(slope, h if ACTIVATIONS[activation].keeps_sums else ours)
    asked = h.clone().requires_grad_()
    theirs = TORCHS[activation](asked)
    theirs.sum().backward()
    torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=1e-10)
    torch.testing.assert_close(slope, asked.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [30.0, 1e4, 1e30])
@pytest.mark.parametrize(("loss", "width"), CLASSES)
def test_losses_and_gradients_of_classes_stay_finite_for_any_logit(loss, width, size):
    outputs = torch.tensor([-size, size] * 8).repeat(width, 1).T.contiguous()
    outputs[:, 0] *= -1
    targets = _targets(loss, 16, width).float() if loss != "cross_entropy" else _targets(loss, 16, width)
    assert example_losses(loss, outputs, targets).isfinite().all()
    slope = torch.empty(16, padded(width))
    goals = LOSSES[loss].pad(targets, width, torch.float32)
    LOSSES[loss].gradient(pad_last(outputs, padded(width)), goals, OutputMask(width, outputs), slope)
    assert slope.isfinite().all()
    assert (slope.abs() <= 1.0).all()
