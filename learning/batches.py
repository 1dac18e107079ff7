"""Which rows make up each step of an epoch, and the rows themselves, gathered for several steps at once.

An epoch's order is a function of (member's seed, epoch). A batch is cut into blocks of at most 512 rows, padded to a
multiple of 16; its gradient is the sum over its blocks, so that memory does not grow with the batch. Padding rows are
zeros and have no share in the loss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from learning.examples import Examples
from learning.layout import padded
from learning.losses import Loss
from learning.randomness import key, permutations
from learning.sums import halving_sum

LONGEST_BLOCK = 512  # also the longest sum of a matrix product, see `network.CONTRACTION`
GATHERED_NUMBERS = 1 << 18  # inputs gathered at a time: about what a processor's second cache holds


@dataclass(frozen=True)
class Plan:
    """An epoch of `rows` rows in batches of `size`: arithmetic only."""

    rows: int
    size: int

    @classmethod
    def of(cls, rows: int, batch_size: int | None) -> "Plan":
        return cls(rows, rows if batch_size is None else min(batch_size, rows))

    @property
    def steps(self) -> int:
        return -(-self.rows // self.size)

    @property
    def full(self) -> bool:
        return self.size == self.rows

    @property
    def block_rows(self) -> int:
        return min(padded(self.size), LONGEST_BLOCK)

    def step_rows(self, step: int) -> int:
        return min(self.size, self.rows - step * self.size)

    def blocks(self, step: int) -> int:
        return -(-self.step_rows(step) // self.block_rows)

    def starts(self, step: int) -> list[int]:
        first = step * self.size
        return [first + block * self.block_rows for block in range(self.blocks(step))]


@dataclass(frozen=True)
class Block:
    """Rows of one step: inputs [K or 1, B, padded F], targets as `Loss.pad` makes them, shares [K or 1, B, 1]."""

    step: int
    first: bool
    last: bool
    inputs: Tensor
    targets: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Gathered:
    """Consecutive blocks, and for their losses, computed at once: the plain targets and shares, [blocks, K or 1, B]."""

    blocks: list[Block]
    targets: Tensor
    shares: Tensor
    step_rows: Tensor  # [blocks, 1] float64


@dataclass(frozen=True)
class PaddedExamples:
    """All rows as they are gathered: inputs [N + 1, padded F] and targets [N + 1, ...]; the last is the padding row.

    `weights` [N + 1] float64, zero for the padding row; None: all rows count alike.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None

    @classmethod
    def of(cls, examples: Examples) -> "PaddedExamples":
        rows, width = examples.inputs.shape
        inputs = examples.inputs.new_zeros(rows + 1, padded(width))
        inputs[:-1, :width] = examples.inputs
        targets = torch.cat([examples.targets, examples.targets.new_zeros(1, *examples.targets.shape[1:])])
        weights = None if examples.weights is None else torch.nn.functional.pad(examples.weights, (0, 1))
        return cls(inputs, targets, weights)


class Batches:
    """The train split as its members see it, epoch by epoch. Members of one seed share order and rows."""

    def __init__(self, examples: PaddedExamples, plan: Plan, seeds: Sequence[int], loss: Loss, units: int) -> None:
        self.plan = plan
        self.loss = loss
        self.members = len(seeds)
        self.units = units
        device = examples.inputs.device
        self.inputs, self.targets, self.weights = examples.inputs, examples.targets, examples.weights
        if plan.full:  # it needs no order: its rows stand as they are, for all members alike
            seeds = [0] * len(seeds)
        self.seeds = list(dict.fromkeys(seeds))
        self.shared = len(self.seeds) == 1
        self.of_member: Tensor | None = None
        if 1 < len(self.seeds) < len(seeds):
            place = {seed: index for index, seed in enumerate(self.seeds)}
            self.of_member = torch.tensor([place[seed] for seed in seeds], device=device)
        self.order = torch.arange(plan.rows + 1, dtype=torch.int32, device=device).unsqueeze(0)
        self.epoch = 0
        self.step_weights = self._weigh()
        self.within = torch.arange(plan.block_rows, device=device)

    def begin(self, epoch: int) -> None:
        """Draw the order of this epoch (from 1), [seeds, rows + 1]; the last entry stays the padding row."""
        if self.epoch != epoch and not self.plan.full:
            self.epoch = epoch
            keys = [key("order", seed, epoch) for seed in self.seeds]
            order = permutations(keys, self.plan.rows, self.inputs.device)
            self.order = torch.nn.functional.pad(order, (0, 1), value=self.plan.rows)
            self.step_weights = self._weigh()

    def _weigh(self) -> Tensor | None:
        """Σw of each step in this order, [seeds, steps] float64."""
        if self.weights is None:
            return None
        order = torch.nn.functional.pad(self.order[:, :-1], (0, -self.plan.rows % self.plan.size), value=self.plan.rows)
        weights = self.weights.index_select(0, order.reshape(-1))
        return halving_sum(weights.view(len(order), self.plan.steps, self.plan.size), 2)

    def gather(self, first: int, last: int) -> Iterator[Gathered]:
        """The blocks of steps `first` … `last - 1`, some at a time."""
        orders = 1 if self.shared else self.members
        width = max(self.inputs.shape[1], padded(self.units))
        room = max(1, GATHERED_NUMBERS // (orders * self.plan.block_rows * width))
        wanted = [(step, start) for step in range(first, last) for start in self.plan.starts(step)]
        for place in range(0, len(wanted), room):
            yield self._gather(wanted[place : place + room])

    def _gather(self, wanted: list[tuple[int, int]]) -> Gathered:
        plan = self.plan
        ends = [step * plan.size + plan.step_rows(step) for step, _ in wanted]
        starts = torch.tensor([start for _, start in wanted], device=self.within.device).unsqueeze(1)
        limits = torch.tensor(ends, device=self.within.device).unsqueeze(1)
        places = starts + self.within  # [blocks, B]
        real = places < limits
        rows = self.order[:, torch.where(real, places, plan.rows)].transpose(0, 1)  # [blocks, seeds, B]
        if self.of_member is not None:
            rows = rows[:, self.of_member]  # [blocks, K, B]
        flat = rows.reshape(-1)
        inputs = self.inputs.index_select(0, flat).view(*rows.shape, -1)
        targets = self.targets.index_select(0, flat).view(*rows.shape, *self.targets.shape[1:])
        padded_targets = self.loss.pad(targets, self.units, self.inputs.dtype)
        step_rows = torch.tensor([plan.step_rows(step) for step, _ in wanted], dtype=torch.float64).unsqueeze(1)
        step_rows = step_rows.to(self.within.device)
        if self.weights is None or self.step_weights is None:
            shares = (real / step_rows).unsqueeze(1)  # [blocks, 1, B]
        else:  # a batch without weight has no loss, and no gradient
            totals = self.step_weights[:, [step for step, _ in wanted]].transpose(0, 1)  # [blocks, seeds]
            totals = (totals if self.of_member is None else totals[:, self.of_member]).unsqueeze(2)
            weights = self.weights.index_select(0, flat).view(rows.shape)
            shares = torch.where(totals > 0, weights / totals, 0.0)  # [blocks, K or 1, B]
        shares = shares.to(self.inputs.dtype)
        blocks = [
            Block(step, start == step * plan.size, start + plan.block_rows >= end, x, t, share)
            for (step, start), end, x, t, share in zip(
                wanted, ends, inputs.unbind(), padded_targets.unbind(), shares.unsqueeze(3).unbind(), strict=True
            )
        ]
        return Gathered(blocks, targets, shares, step_rows)
