"""How a step changes the weights, written once for any number of members; with g the gradient ∂E/∂w:

    gd, sgd   u ← µ u + g                                                     momentum µ, from u = 0
              w ← w - ε u, or with Nesterov's look ahead w - ε (g + µ u)
    adam      m ← β₁ m + (1 - β₁) g     v ← β₂ v + (1 - β₂) g²                Kingma and Ba 2015, algorithm 1
              w ← w - ε (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + 1e-8)
    adamw     w ← (1 - ε λ) w, then as adam                                   Loshchilov and Hutter 2019, algorithm 2
    rmsprop   v ← 0.99 v + 0.01 g²      u ← µ u + g / (√v + 1e-8)             Tieleman and Hinton 2012, lecture 6.5
              w ← w - ε u

Before all of these g is clipped, g ← g · min(1, limit / |g|), and weight decay λ is added, g ← g + λ w; adamw takes its
own way with λ. gd and sgd differ in what a batch is, not in what a step is. All but names and Nesterov are a member's
own, [K, 1]. A member without momentum, decay or limit has the same bits beside one that has: 0 u + g is g.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from learning.specs import OptimizerSpec
from learning.sums import halving_sum

EPSILON = 1e-8
FADING = 0.99  # of rmsprop's v
# Added to every g²: its root is far below ε, and it keeps v away from the subnormal numbers that gradients near zero
# would leave there, of which a square root takes ten times as long.
TRACE = 1e-30
NORM_FLOOR = 1e-6  # added to every norm, as torch does


class Optimizer(Protocol):
    """Made of the members' specs, their moments (`OptimizerSpec.moments`, each [K, P]) and room to compute in.

    The room may be another at every step, [K, P] by then.
    """

    room: Tensor

    def plan(self, first: int, count: int, factors: Tensor | None) -> None:
        """Get ready for the steps `first` (from 1) … first + count - 1: what depends on t is made for all at once.

        `factors` [count, K] float64 on the learning rates; None where they are 1.
        """

    def step(self, weights: Tensor, gradient: Tensor, planned: int, /) -> None:
        """Change `weights` [K, P] in place, as the step `first + planned`. What `gradient` holds is lost."""


class Shaping:
    """What a gradient goes through before it is used: its length limited, then weight decay's pull to zero added."""

    def __init__(self, specs: Sequence[OptimizerSpec], like: Tensor) -> None:
        limits = [math.inf if spec.clip_norm is None else spec.clip_norm for spec in specs]
        decays = [0.0 if spec.name == "adamw" else spec.weight_decay for spec in specs]
        self.limits = _column(limits, like) if min(limits) < math.inf else None
        self.decays = _column(decays, like) if any(decays) else None

    def __call__(self, weights: Tensor, gradient: Tensor) -> None:
        if self.limits is not None:
            norm = halving_sum(gradient.square(), 1).sqrt_().add_(NORM_FLOOR).unsqueeze(1)
            gradient.mul_(torch.where(norm > self.limits, self.limits / norm, 1.0))
        if self.decays is not None:
            gradient.addcmul_(weights, self.decays)


class GradientDescent:
    def __init__(self, specs: Sequence[OptimizerSpec], moments: Mapping[str, Tensor], room: Tensor) -> None:
        self.shape = Shaping(specs, room)
        self.specs, self.room = specs, room
        self.planned: Sequence[Tensor] = ()
        self.momentum = _column([spec.momentum for spec in specs], room)
        self.nesterov = specs[0].nesterov
        self.velocity = moments.get("velocity")

    def plan(self, _first: int, count: int, factors: Tensor | None) -> None:
        self.planned = _planned(self.specs, count, factors, self.room)

    def step(self, weights: Tensor, gradient: Tensor, planned: int, /) -> None:
        self.shape(weights, gradient)
        if self.velocity is not None:
            self.velocity.mul_(self.momentum).add_(gradient)
            gradient = gradient.addcmul_(self.velocity, self.momentum) if self.nesterov else self.velocity
        weights.addcmul_(gradient, self.planned[planned], value=-1.0)


