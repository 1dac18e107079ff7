"""What a network starts from: weights drawn so that neither signals nor gradients grow or fade with depth.

Each weight is a function of (member's seed, layer, row, unit) and of nothing else, padding least of all.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from learning.layout import LayerLayout, Layout
from learning.randomness import key, normal, uniform

_MEMBERS_AT_ONCE = 32  # bounds the memory of the float64 numbers on their way


def xavier(layer: LayerLayout, keys: Sequence[tuple[int, int]], places: Tensor) -> Tensor:
    """Uniform within ±√(6 / (in + out)): Glorot and Bengio 2010, equation 16."""
    bound = math.sqrt(6.0 / max(1, layer.inputs + layer.units))
    return uniform(keys, places).mul_(2.0).sub_(1.0).mul_(bound)


def he(layer: LayerLayout, keys: Sequence[tuple[int, int]], places: Tensor) -> Tensor:
    """Normal with variance 2 / in: He et al. 2015, equation 10."""
    return normal(keys, places).mul_(math.sqrt(2.0 / max(1, layer.inputs)))


INITIALIZERS: dict[str, Callable[[LayerLayout, Sequence[tuple[int, int]], Tensor], Tensor]] = {
    "xavier": xavier,
    "he": he,
}


def initial_weights(layout: Layout, seeds: Sequence[int], initialization: str, dtype: torch.dtype) -> Tensor:
    """[K, P] with K = len(seeds), made on the CPU so that every device starts from the same; biases are zero."""
    draw = INITIALIZERS[initialization]
    flat = torch.zeros(len(seeds), layout.stride, dtype=dtype)
    for start in range(0, len(seeds), _MEMBERS_AT_ONCE):
        some = seeds[start : start + _MEMBERS_AT_ONCE]
        for index, layer in enumerate(layout.layers):
            places = torch.arange(layer.inputs * layer.units, dtype=torch.int32)
            numbers = draw(layer, [key("weights", seed, index) for seed in some], places)
            view = layer.weight(flat[start : start + len(some)])
            view[:, : layer.inputs, : layer.units] = numbers.view(len(some), layer.inputs, layer.units)
    return flat
