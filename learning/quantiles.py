"""Between which values how much of a sample lies."""

from collections.abc import Sequence

import torch
from torch import Tensor


def quantiles(values: Tensor, levels: Sequence[float]) -> Tensor:
    """[N, T] float64 → [levels, T]: of each column, linear between its two nearest values, as numpy's default is."""
    ordered = values.sort(dim=0).values
    place = torch.tensor(levels, dtype=torch.float64) * (len(values) - 1)
    below, above = ordered[place.floor().long()], ordered[place.ceil().long()]
    return below + (above - below) * (place - place.floor()).unsqueeze(1)
