"""Learned embeddings: an index is looked up in a table, and the row found there stands among the network's inputs.

    x[place : place + units] = table[index]        ∂E/∂table[index] += ∂E/∂x[place : place + units]

`units` divides 16, so all of a population's numbers are rows of `units` numbers, tables among them: nothing is copied.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from learning.layout import EmbeddingLayout, Layout, padded


class Embeddings:
    """Of K members: encoded inputs [K or 1, B, F], whose last columns are indices, to [K, B, padded inputs]."""

    def __init__(self, layout: Layout, weights: Tensor, rows: int, blocks: int) -> None:
        self.layouts = layout.embeddings
        self.dense = self.layouts[0].place
        self.stride = layout.stride
        self.weights = weights
        self.inputs = [weights.new_zeros(len(weights), rows, padded(layout.inputs)) for _ in range(blocks)]
        self.member = torch.arange(len(weights), device=weights.device).unsqueeze(1)

    def forward(self, encoded: Sequence[Tensor]) -> list[Tensor]:
        for x, given in zip(self.inputs, encoded, strict=False):
            x[:, :, : self.dense] = given[:, :, : self.dense]
            for each in self.layouts:
                first = (self.member * self.stride + each.offset) // each.units
                found = self.weights.view(-1, each.units).index_select(0, _rows(given, each, first))
                _embedded(x, each).copy_(found.view(len(x), -1, each.units))
        return self.inputs[: len(encoded)]

    def backward(self, encoded: Sequence[Tensor], deltas: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Add to each table's gradient [K, numbers] what `deltas` = ∂E/∂x [K, B, padded inputs] say."""
        for given, delta in zip(encoded, deltas, strict=True):
            for each, gradient in zip(self.layouts, gradients, strict=True):
                first = self.member * (gradient.shape[1] // each.units)
                found = _embedded(delta, each).reshape(-1, each.units)
                gradient.view(-1, each.units).index_add_(0, _rows(given, each, first), found)


def _rows(given: Tensor, each: EmbeddingLayout, first: Tensor) -> Tensor:
    """[K B]: of every row of every member, where what it looks up stands; `first` [K, 1] is where its table starts."""
    return (given[:, :, each.column].long() + first).view(-1)


def _embedded(x: Tensor, each: EmbeddingLayout) -> Tensor:
    return x[:, :, each.place : each.place + each.units]
