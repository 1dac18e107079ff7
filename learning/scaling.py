"""Mean and standard deviation of a column's train rows, the two numbers behind (x - mean) / deviation."""

import math
from typing import NamedTuple

from torch import Tensor

from learning.sums import halving_mean


class Moments(NamedTuple):
    mean: float
    deviation: float  # of the population, the root of mean((x - mean)²); zero only where every value is the same


def moments(values: Tensor) -> Moments:
    """Of `values` [N] float64, finite and at least one; in two passes, free of overflow up to the largest number."""
    smallest, largest = values.min().item(), values.max().item()
    if smallest == largest:
        return Moments(largest, 0.0)
    # Divided by a power of two every number keeps its bits, and no sum or square can overflow.
    unit = math.ldexp(1.0, math.frexp(max(-smallest, largest))[1] - 1)
    scaled = values / unit
    mean = halving_mean(scaled, 0)
    deviation = halving_mean((scaled - mean).square(), 0).sqrt()
    return Moments(mean.item() * unit, deviation.item() * unit)