class RmsProp:
    def __init__(self, specs: Sequence[OptimizerSpec], moments: Mapping[str, Tensor], room: Tensor) -> None:
        self.shape = Shaping(specs, room)
        self.specs, self.room = specs, room
        self.planned: Sequence[Tensor] = ()
        self.momentum = _column([spec.momentum for spec in specs], room)
        self.square, self.velocity = moments["square"], moments.get("velocity")
        self.trace = torch.full((1, 1), TRACE, dtype=room.dtype, device=room.device)
        self.fresh = torch.full((1, 1), 1.0 - FADING, dtype=room.dtype, device=room.device)

    def plan(self, _first: int, count: int, factors: Tensor | None) -> None:
        """Torch's rmsprop does not correct v for its start from zero either."""
        self.planned = _planned(self.specs, count, factors, self.room)

    def step(self, weights: Tensor, gradient: Tensor, planned: int, /) -> None:
        self.shape(weights, gradient)
        room = self.room
        self.square.lerp_(torch.addcmul(self.trace, gradient, gradient, out=room), self.fresh)
        direction = torch.div(gradient, torch.sqrt(self.square, out=room).add_(EPSILON), out=room)
        if self.velocity is not None:
            direction = self.velocity.mul_(self.momentum).add_(direction)
        weights.addcmul_(direction, self.planned[planned], value=-1.0)


class Adam:
    """Also AdamW. The two corrections are moved onto the step's size and ε, which are one number a member:

    w ← w - a m / (√v + e),   a = ε √(1 - β₂ᵗ) / (1 - β₁ᵗ),   e = 1e-8 √(1 - β₂ᵗ)
    """

    def __init__(self, specs: Sequence[OptimizerSpec], moments: Mapping[str, Tensor], room: Tensor) -> None:
        self.shape = Shaping(specs, room)
        self.room = room
        self.betas = sorted({spec.betas for spec in specs})
        self.of_member = [self.betas.index(spec.betas) for spec in specs]
        self.rates = torch.tensor([spec.learning_rate for spec in specs], dtype=torch.float64)
        self.mean, self.square = moments["mean"], moments["square"]
        self.trace = torch.full((1, 1), TRACE, dtype=room.dtype, device=room.device)
        self.fresh_mean = _column([1.0 - spec.betas[0] for spec in specs], room)
        self.fresh_square = _column([1.0 - spec.betas[1] for spec in specs], room)
        decays = [spec.weight_decay if spec.name == "adamw" else 0.0 for spec in specs]
        self.decays = torch.tensor(decays, dtype=torch.float64) if any(decays) else None
        self.fades: Sequence[Tensor] = ()
        self.sizes: Sequence[Tensor] = ()
        self.floors: Sequence[Tensor] = ()

    def plan(self, first: int, count: int, factors: Tensor | None) -> None:
        steps = range(first, first + count)
        # [count, βs, 2] in Python's own arithmetic, then [count, K, 2], float64 until the last moment
        corrections = [[_corrections(betas, step) for betas in self.betas] for step in steps]
        table = torch.tensor(corrections, dtype=torch.float64)[:, self.of_member]
        rates = self.rates if factors is None else self.rates * factors
        self.sizes = (table[:, :, 0] * rates).to(self.room).unsqueeze(2).unbind()
        self.floors = (table[:, :, 1] * EPSILON).to(self.room).unsqueeze(2).unbind()
        if self.decays is not None:
            fades = (1.0 - rates * self.decays).expand(count, -1)
            self.fades = fades.to(self.room).unsqueeze(2).unbind()

    def step(self, weights: Tensor, gradient: Tensor, planned: int, /) -> None:
        self.shape(weights, gradient)
        if self.decays is not None:
            weights.mul_(self.fades[planned])
        room = self.room
        self.mean.lerp_(gradient, self.fresh_mean)
        self.square.lerp_(torch.addcmul(self.trace, gradient, gradient, out=room), self.fresh_square)
        torch.sqrt(self.square, out=room).add_(self.floors[planned])
        weights.addcmul_(torch.div(self.mean, room, out=room), self.sizes[planned], value=-1.0)


def _planned(specs: Sequence[OptimizerSpec], count: int, factors: Tensor | None, like: Tensor) -> Sequence[Tensor]:
    """The learning rates [K, 1] of each of `count` steps."""
    if factors is None:
        return [_column([spec.learning_rate for spec in specs], like)] * count
    rates = torch.tensor([spec.learning_rate for spec in specs], dtype=torch.float64)
    return (rates * factors).to(like).unsqueeze(2).unbind()


def _corrections(betas: tuple[float, float], step: int) -> tuple[float, float]:
    root = math.sqrt(1.0 - betas[1] ** step)
    return root / (1.0 - betas[0] ** step), root


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=like.dtype, device=like.device).unsqueeze(1)


OPTIMIZERS: dict[str, Callable[[Sequence[OptimizerSpec], Mapping[str, Tensor], Tensor], Optimizer]] = {
    "gd": GradientDescent,
    "sgd": GradientDescent,
    "adam": Adam,
    "adamw": Adam,
    "rmsprop": RmsProp,
}
