"""What a network starts from: weights drawn so that neither signals nor gradients grow or fade with depth.

    xavier          uniform within ±√(6 / (in + out))         Glorot and Bengio 2010, equation 16
    xavier_normal   normal with variance 2 / (in + out)       the same, equation 12
    he              normal with variance 2 / in               He et al. 2015, equation 10
    he_uniform      uniform within ±√(6 / in)                 the same variance
    lecun           normal with variance 1 / in               LeCun et al. 1998, equation 16
    zeros           0: for linear and logistic regression, which need no chance

Each weight is a function of (member's seed, layer, row, unit) and of nothing else, padding least of all. Biases and
shifts start at 0, scales and running variances at 1; embeddings are normal with variance 1, as standardised inputs are.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from learning.layout import LayerLayout, Layout
from learning.randomness import key, normal, uniform

MEMBERS_AT_ONCE = 32  # bounds the memory of the float64 numbers on their way
NUMBERS_AT_ONCE = 1 << 22

Keys = Sequence[tuple[int, int]]


def _uniform(variance: float, keys: Keys, places: Tensor) -> Tensor:
    """Within ±√(3 variance)."""
    return uniform(keys, places).mul_(2.0).sub_(1.0).mul_(math.sqrt(3.0 * variance))


def _normal(variance: float, keys: Keys, places: Tensor) -> Tensor:
    return normal(keys, places).mul_(math.sqrt(variance))


def xavier(layer: LayerLayout, keys: Keys, places: Tensor) -> Tensor:
    bound = math.sqrt(6.0 / max(1, layer.inputs + layer.units))
    return uniform(keys, places).mul_(2.0).sub_(1.0).mul_(bound)


def xavier_normal(layer: LayerLayout, keys: Keys, places: Tensor) -> Tensor:
    return _normal(2.0 / max(1, layer.inputs + layer.units), keys, places)


def he(layer: LayerLayout, keys: Keys, places: Tensor) -> Tensor:
    return _normal(2.0 / max(1, layer.inputs), keys, places)


def he_uniform(layer: LayerLayout, keys: Keys, places: Tensor) -> Tensor:
    return _uniform(2.0 / max(1, layer.inputs), keys, places)


def lecun(layer: LayerLayout, keys: Keys, places: Tensor) -> Tensor:
    return _normal(1.0 / max(1, layer.inputs), keys, places)


def zeros(_layer: LayerLayout, keys: Keys, places: Tensor) -> Tensor:
    return torch.zeros(len(keys), len(places), dtype=torch.float64)


INITIALIZERS: dict[str, Callable[[LayerLayout, Keys, Tensor], Tensor]] = {
    "xavier": xavier,
    "xavier_normal": xavier_normal,
    "he": he,
    "he_uniform": he_uniform,
    "lecun": lecun,
    "zeros": zeros,
}


def initial_weights(layout: Layout, seeds: Sequence[int], initialization: str, dtype: torch.dtype) -> Tensor:
    """[K, P] with K = len(seeds), made on the CPU so that every device starts from the same; biases are zero."""
    draw = INITIALIZERS[initialization]
    flat = torch.zeros(len(seeds), layout.stride, dtype=dtype)
    most = max(1, min(MEMBERS_AT_ONCE, NUMBERS_AT_ONCE // layout.stride))
    for start in range(0, len(seeds), most):
        some = seeds[start : start + most]
        part = flat[start : start + most]
        for index, each in enumerate(layout.embeddings):
            places = torch.arange(each.numbers, dtype=torch.int32)
            keys = [key("embeddings", seed, index) for seed in some]
            each.table(part).copy_(_normal(1.0, keys, places).view(len(some), each.categories, each.units))
        for index, layer in enumerate(layout.layers):
            places = torch.arange(layer.inputs * layer.units, dtype=torch.int32)
            numbers = draw(layer, [key("weights", seed, index) for seed in some], places)
            weight = layer.weight(part)
            weight[:, : layer.inputs, : layer.units] = numbers.view(len(some), layer.inputs, layer.units)
            for name, row in layer.parts(part).items():
                if name in ("scale", "var"):
                    row[..., : layer.units] = 1.0
    return flat
