"""Which rows make up each step of an epoch, and the rows themselves, gathered for several steps at once.

An epoch's order is a function of (member's seed, epoch). A batch is cut into blocks of at most 512 rows, padded to a
multiple of 16; its gradient is the sum over its blocks, so that memory does not grow with the batch. Padding rows are
zeros and have no share in the loss. Members may have rows of their own, the folds of a table, if all have equally many.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from learning.dropout import Dropout
from learning.examples import Examples
from learning.layout import Layout, padded
from learning.losses import Loss
from learning.randomness import key, permutations
from learning.sums import halving_sum

LONGEST_BLOCK = 512  # also the longest sum of a matrix product, see `layers.CONTRACTION`
GATHERED_NUMBERS = 1 << 18  # inputs gathered at a time: about what a processor's second cache holds


@dataclass(frozen=True)
class Plan:
    """An epoch of `rows` rows in batches of `size`: arithmetic only."""

    rows: int
    size: int

    @classmethod
    def of(cls, rows: int, batch_size: int | None) -> "Plan":
        return cls(rows, rows if batch_size is None else min(batch_size, rows))

    @cached_property
    def steps(self) -> int:
        return -(-self.rows // self.size)

    @cached_property
    def full(self) -> bool:
        return self.size == self.rows

    @cached_property
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
    """Rows of one step: inputs [K or 1, B, padded F], targets as `Loss.pad` makes them, shares [K or 1, B, 1].

    `real` [B, 1] is 1 for a row and 0 for padding, `step_rows` counts the rows of the whole step, and `kept` has for
    each layer with dropout, by its number, what its outputs [K, B, units] are multiplied by.
    """

    step: int
    first: bool
    last: bool
    inputs: Tensor
    targets: Tensor
    shares: Tensor
    real: Tensor
    step_rows: int
    kept: Mapping[int, Tensor]


@dataclass(frozen=True)
class Gathered:
    """Consecutive blocks, and for their losses, computed at once: the plain targets and shares, [blocks, K or 1, B]."""

    blocks: list[Block]
    targets: Tensor
    shares: Tensor
    step_rows: Tensor  # [blocks, 1] float64

    def passes(self, *, whole: bool) -> Iterator[tuple[int, list[Block]]]:
        """What goes through the network together, with the place of its first block: a block, or a `whole` batch."""
        first = 0
        for place, block in enumerate(self.blocks):
            if block.last or not whole:
                yield first, self.blocks[first : place + 1]
                first = place + 1


@dataclass(frozen=True)
class PaddedExamples:
    """All rows as they are gathered, source after source, each of N rows and a padding row behind them:

    inputs [S (N + 1), padded F] and targets [S (N + 1), ...]; `weights` [S (N + 1)] float64, zero for padding rows;
    None: all rows count alike.
    """

    rows: int  # N
    inputs: Tensor
    targets: Tensor
    weights: Tensor | None

    @classmethod
    def of(cls, sources: Sequence[Examples]) -> "PaddedExamples":
        first = sources[0]
        rows, width = first.inputs.shape
        inputs = first.inputs.new_zeros(len(sources), rows + 1, padded(width))
        targets = first.targets.new_zeros(len(sources), rows + 1, *first.targets.shape[1:])
        weights = None if first.weights is None else first.weights.new_zeros(len(sources), rows + 1)
        for place, source in enumerate(sources):
            inputs[place, :-1, :width] = source.inputs
            targets[place, :-1] = source.targets
            if weights is not None and source.weights is not None:
                weights[place, :-1] = source.weights
        flat = None if weights is None else weights.flatten()
        return cls(rows, inputs.flatten(0, 1), targets.flatten(0, 1), flat)


class Batches:
    """The train split as its members see it, epoch by epoch. Members of one seed and source share order and rows."""

    def __init__(
        self, examples: PaddedExamples, plan: Plan, members: Sequence[tuple[int, int]], loss: Loss, layout: Layout
    ) -> None:
        """`members` are (seed, source) of each one."""
        self.plan = plan
        self.loss = loss
        self.members = len(members)
        self.units = layout.outputs
        self.whole = layout.whole_batches
        device = examples.inputs.device
        self.inputs, self.targets, self.weights = examples.inputs, examples.targets, examples.weights
        dropping = [(index, layer) for index, layer in enumerate(layout.layers) if layer.dropout]
        self.dropouts = [Dropout(index, layer, [seed for seed, _ in members]) for index, layer in dropping]
        self.width = max(self.inputs.shape[1], padded(self.units), *(layer.padded_units for _, layer in dropping))
        # A full batch needs no order: its rows stand as they are, whatever the seed.
        pairs = [(0 if plan.full else seed, source) for seed, source in members]
        self.lanes = list(dict.fromkeys(pairs))
        self.of_member: Tensor | None = None
        if 1 < len(self.lanes) < len(members):
            place = {lane: index for index, lane in enumerate(self.lanes)}
            self.of_member = torch.tensor([place[pair] for pair in pairs], device=device)
        starts = [source * (plan.rows + 1) for _, source in self.lanes]
        # A thousand orders weigh more than a thousand small networks: 16 bits where they do.
        number = torch.int16 if max(starts) + plan.rows < 1 << 15 else torch.int32
        self.starts = torch.tensor(starts, dtype=number, device=device).unsqueeze(1)
        self.order = torch.arange(plan.rows + 1, dtype=number, device=device) + self.starts
        self.epoch = 0
        self.step_weights = self._weigh()
        self.within = torch.arange(plan.block_rows, device=device)

    def begin(self, epoch: int) -> None:
        """Draw what is random in this epoch (from 1): the order [lanes, rows + 1], whose last entry is padding."""
        if self.epoch == epoch:
            return
        self.epoch = epoch
        for dropout in self.dropouts:
            dropout.begin(epoch)
        if not self.plan.full:
            seeds = list(dict.fromkeys(seed for seed, _ in self.lanes))
            keys, order = [key("order", seed, epoch) for seed in seeds], self.order[:, :-1]
            if len(seeds) < len(self.lanes):
                orders = permutations(keys, self.plan.rows, self.inputs.device)
                order.copy_(orders[[seeds.index(seed) for seed, _ in self.lanes]])
            else:
                permutations(keys, self.plan.rows, self.inputs.device, out=order)
            order.add_(self.starts)
            self.step_weights = self._weigh()

    def _weigh(self) -> Tensor | None:
        """Σw of each step in this order, [lanes, steps] float64."""
        if self.weights is None:
            return None
        ordered = self.weights.index_select(0, self.order[:, :-1].reshape(-1).int()).view(len(self.lanes), -1)
        whole = torch.nn.functional.pad(ordered, (0, -self.plan.rows % self.plan.size))
        return halving_sum(whole.view(len(self.lanes), self.plan.steps, self.plan.size), 2)

    def gather(self, first: int, last: int) -> Iterator[Gathered]:
        """The blocks of steps `first` … `last - 1`, some at a time."""
        orders = self.members if len(self.lanes) > 1 or self.dropouts else 1
        room = max(1, GATHERED_NUMBERS // (orders * self.plan.block_rows * self.width))
        if self.whole:  # whole steps: each ends where another begins
            room = max(1, room // self.plan.blocks(0)) * self.plan.blocks(0)
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
        rows = self.order[:, torch.where(real, places, plan.rows)].transpose(0, 1).int()  # [blocks, lanes, B]
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
            totals = self.step_weights[:, [step for step, _ in wanted]].transpose(0, 1)  # [blocks, lanes]
            totals = (totals if self.of_member is None else totals[:, self.of_member]).unsqueeze(2)
            weights = self.weights.index_select(0, flat).view(rows.shape)
            shares = torch.where(totals > 0, weights / totals, 0.0)  # [blocks, K or 1, B]
        shares = shares.to(self.inputs.dtype)
        kept = [(each.index, each.kept(places, self.inputs.dtype)) for each in self.dropouts]
        blocks = [
            Block(
                step=step,
                first=start == step * plan.size,
                last=start + plan.block_rows >= end,
                inputs=x,
                targets=t,
                shares=share,
                real=there,
                step_rows=plan.step_rows(step),
                kept={index: masks[place] for index, masks in kept},
            )
            for place, ((step, start), end, x, t, share, there) in enumerate(
                zip(
                    wanted,
                    ends,
                    inputs.unbind(),
                    padded_targets.unbind(),
                    shares.unsqueeze(3).unbind(),
                    real.to(self.inputs.dtype).unsqueeze(2).unbind(),
                    strict=True,
                )
            )
        ]
        return Gathered(blocks, targets, shares, step_rows)
