"""Dropout: in a training step each unit's output is zero with probability p, and 1 / (1 - p) times itself otherwise.

Srivastava et al. 2014, with the scaling at training instead of at prediction ("inverted"), as torch has it. Whether a
unit is kept is a function of (member's seed, epoch, layer, the row's place in the epoch, unit).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from learning.layout import LayerLayout
from learning.randomness import bits, key


class Dropout:
    """Of one layer, for members of these seeds."""

    def __init__(self, index: int, layer: LayerLayout, seeds: Sequence[int]) -> None:
        self.index, self.seeds = index, seeds
        self.units, self.padded = layer.units, layer.padded_units
        self.threshold = round(layer.dropout * 2**32) - 2**31  # int32 numbers below it are p of all
        self.scale = 1.0 / (1.0 - layer.dropout)

    def begin(self, epoch: int) -> None:
        self.keys = [key("dropout", seed, epoch, self.index) for seed in self.seeds]

    def kept(self, places: Tensor, dtype: torch.dtype) -> Tensor:
        """[blocks, K, B, padded units] of 0 and 1 / (1 - p) for rows at `places` [blocks, B] of the epoch.

        Places of padding rows are drawn for too: those rows have no share in the loss.
        """
        unit = torch.arange(self.padded, device=places.device)
        counters = (places.unsqueeze(-1) * self.units + unit).to(torch.int32)
        drawn = bits(self.keys, counters.view(-1)).view(len(self.keys), *counters.shape)
        return (drawn >= self.threshold).to(dtype).mul_(self.scale).transpose(0, 1)
