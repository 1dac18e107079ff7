"""Whether a probability is what it says: of the rows that were told 0.8, are eight in ten so?"""

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Of BINS bins of equal width, (0, 0.1] … (0.9, 1]; 0 is in the first. NaN where a bin has no row."""

    counts: Tensor  # [BINS] int64
    predicted: Tensor  # [BINS] float64, the mean probability
    observed: Tensor  # [BINS] float64, the share of yes
    error: float  # the expected calibration error, Σ |observed - predicted| · count / n

    @classmethod
    def of(cls, probabilities: Tensor, yes: Tensor) -> "Reliability":
        """[N] float64 and [N] bool, at least one row."""
        edges = torch.arange(1, BINS, dtype=torch.float64) / BINS
        place = torch.bucketize(probabilities.contiguous(), edges)
        counts = torch.bincount(place, minlength=BINS)
        told = torch.bincount(place, probabilities, minlength=BINS)
        true = torch.bincount(place[yes], minlength=BINS)
        error = (true - told).abs().sum().item() / len(yes)
        return cls(counts, told / counts, true.double() / counts, error)
