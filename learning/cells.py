"""Rows as a prediction brings them: every number in one tensor and every category in another.

Rows are then encoded by a few operations, and not by a few for each of their columns; and a row that comes alone, as
most do, by plain arithmetic: on so few numbers, operations of torch cost more. What a `Table` says of the same rows has
the same inputs, to the bit.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Encoded: TypeAlias = "array[float] | Tensor"  # [F] float32: one row's inputs


@dataclass(frozen=True, eq=False)
class Cells:
    """Of N rows, the columns in the order of the features.

    `numbers` [N, n] float64 are the features that are numeric, boolean (0 or 1) or datetime (microseconds since 1970);
    NaN is missing. `codes` [N, c] int64 are the categorical ones, of which a feature tells C categories: the place
    among these, C for a value that is none of them, C + 1 for a missing one.
    """

    numbers: Tensor
    codes: Tensor

    @property
    def rows(self) -> int:
        return self.numbers.shape[0]


@dataclass(frozen=True, eq=False)
class Row:
    """The one row of such `Cells`."""

    numbers: Sequence[float]
    codes: Sequence[int]

    rows = 1

    @property
    def cells(self) -> Cells:
        numbers = torch.tensor([self.numbers], dtype=torch.float64)
        return Cells(numbers, torch.tensor([self.codes], dtype=torch.int64))
