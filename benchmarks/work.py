"""What is trained: a table that is made here and a network for it, the same for all who are measured on it."""

from dataclasses import dataclass
from functools import cached_property

import torch

from learning.examples import Examples


@dataclass(frozen=True)
class Work:
    rows: int
    inputs: int
    layers: tuple[int, ...]
    classes: int
    batch: int

    @cached_property
    def examples(self) -> Examples:
        """Normal inputs [rows, inputs], and the largest of as many sums of them as there are classes."""
        random = torch.Generator().manual_seed(0)
        x = torch.randn(self.rows, self.inputs, generator=random)
        return Examples(x, (x @ torch.randn(self.inputs, self.classes, generator=random)).argmax(1))

    @property
    def widths(self) -> tuple[int, ...]:
        return self.inputs, *self.layers, self.classes

    @property
    def parameters(self) -> int:
        """Weights and biases of one network."""
        return sum((below + 1) * units for below, units in zip(self.widths, self.widths[1:], strict=False))

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {'-'.join(map(str, self.widths))}, batch {self.batch}"
