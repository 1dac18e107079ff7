import pytest
import torch
from scipy import stats

from learning.initialization import he, initial_weights, xavier
from learning.layout import LayerLayout, Layout
from learning.randomness import key, normal, uniform
from learning.weights import flat_of, tensors_of
from tests.learning.trials import network

LAYER = LayerLayout(inputs=30, units=50, activation="relu", offset=0)
PLACES = torch.arange(LAYER.inputs * LAYER.units, dtype=torch.int32)
KEYS = [key("weights", 1, 0)]


def _random():
    return torch.Generator().manual_seed(5)


def test_xavier_scales_uniform_numbers_as_torch_does():
    empty = torch.empty(LAYER.units, LAYER.inputs, dtype=torch.float64)
    by_torch = torch.nn.init.xavier_uniform_(empty.clone(), generator=_random()) / (
        2 * empty.clone().uniform_(generator=_random()) - 1
    )
    by_us = xavier(LAYER, KEYS, PLACES) / (2 * uniform(KEYS, PLACES) - 1)
    torch.testing.assert_close(by_us.mean(), by_torch.mean(), rtol=0, atol=1e-10)
    torch.testing.assert_close(by_us, by_us.mean().expand_as(by_us), rtol=0, atol=1e-10)


def test_he_scales_normal_numbers_as_torch_does():
    empty = torch.empty(LAYER.units, LAYER.inputs, dtype=torch.float64)
    by_torch = torch.nn.init.kaiming_normal_(empty.clone(), generator=_random()) / empty.clone().normal_(
        generator=_random()
    )
    by_us = he(LAYER, KEYS, PLACES) / normal(KEYS, PLACES)
    torch.testing.assert_close(by_us.mean(), by_torch.mean(), rtol=0, atol=1e-10)
    torch.testing.assert_close(by_us, by_us.mean().expand_as(by_us), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("ours", "own"), [(xavier, torch.nn.init.xavier_uniform_), (he, torch.nn.init.kaiming_normal_)]
)
def test_initial_weights_are_distributed_as_torchs(ours, own):
    theirs = own(torch.empty(LAYER.units, LAYER.inputs, dtype=torch.float64), generator=_random())
    assert stats.ks_2samp(ours(LAYER, KEYS, PLACES)[0].numpy(), theirs.flatten().numpy()).pvalue > 1e-3


@pytest.mark.parametrize("initialization", ["xavier", "he"])
def test_a_members_initial_weights_are_its_seeds_alone(initialization):
    layout = Layout.of(network(20, 7), 5, 3)
    together = initial_weights(layout, list(range(70)), initialization, torch.float32)
    for seed in (0, 33, 69):
        assert torch.equal(initial_weights(layout, [seed], initialization, torch.float32)[0], together[seed])
    assert len({row.numpy().tobytes() for row in together}) == 70


def test_a_new_network_has_zero_biases_and_nothing_in_its_padding():
    layout = Layout.of(network(20, 7), 5, 3)
    flat = initial_weights(layout, [3], "he", torch.float32)
    tensors = tensors_of(layout, flat)
    assert torch.equal(flat_of(layout, tensors), flat)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "layers.0.weight": (1, 5, 20),
        "layers.0.bias": (1, 20),
        "layers.1.weight": (1, 20, 7),
        "layers.1.bias": (1, 7),
        "layers.2.weight": (1, 7, 3),
        "layers.2.bias": (1, 3),
    }
    for name, tensor in tensors.items():
        assert bool((tensor == 0).all()) == name.endswith("bias")
