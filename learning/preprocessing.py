"""From raw columns to the network's inputs. It belongs to the model: fitted on the train rows, kept with the weights.

Each feature's inputs stand side by side in the order of the features (`features.py` says what one becomes), and behind
them the indices of those that get a learned embedding. Numbers are scaled in float64 and rounded to float32 once. Every
operation here is elementwise, so a row's inputs are the same bytes whether it comes alone or in a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from learning.columns import Table, column_of, take
from learning.errors import NoUsableFeature
from learning.features import (
    CategoricalFeature,
    DatetimeFeature,
    Feature,
    NumericFeature,
    feature_from_json,
    fit_feature,
)
from learning.notices import Notices
from learning.numeric import Number
from learning.scaling import Scaling, smooth_clip
from learning.specs import EmbeddingSpec

# No train row of fewer than 10^12 lies this many deviations out (the farthest of n lies under √n), so that the bound
# touches only a later row that would overflow float32 inside the network.
FARTHEST = 1e6
BLOCK = 65_536  # rows encoded at a time: bounds the float64 copies, and an elementwise operation does not mind


@dataclass(frozen=True)
class Preprocessing:
    fitted: tuple[Feature, ...]
    scaling: Scaling
    warnings: Notices

    @classmethod
    def fit(
        cls, columns: Table, features: Sequence[str], rows: Tensor, scaling: Scaling, among: Tensor | None = None
    ) -> "Preprocessing":
        """On the train rows `rows`; `among`, the rows of all folds, say which inputs there are, and `rows` the numbers.

        Raises UnusableColumn for a feature that is not in the table, NoUsableFeature where all are constant.
        """
        found = [fit_feature(name, column_of(columns, name), rows, scaling, among) for name in features]
        fitted = cls(tuple(feature for feature, _ in found), scaling, [each for _, some in found for each in some])
        if not fitted.width:
            raise NoUsableFeature
        return fitted

    @property
    def features(self) -> tuple[str, ...]:
        """Every feature's name, the ignored ones too: a prediction's array has a place for each."""
        return tuple(feature.name for feature in self.fitted)

    @cached_property
    def width(self) -> int:
        return sum(feature.width for feature in self.fitted) + len(self.embeddings)

    @cached_property
    def embeddings(self) -> tuple[EmbeddingSpec, ...]:
        """Of each of the last columns, in the order of the features."""
        categorical = (feature for feature in self.fitted if isinstance(feature, CategoricalFeature))
        return tuple(feature.embedding for feature in categorical if feature.embedding)

    def encode(self, columns: Table, rows: Tensor | None = None) -> Tensor:
        """[N, width] float32: the table's rows, or the given ones in their order.

        Raises UnusableColumn where a feature's column is not in the table or holds text instead of numbers.
        """
        table = {name: column_of(columns, name) for name in self.features}
        count = next(iter(table.values())).rows if rows is None else len(rows)
        if rows is None and count <= BLOCK:
            return self._encode(table)
        inputs = torch.empty(count, self.width, dtype=torch.float32)
        for start in range(0, count, BLOCK):
            block = slice(start, start + BLOCK)
            chosen = block if rows is None else rows[block]
            inputs[block] = self._encode({name: take(column, chosen) for name, column in table.items()})
        return inputs

    def _encode(self, table: Table) -> Tensor:
        plan = self._plan
        if not plan.numeric:
            inputs = torch.zeros(next(iter(table.values())).rows, self.width)
        else:
            read = [numbers for feature in plan.numeric for numbers in feature.read(table[feature.name])]
            values = torch.stack(read, dim=1)
            there = values.isfinite()
            scaled = torch.where(there, values, plan.fill).sub_(plan.shift).div_(plan.scale)
            if self.scaling != "none":
                scaled.clamp_(-FARTHEST, FARTHEST)
            if len(plan.clipped):
                scaled[:, plan.clipped] = smooth_clip(scaled[:, plan.clipped])
            if plan.plain:
                return scaled.float()
            inputs = torch.zeros(len(values), self.width)
            inputs[:, plan.value_at] = scaled[:, plan.valued].float()
            inputs[:, plan.flag_at] = (~there[:, plan.flagged]).float()
        if plan.one_hot:
            places = [feature.indices(table[feature.name]) + start for feature, start in plan.one_hot]
            inputs.scatter_(1, torch.stack(places, dim=1), 1.0)
        for feature, place in plan.embedded:
            inputs[:, place] = feature.indices(table[feature.name]).float()
        return inputs

    @cached_property
    def _plan(self) -> "_Plan":
        return _Plan.of(self.fitted)

    def to_json(self) -> dict[str, Any]:
        fitted = [feature.to_json() for feature in self.fitted]
        return {"scaling": self.scaling, "features": fitted, "warnings": self.warnings}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Preprocessing":
        fitted = tuple(feature_from_json(feature) for feature in found["features"])
        return cls(fitted, found["scaling"], list(found["warnings"]))


@dataclass(frozen=True, eq=False)
class _Plan:
    """Where each feature's inputs stand, worked out once: one prediction should cost microseconds."""

    numeric: list[NumericFeature | DatetimeFeature]
    one_hot: list[tuple[CategoricalFeature, int]]  # with the place of its first input
    embedded: list[tuple[CategoricalFeature, int]]  # with the place of its index
    fill: Tensor  # [numbers of all `numeric`] float64
    shift: Tensor
    scale: Tensor
    clipped: Tensor  # which of these numbers are
    valued: Tensor  # which have an input for their value, and `value_at` where
    value_at: Tensor
    flagged: Tensor  # which have one for being missing, and `flag_at` where
    flag_at: Tensor
    plain: bool  # every input is the value of a number, in the order of the features

    @classmethod
    def of(cls, fitted: Sequence[Feature]) -> "_Plan":
        starts = list(accumulate((feature.width for feature in fitted), initial=0))
        placed = list(zip(fitted, starts, strict=False))
        categorical = [(feature, start) for feature, start in placed if isinstance(feature, CategoricalFeature)]
        embedded = [feature for feature, _ in categorical if feature.embedding]
        numeric = [(each, start) for each, start in placed if isinstance(each, NumericFeature | DatetimeFeature)]
        numbers = [number for feature, start in numeric for number in _placed(feature.numbers, start)]
        valued = {index: at for index, (number, at) in enumerate(numbers) if number.valued}
        flagged = {index: at + number.valued for index, (number, at) in enumerate(numbers) if number.flagged}
        clipped = [index for index, (number, _) in enumerate(numbers) if number.clipped]
        return cls(
            numeric=[feature for feature, _ in numeric],
            one_hot=[(feature, start) for feature, start in categorical if not feature.embedding],
            embedded=[(feature, starts[-1] + index) for index, feature in enumerate(embedded)],
            fill=torch.tensor([number.fill for number, _ in numbers], dtype=torch.float64),
            shift=torch.tensor([number.shift for number, _ in numbers], dtype=torch.float64),
            scale=torch.tensor([number.scale for number, _ in numbers], dtype=torch.float64),
            clipped=torch.tensor(clipped, dtype=torch.int64),
            valued=torch.tensor(list(valued), dtype=torch.int64),
            value_at=torch.tensor(list(valued.values()), dtype=torch.int64),
            flagged=torch.tensor(list(flagged), dtype=torch.int64),
            flag_at=torch.tensor(list(flagged.values()), dtype=torch.int64),
            plain=len(valued) == starts[-1] + len(embedded),
        )


def _placed(numbers: Sequence[Number], start: int) -> list[tuple[Number, int]]:
    """Each with the place of its first input."""
    return list(zip(numbers, accumulate((number.width for number in numbers), initial=start), strict=False))
