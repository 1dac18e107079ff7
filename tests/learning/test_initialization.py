import pytest
import torch
from scipy import stats

from learning import specs
from learning.initialization import INITIALIZERS, initial_weights
from learning.layout import LayerLayout, Layout
from learning.randomness import key, normal, uniform
from learning.specs import EmbeddingSpec, LayerSpec, NetworkSpec
from learning.weights import flat_of, tensors_of
from tests.learning.trials import network

LAYER = LayerLayout(inputs=30, units=50, activation="relu", offset=0)
PLACES = torch.arange(LAYER.inputs * LAYER.units, dtype=torch.int32)
KEYS = [key("weights", 1, 0)]


def _random():
    return torch.Generator().manual_seed(5)


INITIALIZATIONS = {
    "xavier": (uniform, torch.nn.init.xavier_uniform_, {}),
    "xavier_normal": (normal, torch.nn.init.xavier_normal_, {}),
    "he": (normal, torch.nn.init.kaiming_normal_, {}),
    "he_uniform": (uniform, torch.nn.init.kaiming_uniform_, {}),
    "lecun": (normal, torch.nn.init.kaiming_normal_, {"nonlinearity": "linear"}),
}


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_random_numbers_are_scaled_as_torch_scales_its_own(name):
    drawn, own, given = INITIALIZATIONS[name]
    empty = torch.empty(LAYER.units, LAYER.inputs, dtype=torch.float64)
    plain = empty.clone().uniform_(generator=_random()) * 2 - 1
    plain = plain if drawn is uniform else empty.clone().normal_(generator=_random())
    by_torch = own(empty.clone(), generator=_random(), **given) / plain
    ours = drawn(KEYS, PLACES) * 2 - 1 if drawn is uniform else drawn(KEYS, PLACES)
    by_us = INITIALIZERS[name](LAYER, KEYS, PLACES) / ours
    torch.testing.assert_close(by_us.mean(), by_torch.mean(), rtol=0, atol=1e-10)
    torch.testing.assert_close(by_us, by_us.mean().expand_as(by_us), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_initial_weights_are_distributed_as_torchs(name):
    _, own, given = INITIALIZATIONS[name]
    theirs = own(torch.empty(LAYER.units, LAYER.inputs, dtype=torch.float64), generator=_random(), **given)
    ours = INITIALIZERS[name](LAYER, KEYS, PLACES)[0]
    assert stats.ks_2samp(ours.numpy(), theirs.flatten().numpy()).pvalue > 1e-3


def test_zeros_are_zeros_and_every_initialization_is_tested():
    assert not INITIALIZERS["zeros"](LAYER, KEYS, PLACES).any()
    assert {*INITIALIZATIONS, "zeros"} == set(specs.INITIALIZATIONS) == set(INITIALIZERS)


def test_embeddings_start_as_standardised_inputs_and_scales_and_variances_at_one():
    spec = NetworkSpec((LayerSpec(20, normalization="batch"),))
    layout = Layout.of(spec, 5, 3, [EmbeddingSpec(500, 8), EmbeddingSpec(3, 2)])
    tensors = tensors_of(layout, initial_weights(layout, [3, 4], "he", torch.float32))
    table = tensors["embeddings.0"]
    assert stats.kstest(table.flatten().numpy(), "norm").pvalue > 1e-3
    assert not torch.equal(table[0], table[1])
    assert tensors["embeddings.1"].shape == (2, 3, 2)
    assert all(bool((tensors[f"layers.0.{name}"] == 1).all()) for name in ("scale", "var"))
    assert not any(bool(tensors[f"layers.0.{name}"].any()) for name in ("bias", "shift", "mean"))


@pytest.mark.parametrize("initialization", sorted(INITIALIZATIONS))
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
