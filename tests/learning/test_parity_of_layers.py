"""Fifty steps through normalization, dropout and embeddings beside torch's own modules, in float64."""

import pytest
import torch
from torch import nn

from learning.dropout import Dropout
from learning.examples import Data, Examples
from learning.initialization import initial_weights
from learning.layout import Layout
from learning.randomness import key, permutations
from learning.sequential import as_sequential
from learning.specs import EmbeddingSpec
from learning.weights import tensors_of
from tests.learning.trials import drive, examples, member, run, target

INPUTS, F64 = 6, torch.float64


class Diced(nn.Module):
    """Torch's dropout with our dice: which units are dropped is ours to say."""

    def __init__(self, dice: Dropout) -> None:
        super().__init__()
        self.dice = dice

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        kept = self.dice.kept(self.places.unsqueeze(0), F64)[0, 0, :, : y.shape[1]]
        return y * kept


def _torchs_own(spec, layout, train, batch_size):
    start = {name: each[0] for name, each in tensors_of(layout, initial_weights(layout, [3], "xavier", F64)).items()}
    dice = [Dropout(index, layer, [3]) for index, layer in enumerate(layout.layers) if layer.dropout]
    modules = as_sequential(spec.network, start).train()
    net = nn.Sequential(*(Diced(dice.pop(0)) if isinstance(each, nn.Dropout) else each for each in modules))
    optimizer = torch.optim.SGD(net.parameters(), lr=spec.optimizer.learning_rate)
    for epoch in range(1, spec.epochs + 1):
        order = permutations([key("order", 3, epoch)], train.rows)[0]
        for first in range(0, train.rows, batch_size):
            rows = order[first : first + batch_size]
            for each in net:
                if isinstance(each, Diced):
                    each.dice.begin(epoch)
                    each.places = torch.arange(first, first + len(rows))
            error = nn.functional.cross_entropy(net(train.inputs[rows]), train.targets[rows])
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
    return net


NAMES = {"weight": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def _check(found, net):
    """Ours, part by part, against torch's modules in their order."""
    linears = [each for each in net if isinstance(each, nn.Linear)]
    normalized = [each for each in net if isinstance(each, nn.BatchNorm1d | nn.LayerNorm)]
    for name, tensor in found.items():
        if name.startswith("embeddings."):
            expected = net[0].tables[int(name[-1])].weight
        else:
            _, index, part = name.split(".")
            if part in ("weight", "bias"):
                expected = getattr(linears[int(index)], part)
            else:
                module = normalized[int(index)]
                expected = getattr(module, {"scale": "weight", "shift": "bias"}.get(part) or NAMES[part])
            expected = expected.t() if part == "weight" else expected
        torch.testing.assert_close(tensor, expected.detach(), rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize(("rows", "batch_size"), [(100, 10), (100, 32), (1100, 600)])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("normalization", ["batch", "layer", None])
def test_fifty_steps_through_normalization_and_dropout_are_torchs_own(normalization, dropout, rows, batch_size):
    layers = ((11, "tanh", dropout, normalization), (7, "silu", dropout, normalization))
    epochs = -(-50 // -(-rows // batch_size))
    # Not Adam: before batch normalization a bias has a gradient of mere rounding, and Adam makes whole steps of it.
    spec = member(3, layers=layers, optimizer="sgd", learning_rate=0.1, batch_size=batch_size, epochs=epochs)
    train = examples("multiclass", rows, INPUTS, 4, dtype=F64)
    found = run([spec], "multiclass", 4, train)
    assert found.last.step >= 50
    net = _torchs_own(spec, Layout.of(spec.network, INPUTS, 4), train, batch_size)
    _check(found.trained.tensors(3), net)


def test_fifty_steps_with_embeddings_are_torchs_own():
    tables = (EmbeddingSpec(9, 8), EmbeddingSpec(3, 2))
    spec = member(3, layers=((11, "tanh"),), optimizer="sgd", learning_rate=0.1, batch_size=10, epochs=5)
    plain = examples("multiclass", 100, INPUTS, 4, dtype=F64)
    codes = [torch.arange(100).mul(7).remainder(each.categories).to(F64) for each in tables]
    train = Examples(torch.cat([plain.inputs, torch.stack(codes, 1)], 1), plain.targets)
    found = drive([spec], Data(target("multiclass", 4), train, None, tables))
    net = _torchs_own(spec, Layout.of(spec.network, INPUTS + 2, 4, tables), train, 10)
    _check(found.trained.tensors(3), net)


def test_a_batch_of_one_row_has_no_spread_and_leaves_the_running_figures_alone():
    spec = member(0, layers=((5, "relu", 0.0, "batch"),), batch_size=1, epochs=1)
    found = run([spec], "multiclass", 3, examples("multiclass", 4, INPUTS, 3)).trained.tensors(0)
    assert found["layers.0.mean"].tolist() == [0.0] * 5
    assert found["layers.0.var"].tolist() == [1.0] * 5
    assert all(tensor.isfinite().all() for tensor in found.values())


def test_a_share_of_the_units_is_dropped_and_the_mean_stays():
    layout = Layout.of(member(0, layers=((50, "relu", 0.3),)).network, 4, 2)
    dice = Dropout(0, layout.layers[0], [1, 2])
    dice.begin(1)
    kept = dice.kept(torch.arange(1024).view(2, 512), torch.float32)[..., :50]
    assert kept.shape == (2, 2, 512, 50)
    assert (kept == 0).double().mean() == pytest.approx(0.3, abs=0.005)
    assert kept.mean() == pytest.approx(1.0, abs=0.01)
    assert not torch.equal(kept[0, 0], kept[0, 1]), "each member has dice of its own"
    again = Dropout(0, layout.layers[0], [2])
    again.begin(1)
    assert torch.equal(again.kept(torch.arange(512, 1024).unsqueeze(0), torch.float32)[0, 0, :, :50], kept[1, 1])
    again.begin(2)
    assert not torch.equal(again.kept(torch.arange(512).unsqueeze(0), torch.float32)[0, 0, :, :50], kept[0, 1])
