"""A trained network as a plain torch module says what our own predictor says."""

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from learning.examples import Data, Examples
from learning.fitting import fit
from learning.network import Predictor
from learning.sequential import LookedUp, as_sequential
from learning.specs import ACTIVATIONS, NORMALIZATIONS, EmbeddingSpec, LayerSpec, NetworkSpec
from tests.learning.trials import examples, member, network, run, target

LAYERS = st.builds(
    LayerSpec,
    units=st.sampled_from([1, 3, 7, 20, 33]),
    activation=st.sampled_from(ACTIVATIONS),
    dropout=st.sampled_from([0.0, 0.3]),
    normalization=st.sampled_from([None, *NORMALIZATIONS]),
)
NETWORKS = st.builds(NetworkSpec, st.lists(LAYERS, max_size=4).map(tuple))


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TABLES = st.lists(st.builds(EmbeddingSpec, st.sampled_from([2, 5, 90]), st.sampled_from([4, 8])), max_size=2)


def drawn(spec: NetworkSpec, inputs: int, outputs: int, seed: int, tables: list[EmbeddingSpec]) -> dict[str, Tensor]:
    """The tensors of such a network between `inputs` numbers, behind them an index for each table, and outputs."""
    found = {
        f"embeddings.{index}": numbers(table.categories, table.units, seed=seed + 30 + index)
        for index, table in enumerate(tables)
    }
    width = inputs + sum(table.units for table in tables)
    for index, layer in enumerate([*spec.layers, LayerSpec(outputs)]):
        own = {"weight": numbers(width, layer.units, seed=seed + index) / width**0.5}
        parts = {
            None: ("bias",),
            "layer": ("bias", "scale", "shift"),
            "batch": ("bias", "scale", "shift", "mean", "var"),
        }
        for place, part in enumerate(parts[layer.normalization]):
            own[part] = numbers(layer.units, seed=1000 * seed + 10 * index + place)
        if "var" in own:
            own["var"] = own["var"].square() + 0.5
        found |= {f"layers.{index}.{part}": tensor for part, tensor in own.items()}
        width = layer.units
    return found


@settings(deadline=None, max_examples=200)
@given(NETWORKS, st.integers(1, 40), st.integers(1, 5), st.integers(0, 1000), TABLES)
def test_its_outputs_are_ours(spec, inputs, outputs, seed, tables):
    tensors = drawn(spec, inputs, outputs, seed, tables)
    indices = [
        numbers(70, seed=seed + 70 + place).abs().mul(1e6) % table.categories for place, table in enumerate(tables)
    ]
    rows = torch.stack([*numbers(inputs, 70, seed=seed + 50), *(each.trunc() for each in indices)], dim=1)
    for dtype, near in ((torch.float64, 1e-11), (torch.float32, 1e-6)):
        narrowed = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        ours = Predictor(spec, narrowed)(rows.to(dtype))
        theirs, size = rows.to(dtype), 1.0
        for module in as_sequential(spec, narrowed):  # one after the other, to see how large the numbers on the way are
            if isinstance(module, nn.LayerNorm):  # of a row whose numbers are close it magnifies what they are off by
                size /= min(1.0, (theirs.var(dim=1, correction=0) + module.eps).sqrt().min().item())
            theirs = module(theirs)
            size = max(size, theirs.abs().max().item())
        torch.testing.assert_close(theirs / size, ours / size, rtol=0, atol=near)


def test_its_softplus_is_ours_where_torch_would_cut_it_off():
    spec = NetworkSpec((LayerSpec(1, "softplus"),))
    one, none = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    tensors = {"layers.0.weight": one, "layers.0.bias": none, "layers.1.weight": one, "layers.1.bias": none}
    rows = torch.linspace(-50, 50, 1001, dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(as_sequential(spec, tensors)(rows), Predictor(spec, tensors)(rows), rtol=1e-13, atol=0)


def test_it_is_made_of_torchs_own_modules_in_the_order_of_the_layers():
    spec = NetworkSpec((LayerSpec(8, "gelu", 0.25, "batch"), LayerSpec(4, "identity", 0.0, "layer")))
    module = as_sequential(spec, drawn(spec, 3, 2, 0, [EmbeddingSpec(5, 4)]))
    hidden = [nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Dropout, nn.Linear, nn.LayerNorm]
    assert [type(each) for each in module] == [LookedUp, *hidden, nn.Linear]
    assert module[4].p == 0.25
    assert not module.training


def test_a_trained_member_goes_on_training_in_torch_and_leaves_ours_as_it_was():
    train = examples("regression", 100, 4, 1)
    trained = run([member(layers=(16,), task="regression")], "regression", 1, train).trained
    tensors = {name: tensor[0] for name, tensor in trained.stacks[0].tensors().items()}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    state = torch.get_rng_state()
    module = as_sequential(network(16), tensors).train()
    assert torch.get_rng_state().equal(state)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(module(train.inputs), train.targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] * 0.9
    assert all(tensor.equal(before[name]) for name, tensor in tensors.items())


def test_what_was_trained_with_running_figures_and_tables_predicts_the_same_in_torch():
    drawn_rows = examples("multiclass", 120, 3, 3)
    indices = torch.arange(120).remainder(7).float().unsqueeze(1)
    train = Examples(torch.cat([drawn_rows.inputs, indices], dim=1), drawn_rows.targets)
    tables = (EmbeddingSpec(7, 8),)
    layers = (LayerSpec(12, "silu", 0.2, "batch"), LayerSpec(9, "tanh", 0.0, "layer"))
    spec = replace(member(epochs=3), network=NetworkSpec(layers))
    *_, last = fit([spec], Data(target("multiclass", 3), train, embeddings=tables))
    tensors = last.trained().tensors(0)
    assert not tensors["layers.0.mean"].equal(torch.zeros(12))
    ours = Predictor(spec.network, tensors)(train.inputs)
    torch.testing.assert_close(as_sequential(spec.network, tensors)(train.inputs), ours, rtol=0, atol=1e-6)
