from itertools import pairwise

import pytest
import torch

from learning.activations import ACTIVATIONS
from learning.batches import Block
from learning.layout import Layout, pad_last, padded
from learning.losses import LOSSES, OutputMask, example_losses
from learning.network import Gradient, Network
from learning.specs import EmbeddingSpec, LayerSpec, NetworkSpec
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


def _written_out(layout, tensors, x, targets, *, shares, loss, kept=None, cut=None):
    """The engine's gradient [K, trained] of K members on the rows of `x`, a multiple of 16, in blocks cut at `cut`."""
    flat = flat_of(layout, tensors)
    goals = LOSSES[loss].pad(targets, layout.outputs, F64)
    real = (shares > 0).to(F64)
    bounds = [0, len(x)] if cut is None else [0, cut, len(x)]
    batch = [
        Block(
            step=0,
            first=start == 0,
            last=end == len(x),
            inputs=pad_last(x[start:end], padded(x.shape[1])).unsqueeze(0),
            targets=goals[start:end].unsqueeze(0),
            shares=shares[start:end].unsqueeze(1),
            real=real[start:end].unsqueeze(1),
            step_rows=int(real.sum()),
            kept={index: mask[:, start:end] for index, mask in (kept or {}).items()},
        )
        for start, end in pairwise(bounds)
    ]
    net = Network(layout, flat, max(block.inputs.shape[1] for block in batch), len(batch))
    gradient = Gradient(net)
    outputs = net.forward([block.inputs for block in batch], batch=batch)
    for z, block, delta in zip(outputs, batch, gradient.deltas[-1], strict=True):
        LOSSES[loss].gradient(z, block.targets, OutputMask(layout.outputs, flat), delta)
        delta.mul_(block.shares)
    gradient.backward([block.inputs for block in batch], batch, add=False)
    return torch.nn.functional.pad(gradient.collect(), (0, layout.stride - layout.trained)), flat


def _plain(layout, tensors, x, k, kept=None):
    """The same network as anybody would write it in torch, in training."""
    dense, functional = x.shape[1] - len(layout.embeddings), torch.nn.functional
    looked_up = [tensors[f"embeddings.{i}"][k][x[:, dense + i].long()] for i in range(len(layout.embeddings))]
    y = torch.cat([x[:, :dense], *looked_up], 1)
    for index, layer in enumerate(layout.layers):
        own = {name: tensors.get(f"layers.{index}.{name}") for name in ("scale", "shift", "mean", "var")}
        y = y @ tensors[f"layers.{index}.weight"][k] + tensors[f"layers.{index}.bias"][k]
        if layer.normalization == "layer":
            y = functional.layer_norm(y, (layer.units,), own["scale"][k], own["shift"][k])
        elif layer.normalization == "batch":
            y = functional.batch_norm(y, own["mean"][k], own["var"][k], own["scale"][k], own["shift"][k], training=True)
        y = TORCHS[layer.activation](y)
        if kept and index in kept:
            y = y * kept[index][k, : len(y), : layer.units]
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

    found, _ = _written_out(layout, {n: t.detach() for n, t in tensors.items()}, x, targets, shares=shares, loss=loss)
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
    found, _ = _written_out(layout, tensors_of(layout, flat), x, targets, shares=shares, loss=loss)

    def error(change: torch.Tensor) -> torch.Tensor:
        return (example_losses(loss, _plain(layout, tensors_of(layout, flat + change), x, 0), targets) * shares).sum()

    real = flat.nonzero()
    assert len(real) > 10
    for place in real[:: max(1, len(real) // 20)]:
        step = torch.zeros_like(flat)
        step[tuple(place)] = 1e-6
        slope = (error(step) - error(-step)) / 2e-6
        assert found[tuple(place)].item() == pytest.approx(slope.item(), abs=1e-7)


@pytest.mark.parametrize("cut", [None, 16])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("normalization", [None, "layer", "batch"])
@pytest.mark.parametrize("embedded", [0, 2])
@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid"])
def test_the_gradient_through_normalization_dropout_and_embeddings_is_autograds(
    activation, embedded, normalization, dropout, cut
):
    torch.manual_seed(3)
    members, rows, real = 3, 32, 27
    spec = NetworkSpec(tuple(LayerSpec(units, activation, dropout, normalization) for units in (7, 20)))
    tables = [EmbeddingSpec(5, 4), EmbeddingSpec(3, 2)][:embedded]
    layout = Layout.of(spec, 4 + embedded, 3, tables)
    tensors = tensors_of(layout, torch.randn(members, layout.stride, dtype=F64))
    for name in tensors:
        if name.endswith(".var"):
            tensors[name].abs_()
    x = torch.cat([torch.randn(rows, 4, dtype=F64), torch.randint(3, (rows, embedded)).to(F64)], 1)
    targets, shares = _targets("cross_entropy", rows, 3), torch.rand(rows, dtype=F64)
    shares[real:] = 0.0
    kept = {i: (torch.rand(members, rows, 32, dtype=F64) > 0.4) / 0.6 for i in range(2)} if dropout else {}
    kept = {i: mask[:, :, : layout.layers[i].padded_units] for i, mask in kept.items()}
    trained = {name: tensor for name, tensor in tensors.items() if not name.endswith((".mean", ".var"))}
    running = {name: tensor.clone() for name, tensor in tensors.items() if name not in trained}

    found, flat = _written_out(layout, tensors, x, targets, shares=shares, loss="cross_entropy", kept=kept, cut=cut)

    for tensor in trained.values():
        tensor.requires_grad_()
    for k in range(members):
        outputs = _plain(layout, trained | running, x[:real], k, kept)
        (_torchs_losses("cross_entropy", outputs, targets[:real]) * shares[:real]).sum().backward()
    gradients = tensors_of(layout, found)
    for name, tensor in trained.items():
        torch.testing.assert_close(gradients[name], tensor.grad, rtol=0, atol=1e-10)
    for name, tensor in tensors_of(layout, flat).items():
        if name in running:  # torch has moved them while it computed
            torch.testing.assert_close(tensor, running[name], rtol=0, atol=1e-10)
    assert torch.equal(flat_of(layout, gradients), found), "padding has no gradient"


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


@pytest.mark.parametrize(("loss", "width"), CLASSES)
def test_the_gradient_of_a_network_that_is_sure_holds_no_subnormal_number(loss, width):
    """Each of those would make all products that it takes part in a hundred times as long."""
    outputs = torch.full((16, width), -95.0)
    targets = torch.zeros(16, width) if loss != "cross_entropy" else torch.zeros(16, dtype=torch.int64)
    if loss == "cross_entropy":
        outputs[:, 0] = 0.0
    slope = torch.empty(16, padded(width))
    goals = LOSSES[loss].pad(targets, width, torch.float32)
    LOSSES[loss].gradient(pad_last(outputs, padded(width)), goals, OutputMask(width, outputs), slope)
    assert not ((slope != 0) & (slope.abs() < torch.finfo(torch.float32).tiny)).any()
    assert not slope[:, width:].any()
