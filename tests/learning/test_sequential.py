"""A trained network as a plain torch module says what our own predictor says."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from learning.network import Predictor
from learning.sequential import as_sequential
from learning.specs import ACTIVATIONS, LayerSpec, NetworkSpec
from tests.learning.trials import examples, member, network, run

LAYERS = st.builds(
    LayerSpec,
    units=st.sampled_from([1, 3, 7, 20, 33]),
    activation=st.sampled_from(ACTIVATIONS),
    dropout=st.sampled_from([0.0, 0.3]),
)
NETWORKS = st.builds(NetworkSpec, st.lists(LAYERS, max_size=4).map(tuple))


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(spec: NetworkSpec, inputs: int, outputs: int, seed: int) -> dict[str, Tensor]:
    """The tensors of such a network, of a size at which every activation bends."""
    found, width = {}, inputs
    for index, units in enumerate([*(layer.units for layer in spec.layers), outputs]):
        found[f"layers.{index}.weight"] = numbers(width, units, seed=seed + index) / width**0.5
        found[f"layers.{index}.bias"] = numbers(units, seed=seed - index)
        width = units
    return found


@settings(deadline=None, max_examples=200)
@given(NETWORKS, st.integers(1, 40), st.integers(1, 5), st.integers(0, 1000))
def test_its_outputs_are_ours(spec, inputs, outputs, seed):
    tensors, rows = drawn(spec, inputs, outputs, seed), numbers(70, inputs, seed=seed + 50)
    for dtype, near in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        narrowed = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        ours = Predictor(spec, narrowed)(rows.to(dtype))
        theirs = as_sequential(spec, narrowed)(rows.to(dtype))
        size = max(1.0, ours.abs().max().item())
        torch.testing.assert_close(theirs / size, ours / size, rtol=0, atol=near)


def test_it_is_made_of_torchs_own_modules_in_the_order_of_the_layers():
    spec = NetworkSpec((LayerSpec(8, "gelu", 0.25), LayerSpec(4, "identity")))
    module = as_sequential(spec, drawn(spec, 3, 2, seed=0))
    assert [type(each) for each in module] == [nn.Linear, nn.GELU, nn.Dropout, nn.Linear, nn.Linear]
    assert module[2].p == 0.25
    assert not module.training


def test_a_trained_member_goes_on_training_in_torch_and_leaves_ours_as_it_was():
    train = examples("regression", 100, 4, 1)
    trained = run([member(layers=(16,), task="regression")], "regression", 1, train).trained
    tensors = {name: tensor[0] for name, tensor in trained.stacked().items()}
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
