"""A sum whose bits depend on its terms and their order alone.

`torch.sum` adds in an order that follows the shape, the memory layout and the number of threads, so the same numbers
have another last bit in another company. Adding the second half to the first, again and again, uses elementwise
additions only, and those are exact to the bit everywhere. It is pairwise summation: its error grows as log N, not N.
"""

import torch
from torch import Tensor


def halving_sum(terms: Tensor, dim: int) -> Tensor:
    """The sum of `terms` over `dim`; zero where there is no term. Halves: [a b c d e] -> [a+d b+e c] -> [a+d+c b+e]."""
    if terms.shape[dim] == 0:
        return torch.zeros_like(terms).sum(dim)
    while (count := terms.shape[dim]) > 1:
        half = (count + 1) // 2
        total = terms.narrow(dim, 0, half).clone()
        total.narrow(dim, 0, count - half).add_(terms.narrow(dim, half, count - half))
        terms = total
    return terms.select(dim, 0)


def halving_mean(terms: Tensor, dim: int) -> Tensor:
    return halving_sum(terms, dim) / terms.shape[dim]


def in_units(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Divide [..., N, T] by a power of two near the largest of each N, and return that too, [..., T].

    The square of 1e200 is no float64. A division by a power of two is exact: of ordinary numbers no bit changes.
    """
    largest = numbers.abs().amax(-2)
    exponent = torch.frexp(torch.where(largest.isfinite(), largest, 1.0)).exponent.double()
    unit = torch.full_like(exponent, 2.0).pow(exponent.clamp(min=-1_000.0, max=1_000.0))
    return numbers / unit.unsqueeze(-2), unit
