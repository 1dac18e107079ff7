"""What one raw column becomes at the network's inputs.

numeric, boolean   [(x - shift) / scale]   and [1 where missing], if a train row was missing (numeric.py)
datetime           the same of the years, and the courses of year, week and day (datetimes.py)
categorical        one input for each index of its vocabulary, 1 at the row's own; or the index, for a learned
                   embedding (categorical.py)
ignored            nothing: the column is the same on every train row, or another on each

Fitted on the train rows, kept with the weights as JSON. Where there are folds, all of them together say which inputs
there are, so that the folds are networks of one shape; and each fold's own train rows say the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from learning.categorical import CategoricalFeature, fit_categorical
from learning.columns import CategoricalColumn, Column, ColumnType, DatetimeColumn, present, take, type_of
from learning.datetimes import DatetimeFeature, fit_datetime
from learning.notices import Notices, notice
from learning.numeric import Number, NumericFeature, fit_numeric
from learning.scaling import Scaling

__all__ = ["CategoricalFeature", "DatetimeFeature", "Feature", "IgnoredFeature", "NumericFeature"]


@dataclass(frozen=True)
class IgnoredFeature:
    name: str
    type: ColumnType

    @property
    def width(self) -> int:
        return 0

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "ignored": True}


Feature = NumericFeature | DatetimeFeature | CategoricalFeature | IgnoredFeature


def fit_feature(
    name: str, column: Column, rows: Tensor, scaling: Scaling, among: Tensor | None = None
) -> tuple[Feature, Notices]:
    """`rows` are trained on; `among` are those of all folds, where there are folds."""
    kind = type_of(column)
    train = take(column, rows)
    shaping = train if among is None else take(column, among)
    if not bool(present(shaping).any()):
        return IgnoredFeature(name, kind), [notice(name, "missing_column", "has no value in any train row; ignored")]
    found, notices = _fit(name, shaping, train, scaling)
    return found or IgnoredFeature(name, kind), notices


def _fit(name: str, among: Column, rows: Column, scaling: Scaling) -> tuple[Feature | None, Notices]:
    if isinstance(among, DatetimeColumn):
        assert isinstance(rows, DatetimeColumn)
        return fit_datetime(name, among, rows, scaling)
    kind = type_of(among)
    if kind in ("numeric", "boolean"):
        return fit_numeric(name, kind, among, rows, scaling)
    assert isinstance(among, CategoricalColumn)
    assert isinstance(rows, CategoricalColumn)
    return fit_categorical(name, among, rows)


def feature_from_json(found: Mapping[str, Any]) -> Feature:
    if found.get("ignored"):
        return IgnoredFeature(found["name"], found["type"])
    if found["type"] == "categorical":
        return CategoricalFeature.from_json(found)
    if found["type"] == "datetime":
        return DatetimeFeature.from_json(found)
    number = {name: value for name, value in found.items() if name not in ("name", "type")}
    return NumericFeature(found["name"], found["type"], Number(**number))
