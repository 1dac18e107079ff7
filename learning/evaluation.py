"""Loss and metrics of the validation split for many members, in pieces between which a driver can act."""

from dataclasses import dataclass

import torch
from torch import Tensor

from learning.examples import Examples
from learning.layout import Layout
from learning.losses import example_losses, mean_loss
from learning.metrics import per_epoch
from learning.network import BLOCK_ROWS, Network, in_blocks
from learning.targets import Target

Values = dict[tuple[str, str], Tensor]  # (split, name) → [K] float32

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


class Evaluation:
    """A piece is some blocks of 64 rows for some members; nothing of it need be remembered at an interruption.

    `weights` [K, P] are looked at anew each time the first piece is run.
    """

    def __init__(self, layout: Layout, weights: Tensor, target: Target, loss: str, examples: BlockedExamples) -> None:
        self.layout = layout
        self.weights = weights
        self.target = target
        self.loss = loss
        self.examples = examples
        blocks, members = len(examples.blocks), weights.shape[0]
        size = max(1, HELD_NUMBERS // (blocks * BLOCK_ROWS * layout.layers[-1].padded_units))
        self.pieces = [
            (first, min(first + size, members), block, min(block + BLOCKS_A_PIECE, blocks))
            for first in range(0, members, size)
            for block in range(0, blocks, BLOCKS_A_PIECE)
        ]
        self.found: list[Values] = []

    def run(self, piece: int) -> None:
        """Pieces are run in order, each epoch from the first."""
        first, last, start, end = self.pieces[piece]
        if piece == 0:
            self.found = []
        if start == 0:
            self.network = Network(self.layout, self.weights[first:last], BLOCK_ROWS)
            self.outputs = self.weights.new_empty(len(self.examples.blocks), *self.network.outputs[-1].shape)
        for block in range(start, end):
            inputs = self.examples.blocks[block].expand(last - first, -1, -1)
            self.network.forward(inputs, self.outputs[block])
        if end == len(self.examples.blocks):
            self.found.append(self._measure())

    def _measure(self) -> Values:
        outputs = self.outputs.transpose(0, 1).flatten(1, 2)[:, : self.examples.rows, : self.layout.outputs]
        losses = example_losses(self.loss, outputs, self.examples.targets)
        measured = {"loss": mean_loss(losses, self.examples.weights)} | per_epoch(
            self.target, outputs, self.examples.targets
        )
        return {("validation", name): value.float() for name, value in measured.items()}

    def values(self) -> Values:
        """Each [K], once all pieces were run."""
        return {name: torch.cat([found[name] for found in self.found]) for name in self.found[0]}
