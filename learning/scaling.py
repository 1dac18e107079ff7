"""The middle and the spread of a column's train rows, the two numbers behind (x - middle) / spread.

standard   the mean, and the standard deviation
robust     the median, and the distance between the quartiles, which no outlier moves. What lies far out is then drawn
           in by a smooth clip, x / √(1 + (x / 3)²): almost x near zero, within ±3 everywhere. Both after Holzmüller,
           Grinsztajn and Steinwart (2024), "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data"
none       numbers stay as they are
"""

import math
import sys
from typing import Literal, NamedTuple

from torch import Tensor

from learning.sums import halving_mean

Scaling = Literal["standard", "robust", "none"]

CLIP = 3.0


class Moments(NamedTuple):
    mean: float
    deviation: float  # of the population, the root of mean((x - mean)²); zero only where every value is the same


class Spread(NamedTuple):
    middle: float
    spread: float  # zero only where every value is the same


def moments(values: Tensor) -> Moments:
    """Of `values` [N] float64, finite and at least one; in two passes, free of overflow up to the largest number."""
    smallest, largest = values.min().item(), values.max().item()
    if smallest == largest:
        return Moments(largest, 0.0)
    unit = _unit(smallest, largest)
    scaled = values / unit
    mean = halving_mean(scaled, 0)
    deviation = halving_mean((scaled - mean).square(), 0).sqrt()
    return Moments(mean.item() * unit, deviation.item() * unit)


def spread(values: Tensor, scaling: Scaling) -> Spread:
    """Of `values` [N] float64, finite; both zero where there is none."""
    if not len(values):
        return Spread(0.0, 0.0)
    return _robust(values) if scaling == "robust" else Spread(*moments(values))


def _robust(values: Tensor) -> Spread:
    """The median, and the distance between the quartiles; half the range where the quartiles are equal."""
    values = values.sort().values
    smallest, largest = values[0].item(), values[-1].item()
    if smallest == largest:
        return Spread(largest, 0.0)
    unit = _unit(smallest, largest)
    scaled = values / unit
    first, median, third = (_quantile(scaled, share) for share in (0.25, 0.5, 0.75))
    distance = third - first or (largest / unit - smallest / unit) / 2
    return Spread(median * unit, min(distance * unit, sys.float_info.max))


def _quantile(ordered: Tensor, share: float) -> float:
    """Between two values the straight line, as numpy's `quantile`; the value itself where both are the same."""
    below, part = divmod(share * (len(ordered) - 1), 1)
    low, high = ordered[int(below)].item(), ordered[min(int(below) + 1, len(ordered) - 1)].item()
    return low + (high - low) * part


def _unit(smallest: float, largest: float) -> float:
    """A power of two: divided by it every number keeps its bits, and no sum or square can overflow."""
    return math.ldexp(1.0, math.frexp(max(-smallest, largest))[1] - 1)


def smooth_clip(numbers: Tensor) -> Tensor:
    """Elementwise x / √(1 + (x / 3)²), of numbers whose square does not overflow."""
    return numbers / (1.0 + (numbers / CLIP).square()).sqrt()
