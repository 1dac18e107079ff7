"""Rows as a prediction brings them: every number in one tensor and every category in another.

A row alone is then encoded by a few operations, and not by a few for each of its columns. What a `Table` says of the
same rows has the same inputs, to the bit.
"""

from dataclasses import dataclass

from torch import Tensor


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
