"""Normalization of a layer's sums h before its activation: centred, divided by their spread, then scaled and shifted.

    layer   each row over its units                                                       Ba, Kiros and Hinton 2016
    batch   each unit over the batch's rows; after training, by running figures of them   Ioffe and Szegedy 2015

    x = (h - m) / √(v + 1e-5)       n = x · scale + shift

    ∂E/∂scale = Σ rows δ x     ∂E/∂shift = Σ rows δ                              with δ = ∂E/∂n
    ∂E/∂h = (g - mean(g) - x · mean(g x)) / √(v + 1e-5)                           with g = δ · scale

where both means run over what m and v were taken over. Of batch normalization the running mean moves a tenth of the way
to each batch's mean, and the running variance to its unbiased variance, as torch's do; a batch of one row has no spread
and leaves them alone. Rows that are padding count nowhere, units that are padding stay zero.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from learning.batches import Block
from learning.layout import LayerLayout
from learning.sums import halving_sum

EPSILON = 1e-5
MOMENTUM = 0.1


class Normalization(Protocol):
    """Of one layer of K members; sums and deltas come as blocks of a batch, each [K, B, padded units]."""

    def forward(self, sums: Sequence[Tensor], batch: Sequence[Block] | None) -> None:
        """Turn the sums into normalized ones in place. Without a `batch` as at prediction."""

    def backward(self, deltas: Sequence[Tensor], batch: Sequence[Block]) -> tuple[Tensor, Tensor]:
        """Turn ∂E/∂n into ∂E/∂h in place; returns ∂E/∂scale and ∂E/∂shift, each [K, padded units]."""


class LayerNormalization:
    def __init__(self, layer: LayerLayout, weights: Tensor) -> None:
        self.units = layer.units
        self.mask = layer.mask(weights)
        self.scale, self.shift = layer.scale(weights), layer.shift(weights)
        self.normalized: list[Tensor] = []
        self.inverse: list[Tensor] = []  # 1 / √(v + ε), [K, B, 1]

    def forward(self, sums: Sequence[Tensor], batch: Sequence[Block] | None) -> None:
        self.normalized, self.inverse = [], []
        for h in sums:
            h.sub_(self._mean(h)).mul_(self.mask)
            inverse = self._mean(h * h).add_(EPSILON).rsqrt_()
            h.mul_(inverse)
            if batch is not None:
                self.normalized.append(h.clone())
                self.inverse.append(inverse)
            h.mul_(self.scale).add_(self.shift)

    def backward(self, deltas: Sequence[Tensor], _batch: Sequence[Block]) -> tuple[Tensor, Tensor]:
        scale, shift = [], []
        for delta, x, inverse in zip(deltas, self.normalized, self.inverse, strict=False):
            scale.append((delta * x).sum(1))
            shift.append(delta.sum(1))
            delta.mul_(self.scale)
            along = x.mul_(self._mean(delta * x))
            delta.sub_(self._mean(delta)).mul_(self.mask).sub_(along).mul_(inverse)
        return _total(scale), _total(shift)

    def _mean(self, values: Tensor) -> Tensor:
        """Over true units, [K, B, 1]; padded ones are zero."""
        return halving_sum(values, 2).unsqueeze(2).div_(self.units)


class BatchNormalization:
    def __init__(self, layer: LayerLayout, weights: Tensor) -> None:
        self.scale, self.shift = layer.scale(weights), layer.shift(weights)
        self.mean, self.var = layer.mean(weights), layer.var(weights)
        self.normalized: list[Tensor] = []
        self.inverse = torch.empty(0)

    def forward(self, sums: Sequence[Tensor], batch: Sequence[Block] | None) -> None:
        if batch is None:
            factor = (self.var + EPSILON).rsqrt_().mul_(self.scale)
            for h in sums:
                h.sub_(self.mean).mul_(factor).add_(self.shift)
            return
        rows = batch[0].step_rows
        mean = _over_rows([h * block.real for h, block in zip(sums, batch, strict=True)], rows)
        for h, block in zip(sums, batch, strict=True):
            h.sub_(mean).mul_(block.real)
        var = _over_rows([h * h for h in sums], rows)
        if rows > 1:
            self.mean.lerp_(mean, MOMENTUM)
            self.var.lerp_(var * (rows / (rows - 1)), MOMENTUM)
        self.inverse = (var + EPSILON).rsqrt_()
        self.normalized = []
        for h in sums:
            self.normalized.append(h.mul_(self.inverse).clone())
            h.mul_(self.scale).add_(self.shift)

    def backward(self, deltas: Sequence[Tensor], batch: Sequence[Block]) -> tuple[Tensor, Tensor]:
        rows = batch[0].step_rows
        along = [delta * x for delta, x in zip(deltas, self.normalized, strict=True)]
        scale, shift = _total([each.sum(1) for each in along]), _total([delta.sum(1) for delta in deltas])
        # Σ g and Σ g x are what scale multiplies of the two sums just made.
        mean = shift.unsqueeze(1).div(rows).mul_(self.scale)
        slope = scale.unsqueeze(1).div(rows).mul_(self.scale)
        for delta, x, block in zip(deltas, self.normalized, batch, strict=True):
            delta.mul_(self.scale).sub_(mean).sub_(x.mul_(slope)).mul_(self.inverse).mul_(block.real)
        return scale, shift


def _over_rows(blocks: Sequence[Tensor], rows: int) -> Tensor:
    """Σ / rows over the rows of all blocks, [K, 1, units]."""
    return _total([block.sum(1) for block in blocks]).unsqueeze(1).div_(rows)


def _total(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else halving_sum(torch.stack(list(parts)), 0)


NORMALIZATIONS: dict[str, Callable[[LayerLayout, Tensor], Normalization]] = {
    "layer": LayerNormalization,
    "batch": BatchNormalization,
}
