"""How a step changes the weights, written once for any number of members; with g the gradient ∂E/∂w:

    gd, sgd   w ← w - ε g
    adam      m ← β₁ m + (1 - β₁) g     v ← β₂ v + (1 - β₂) g²                Kingma and Ba 2015, algorithm 1
              w ← w - ε (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + 1e-8)

gd and sgd differ in what a batch is, not in what a step is. Learning rates and βs are a member's own, [K, 1].
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from learning.specs import OptimizerSpec

EPSILON = 1e-8
# Added to every g²: its root is far below ε, and it keeps v away from the subnormal numbers that gradients near zero
# would leave there, of which a square root takes ten times as long.
TRACE = 1e-30


class Optimizer(Protocol):
    """`moments`: the names of what it remembers, each [K, P] and zero before the first step."""

    moments: ClassVar[tuple[str, ...]]

    def plan(self, first: int, count: int) -> None:
        """Get ready for the steps `first` (from 1) … first + count - 1: what depends on t is made for all at once."""

    def step(self, weights: Tensor, gradient: Tensor, planned: int, /) -> None:
        """Change `weights` [K, P] in place, as the step `first + planned`."""


class GradientDescent:
    moments: ClassVar[tuple[str, ...]] = ()

    def __init__(self, specs: Sequence[OptimizerSpec], _moments: Mapping[str, Tensor], like: Tensor) -> None:
        self.rates = _column([spec.learning_rate for spec in specs], like)

    def plan(self, first: int, count: int) -> None:
        """Nothing here depends on t."""

    def step(self, weights: Tensor, gradient: Tensor, _planned: int, /) -> None:
        weights.addcmul_(gradient, self.rates, value=-1.0)


class Adam:
    """The two corrections are moved onto the step's size and ε, which are one number a member:

    w ← w - a m / (√v + e),   a = ε √(1 - β₂ᵗ) / (1 - β₁ᵗ),   e = 1e-8 √(1 - β₂ᵗ)
    """

    moments: ClassVar[tuple[str, ...]] = ("mean", "square")

    def __init__(self, specs: Sequence[OptimizerSpec], moments: Mapping[str, Tensor], like: Tensor) -> None:
        self.betas = sorted({spec.betas for spec in specs})
        self.of_member = [self.betas.index(spec.betas) for spec in specs]
        self.rates = torch.tensor([spec.learning_rate for spec in specs], dtype=torch.float64)
        self.mean, self.square = moments["mean"], moments["square"]
        self.room = torch.empty_like(like)
        self.trace = torch.full((1, 1), TRACE, dtype=like.dtype, device=like.device)
        self.fresh_mean = _column([1.0 - spec.betas[0] for spec in specs], like)
        self.fresh_square = _column([1.0 - spec.betas[1] for spec in specs], like)
        self.sizes: Sequence[Tensor] = ()
        self.floors: Sequence[Tensor] = ()

    def plan(self, first: int, count: int) -> None:
        steps = range(first, first + count)
        # [count, βs, 2] in Python's own arithmetic, then [count, K, 2], float64 until the last moment
        corrections = [[_corrections(betas, step) for betas in self.betas] for step in steps]
        table = torch.tensor(corrections, dtype=torch.float64)[:, self.of_member]
        self.sizes = (table[:, :, 0] * self.rates).to(self.room).unsqueeze(2).unbind()
        self.floors = (table[:, :, 1] * EPSILON).to(self.room).unsqueeze(2).unbind()

    def step(self, weights: Tensor, gradient: Tensor, planned: int, /) -> None:
        room = self.room
        self.mean.lerp_(gradient, self.fresh_mean)
        self.square.lerp_(torch.addcmul(self.trace, gradient, gradient, out=room), self.fresh_square)
        torch.sqrt(self.square, out=room).add_(self.floors[planned])
        weights.addcmul_(torch.div(self.mean, room, out=room), self.sizes[planned], value=-1.0)


def _corrections(betas: tuple[float, float], step: int) -> tuple[float, float]:
    root = math.sqrt(1.0 - betas[1] ** step)
    return root / (1.0 - betas[0] ** step), root


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=like.dtype, device=like.device).unsqueeze(1)


OPTIMIZERS: dict[str, Callable[[Sequence[OptimizerSpec], Mapping[str, Tensor], Tensor], Optimizer]] = {
    "gd": GradientDescent,
    "sgd": GradientDescent,
    "adam": Adam,
}
MOMENTS = {"gd": GradientDescent.moments, "sgd": GradientDescent.moments, "adam": Adam.moments}
