"""Predicted classes counted against the true ones: what precision, recall and F1 are made of.

    precision   hits / chosen          recall   hits / true          F1   2 · hits / (chosen + true)

One that has nothing to divide by is 0, as in scikit-learn with `zero_division=0`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from learning.sums import halving_mean
from learning.targets import Target


@dataclass(frozen=True)
class Tally:
    """Of each class, or of each target of a multilabel run: [C] int64 each."""

    target: Target
    hits: Tensor  # rows of which it is true, and was chosen
    chosen: Tensor
    true: Tensor

    @classmethod
    def of(cls, target: Target, choices: Tensor, codes: Tensor) -> "Tally":
        """Of classes [N], or of labels [N, T], 0 or 1."""
        if target.task == "multilabel":
            return cls(target, (choices * codes).sum(0), choices.sum(0), codes.sum(0))
        each = [codes[codes == choices], choices, codes]
        return cls(target, *(torch.bincount(chosen, minlength=len(target.classes or ())) for chosen in each))

    @property
    def precision(self) -> Tensor:
        """[C] float64, as are the other two."""
        return self.hits.double() / self.chosen.clamp(min=1)

    @property
    def recall(self) -> Tensor:
        return self.hits.double() / self.true.clamp(min=1)

    @property
    def f1(self) -> Tensor:
        return 2 * self.hits.double() / (self.chosen + self.true).clamp(min=1)

    def overall(self, each: Tensor) -> float:
        """One number of [C]: of two classes the second's; of more, of those chosen or true, and of labels the mean."""
        if self.target.task == "binary":
            return each[1].item()
        seen = each if self.target.task == "multilabel" else each[self.chosen + self.true > 0]
        return halving_mean(seen, 0).item()
