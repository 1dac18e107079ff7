"""Encoded examples, as the engine eats them: one row of inputs and one target for each."""

from dataclasses import dataclass

from torch import Tensor

from learning.specs import EmbeddingSpec
from learning.targets import Target


@dataclass(frozen=True, eq=False)
class Examples:
    """`inputs` [N, F]; `targets` [N, T] numbers (regression, and 0 or 1 for two classes) or [N] class numbers.

    `weights` [N] float64 is how much each row counts in the loss; None: all alike.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None

    @property
    def rows(self) -> int:
        return self.inputs.shape[0]


@dataclass(frozen=True, eq=False)
class Data:
    """What a member is trained on and measured by. The last inputs are indices of the `embeddings`, one for each."""

    target: Target
    train: Examples
    validation: Examples | None = None
    embeddings: tuple[EmbeddingSpec, ...] = ()
