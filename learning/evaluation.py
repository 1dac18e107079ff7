"""Loss and metrics of the validation split for many members, in pieces between which a driver can act."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from learning.examples import Examples
from learning.layout import Layout
from learning.losses import Loss, mean_loss
from learning.metrics import per_epoch
from learning.network import BLOCK_ROWS, Network, in_blocks
from learning.targets import Target

Values = dict[tuple[str, str], Tensor]  # (split, name) → [K]

HELD_NUMBERS = 1 << 22  # of outputs held at a time: members are measured in groups
BLOCKS_A_PIECE = 16


@dataclass(frozen=True)
class BlockedExamples:
    """N rows as outputs are computed for them: `blocks` [blocks, 64, padded F]; `targets` as they were."""

    blocks: Tensor
    targets: Tensor
    rows: int
    weights: Tensor | None

    @classmethod
    def of(cls, examples: Examples) -> "BlockedExamples":
        return cls(in_blocks(examples.inputs), examples.targets, examples.rows, examples.weights)


@dataclass(frozen=True, eq=False)
class Measured:
    """By what a member is measured after each epoch: rows of its own, and a target that may be scaled by its own."""

    target: Target
    examples: BlockedExamples


class Evaluation:
    """A piece is some blocks of 64 rows for some members; nothing of it need be remembered at an interruption.

    `weights` [K, P] are looked at anew each time the first piece is run. `measured` [K] says by what each member is
    measured; those by the same stand side by side.
    """

    def __init__(self, layout: Layout, weights: Tensor, loss: Loss, measured: Sequence[Measured]) -> None:
        self.layout = layout
        self.weights = weights
        self.loss = loss
        self.pieces = [
            _Piece(by, first, last, block, min(block + BLOCKS_A_PIECE, len(by.examples.blocks)))
            for by, first, last in _stretches(measured, layout.layers[-1].padded_units)
            for block in range(0, len(by.examples.blocks), BLOCKS_A_PIECE)
        ]
        self.found: list[Values] = []

    def run(self, piece: int) -> None:
        """Pieces are run in order, each epoch from the first."""
        at = self.pieces[piece]
        blocks = at.by.examples.blocks
        if piece == 0:
            self.found = []
        if at.start == 0:
            self.network = Network(self.layout, self.weights[at.first : at.last], BLOCK_ROWS)
            width = self.layout.layers[-1].padded_units
            self.outputs = self.weights.new_empty(len(blocks), at.last - at.first, BLOCK_ROWS, width)
        for block in range(at.start, at.end):
            self.network.forward([blocks[block].unsqueeze(0)], [self.outputs[block]])
        if at.end == len(blocks):
            self.found.append(self._measure(at.by))
            del self.network, self.outputs  # others are measured now, and they are as large

    def _measure(self, by: Measured) -> Values:
        examples = by.examples
        outputs = self.outputs.transpose(0, 1).flatten(1, 2)[:, : examples.rows, : self.layout.outputs]
        losses = self.loss.examples(outputs, examples.targets)
        found = {"loss": mean_loss(losses, examples.weights).float()}
        found |= per_epoch(by.target, outputs, examples.targets)
        return {("validation", name): value for name, value in found.items()}

    def values(self) -> Values:
        """Each [K], once all pieces were run."""
        return {name: torch.cat([found[name] for found in self.found]) for name in self.found[0]}


@dataclass(frozen=True)
class _Piece:
    by: Measured
    first: int  # member, and the one behind the last
    last: int
    start: int  # block, and the one behind the last
    end: int


def _stretches(measured: Sequence[Measured], width: int) -> Iterator[tuple[Measured, int, int]]:
    """Members side by side that are measured by the same, no more than fit into what is held at a time."""
    first = 0
    while first < len(measured):
        by = measured[first]
        most = max(1, HELD_NUMBERS // (len(by.examples.blocks) * BLOCK_ROWS * width))
        last = first + 1
        while last < len(measured) and last - first < most and measured[last] is by:
            last += 1
        yield by, first, last
        first = last
