"""How much each row counts in the loss: its own weight from a column, times the weight of its class.

balanced      n / (C n_c), of n train rows in C classes, n_c of them in the class; as scikit-learn has it
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learning.columns import Table, as_numbers, column_of
from learning.errors import UnusableColumn
from learning.specs import class_key, class_named
from learning.targets import Target

FARTHEST_EXPONENT = 400  # of two, up to which weights stay as they are


@dataclass(frozen=True)
class Weighting:
    column: str | None
    of_class: tuple[float, ...] | None  # in the order of the target's classes

    @classmethod
    def fit(cls, spec: Mapping[str, Any], table: Table, target: Target, rows: Tensor) -> "Weighting | None":
        """Of a resolved spec, on its train rows; None where all rows count alike."""
        column, asked = spec.get("sample_weight"), spec.get("class_weights")
        if column is None and asked is None:
            return None
        of_class = None
        if asked == "balanced":
            of_class = _balanced(target, target.encode(table, rows))
        elif asked is not None:
            of_class = _asked(asked, target)
        return cls(column, of_class)

    def weights(self, table: Table, rows: Tensor, target: Target) -> Tensor:
        """[n] float64 of these rows. Raises UnusableColumn for weights that cannot be, or are all zero."""
        found = torch.ones(len(rows), dtype=torch.float64)
        if self.column is not None:
            found = as_numbers(column_of(table, self.column)).values[rows]
            if not bool((found.isfinite() & (found >= 0)).all()):
                raise UnusableColumn(self.column, "holds a weight that is missing, negative or infinite")
        if self.of_class is not None:
            codes = target.encode(table, rows).view(len(rows), -1)[:, 0].long()
            found = found * torch.tensor(self.of_class, dtype=torch.float64)[codes]
        found = _in_range(found)
        if not bool(found.any()):
            raise UnusableColumn(self.column or target.names[0], "gives every row of a split a weight of zero")
        return found


def _in_range(weights: Tensor) -> Tensor:
    """Return weights of the same proportions whose sums and products with losses are within float64.

    The factor is a power of two, so that no weight is rounded.
    """
    largest = float(weights.max()) if len(weights) else 0.0
    exponent = math.frexp(largest)[1]
    if largest == 0.0 or abs(exponent) <= FARTHEST_EXPONENT:
        return weights
    half = -exponent // 2  # in two steps: one power of two may itself be past float64
    return weights * 2.0**half * 2.0 ** (-exponent - half)


def _asked(asked: Mapping[str, float], target: Target) -> tuple[float, ...]:
    """Return the weight of each class, 1 where none is asked for. Raise UnusableColumn for an unknown class."""
    classes = target.classes or ()
    weights = {class_key(each): 1.0 for each in classes}
    for name, weight in asked.items():
        key = class_named(name, weights, numeric=not any(isinstance(each, str) for each in classes))
        if key is None:
            raise UnusableColumn(target.names[0], f"has no class {name!r}, for which class_weights has a weight")
        weights[key] = float(weight)
    return tuple(weights.values())


def _balanced(target: Target, encoded: Tensor) -> tuple[float, ...]:
    codes = encoded.view(len(encoded), -1)[:, 0].long()
    counts = torch.bincount(codes, minlength=len(target.classes or ())).tolist()
    there = sum(count > 0 for count in counts)
    return tuple(len(codes) / (there * count) if count else 1.0 for count in counts)
