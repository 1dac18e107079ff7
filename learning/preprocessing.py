"""From raw columns to the network's inputs. It belongs to the model: fitted on the train rows, kept with the weights.

Each feature's inputs stand side by side in the order of the features (`features.py` says what one becomes), and behind
them the indices of those that get a learned embedding. Numbers are scaled in float64 and rounded to float32 once. Every
operation here is elementwise, so a row's inputs are the same bytes whether it comes alone or in a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, count
from typing import Any

import torch
from torch import Tensor

from learning.cells import Cells, Encoded, Row
from learning.columns import DatetimeColumn, NumericColumn, Table, column_of, take
from learning.errors import NoUsableFeature
from learning.features import (
    CategoricalFeature,
    DatetimeFeature,
    Feature,
    IgnoredFeature,
    NumericFeature,
    feature_from_json,
    fit_feature,
)
from learning.notices import Notices
from learning.numeric import Number
from learning.row_encoding import RowEncoding
from learning.scaling import Scaling, smooth_clip
from learning.specs import EmbeddingSpec

# No train row of fewer than 10^12 lies this many deviations out (the farthest of n lies under √n), so that the bound
# touches only a later row that would overflow float32 inside the network.
FARTHEST = 1e6
# Numbers that are not scaled are held where a sum of their squares, as layer normalization takes it, is within float32.
FARTHEST_UNSCALED = 1e15
BLOCK = 8_192  # rows encoded at a time: bounds the float64 copies, and an elementwise operation does not mind


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

    def encode(self, columns: Table | Cells | Row, rows: Tensor | None = None) -> Tensor:
        """[N, width] float32: the table's rows, or the given ones in their order.

        Raises UnusableColumn where a feature's column is not in the table or holds text instead of numbers.
        """
        if isinstance(columns, Row):
            found = self.encode_row(columns)
            return (found if isinstance(found, Tensor) else torch.frombuffer(found, dtype=torch.float32)).view(1, -1)
        if isinstance(columns, Cells):
            return self._encode_cells(columns)
        table = {name: column_of(columns, name) for name in self.features}
        total = next(iter(table.values())).rows if rows is None else len(rows)
        if rows is None and total <= BLOCK:
            return self._encode(table)
        inputs = torch.empty(total, self.width, dtype=torch.float32)
        for start in range(0, total, BLOCK):
            block = slice(start, start + BLOCK)
            chosen = block if rows is None else rows[block]
            inputs[block] = self._encode({name: take(column, chosen) for name, column in table.items()})
        return inputs

    def encode_row(self, row: Row) -> Encoded:
        """What `encode` makes of one row."""
        return self._encode_cells(row.cells)[0] if self._plan.timed else self._row_encoding.encode(row)

    def _encode(self, table: Table) -> Tensor:
        plan = self._plan
        read = [values for feature in plan.numeric for values in feature.read(table[feature.name])]
        picked = [feature.indices(table[feature.name]) + start for feature, start in plan.categorical]
        rows = next(iter(table.values())).rows
        return self._inputs(
            rows, torch.stack(read, dim=1) if read else None, torch.stack(picked, dim=1) if picked else None
        )

    def _encode_cells(self, cells: Cells) -> Tensor:
        if cells.rows <= BLOCK:
            found = self._scaled(cells)
            return self._inputs(cells.rows, *self._read(cells)) if found is None else found
        inputs = torch.empty(cells.rows, self.width, dtype=torch.float32)
        for start in range(0, cells.rows, BLOCK):
            block = slice(start, start + BLOCK)
            inputs[block] = self._encode_cells(Cells(cells.numbers[block], cells.codes[block]))
        return inputs

    def _scaled(self, cells: Cells) -> Tensor | None:
        """The inputs where they are nothing but scaled numbers, none missing and none drawn in; else None."""
        most, units = self._row_encoding.most, self._units
        if self._row_encoding.scales is None or not cells.rows:
            return None
        scaled = (cells.numbers.numpy()[:, : self.width] - units[0]) / units[1]
        # If one is missing, both are NaN.
        return torch.from_numpy(scaled.astype("f")) if -most <= scaled.min() and scaled.max() <= most else None

    def _read(self, cells: Cells) -> tuple[Tensor | None, Tensor | None]:
        """What `_inputs` asks for."""
        plan = self._plan
        numbers, codes = _chosen(cells.numbers, plan.number_at), _chosen(cells.codes, plan.code_at)
        if plan.timed:
            columns = [
                DatetimeColumn(each) if at in plan.timed else NumericColumn(each)
                for at, each in enumerate(numbers.unbind(1))
            ]
            read = [
                values for feature, column in zip(plan.numeric, columns, strict=True) for values in feature.read(column)
            ]
            numbers = torch.stack(read, dim=1)
        picked = plan.picked.take(codes + plan.picked_from) if plan.categorical else None
        return numbers if plan.numeric else None, picked

    def _inputs(self, rows: int, values: Tensor | None, picked: Tensor | None) -> Tensor:
        """[N, width] of `values` [N, numbers of all `numeric`] and `picked` [N, categorical], as a plan has them."""
        plan = self._plan
        if values is not None:
            there = values.isfinite()
            scaled = torch.where(there, values, plan.fill).sub_(plan.shift).div_(plan.scale)
            scaled.clamp_(-self.farthest, self.farthest)
            if plan.clips:
                scaled = torch.where(plan.clipped, smooth_clip(scaled), scaled)
            if plan.plain:
                return scaled.float()
        inputs = torch.zeros(rows, self.width)
        if values is not None:
            inputs.index_copy_(1, plan.value_at, _chosen(scaled, plan.valued).float())
            if len(plan.flagged):
                inputs.index_copy_(1, plan.flag_at, _chosen(there, plan.flagged).logical_not().float())
        if picked is not None:
            if len(plan.embedded) < len(plan.categorical):
                inputs.scatter_(1, _chosen(picked, plan.one_hot), 1.0)
            if len(plan.embedded):
                inputs[:, -len(plan.embedded) :] = _chosen(picked, plan.embedded)
        return inputs

    @property
    def farthest(self) -> float:
        """How far from zero a number may be that the network is given."""
        return FARTHEST_UNSCALED if self.scaling == "none" else FARTHEST

    @cached_property
    def _units(self) -> tuple[Any, Any]:
        """Shift and scale of all numbers as numpy has them, whose operations on few rows take half of torch's time."""
        return self._plan.shift.numpy(), self._plan.scale.numpy()

    @cached_property
    def _plan(self) -> "_Plan":
        return _Plan.of(self.fitted)

    @cached_property
    def _row_encoding(self) -> RowEncoding:
        plan = self._plan
        starts = list(accumulate((feature.width for feature in self.fitted), initial=0))
        at = {feature.name: start for feature, start in zip(self.fitted, starts, strict=False)}
        numbers = [
            (place, number, at[feature.name], at[feature.name] + number.valued)
            for place, feature in zip(plan.number_at.tolist(), plan.numeric, strict=True)
            for number in feature.numbers
        ]
        indices = count(starts[-1])
        codes = [
            (place, [start + index for index in feature.vocabulary.codes], next(indices) if feature.embedding else None)
            for place, (feature, start) in zip(plan.code_at.tolist(), plan.categorical, strict=True)
        ]
        return RowEncoding(numbers, codes, self.width, self.farthest)

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
    timed: frozenset[int]  # which of these are times
    categorical: list[tuple[CategoricalFeature, int]]  # with the place of its first input; 0 where it is embedded
    number_at: Tensor  # of each of `numeric`, the place among a row's cells
    code_at: Tensor  # of each of `categorical`
    picked: Tensor  # what `_inputs` is told of each code, one feature behind the other
    picked_from: Tensor  # where each feature's begin
    one_hot: Tensor  # which of `categorical` are
    embedded: Tensor  # which are
    fill: Tensor  # [numbers of all `numeric`] float64
    shift: Tensor
    scale: Tensor
    clips: bool
    clipped: Tensor  # whether each of these numbers is
    valued: Tensor  # which have an input for their value, and `value_at` where
    value_at: Tensor
    flagged: Tensor  # which have one for being missing, and `flag_at` where
    flag_at: Tensor
    plain: bool  # every input is the value of a number, in the order of the features

    @classmethod
    def of(cls, fitted: Sequence[Feature]) -> "_Plan":
        starts = list(accumulate((feature.width for feature in fitted), initial=0))
        placed = list(zip(fitted, starts, strict=False))
        categorical = [
            (feature, 0 if feature.embedding else start)
            for feature, start in placed
            if isinstance(feature, CategoricalFeature)
        ]
        numeric = [(each, start) for each, start in placed if isinstance(each, NumericFeature | DatetimeFeature)]
        numbers = [number for feature, start in numeric for number in _placed(feature.numbers, start)]
        valued = {index: at for index, (number, at) in enumerate(numbers) if number.valued}
        flagged = {index: at + number.valued for index, (number, at) in enumerate(numbers) if number.flagged}
        embedded = [index for index, (feature, _) in enumerate(categorical) if feature.embedding]
        picked = [[start + index for index in feature.vocabulary.codes] for feature, start in categorical]
        coded = [
            isinstance(feature, CategoricalFeature | IgnoredFeature) and feature.type == "categorical"
            for feature in fitted
        ]
        return cls(
            numeric=[feature for feature, _ in numeric],
            timed=frozenset(at for at, (feature, _) in enumerate(numeric) if isinstance(feature, DatetimeFeature)),
            categorical=categorical,
            number_at=_indices(_used(fitted, [not each for each in coded])),
            code_at=_indices(_used(fitted, coded)),
            picked=_indices([index for each in picked for index in each]),
            picked_from=_indices(list(accumulate((len(each) for each in picked), initial=0))[:-1]),
            one_hot=_indices([index for index in range(len(categorical)) if index not in embedded]),
            embedded=_indices(embedded),
            fill=torch.tensor([number.fill for number, _ in numbers], dtype=torch.float64),
            shift=torch.tensor([number.shift for number, _ in numbers], dtype=torch.float64),
            scale=torch.tensor([number.scale for number, _ in numbers], dtype=torch.float64),
            clips=any(number.clipped for number, _ in numbers),
            clipped=torch.tensor([number.clipped for number, _ in numbers], dtype=torch.bool),
            valued=_indices(list(valued)),
            value_at=_indices(list(valued.values())),
            flagged=_indices(list(flagged)),
            flag_at=_indices(list(flagged.values())),
            plain=len(valued) == starts[-1] + len(embedded),
        )


def _chosen(columns: Tensor, places: Tensor) -> Tensor:
    """These columns of [N, n], in rising order."""
    return columns if len(places) == columns.shape[1] else columns.index_select(1, places)


def _used(fitted: Sequence[Feature], among: Sequence[bool]) -> list[int]:
    """The places, counted among those features, of the ones that are not ignored."""
    counted = [feature for feature, here in zip(fitted, among, strict=True) if here]
    return [place for place, feature in enumerate(counted) if not isinstance(feature, IgnoredFeature)]


def _indices(found: list[int]) -> Tensor:
    return torch.tensor(found, dtype=torch.int64)


def _placed(numbers: Sequence[Number], start: int) -> list[tuple[Number, int]]:
    """Each with the place of its first input."""
    return list(zip(numbers, accumulate((number.width for number in numbers), initial=start), strict=False))
