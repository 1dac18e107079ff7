"""What one raw column becomes at the network's inputs.

numeric, boolean   [(x - shift) / scale]   and [1 where missing], if a train row was missing
categorical        one input for each index of its vocabulary, 1 at the row's own
ignored            nothing: the column is the same on every train row

Fitted on the train rows, kept with the weights as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from learning.columns import (
    CategoricalColumn,
    Column,
    ColumnType,
    as_classes,
    as_numbers,
    count_codes,
    present,
    recode,
    take,
    type_of,
)
from learning.errors import UnusableColumn
from learning.scaling import moments
from learning.vocabulary import LIMIT, Vocabulary

Scaling = Literal["standard", "none"]


@dataclass(frozen=True)
class NumericFeature:
    name: str
    type: Literal["numeric", "boolean"]
    fill: float  # the train rows' mean, which stands for a missing value
    shift: float
    scale: float
    valued: bool  # false: every value present is the same, and only whether it is missing tells anything
    flagged: bool

    @property
    def width(self) -> int:
        return self.valued + self.flagged

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "fill": self.fill,
            "shift": self.shift,
            "scale": self.scale,
            "valued": self.valued,
            "flagged": self.flagged,
        }


@dataclass(frozen=True)
class CategoricalFeature:
    name: str
    vocabulary: Vocabulary

    @property
    def type(self) -> ColumnType:
        return "categorical"

    @property
    def width(self) -> int:
        return self.vocabulary.width

    def indices(self, column: Column) -> Tensor:
        """[N] int64: each row's index in the vocabulary."""
        known = column if isinstance(column, CategoricalColumn) else as_classes(column)
        return recode(known, self.vocabulary.indices(known.values), missing=self.vocabulary.missing_index)

    def to_json(self) -> dict[str, Any]:
        categories, missing = list(self.vocabulary.categories), self.vocabulary.missing
        return {"name": self.name, "type": self.type, "categories": categories, "missing": missing}


@dataclass(frozen=True)
class IgnoredFeature:
    name: str
    type: ColumnType

    @property
    def width(self) -> int:
        return 0

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "ignored": True}


Feature = NumericFeature | CategoricalFeature | IgnoredFeature
Warnings = list[dict[str, str]]


def fit_feature(name: str, column: Column, rows: Tensor, scaling: Scaling) -> tuple[Feature, Warnings]:
    kind = type_of(column)
    train = take(column, rows)
    missing = train.rows - int(present(train).sum())
    if missing == train.rows:
        return IgnoredFeature(name, kind), [_warning(name, "missing_column", "has no value in any train row; ignored")]
    if kind == "categorical":
        return _fit_categorical(name, train, missing)
    return _fit_numeric(name, kind, train, missing, scaling)


def _fit_numeric(
    name: str, kind: Literal["numeric", "boolean"], train: Column, missing: int, scaling: Scaling
) -> tuple[Feature, Warnings]:
    numbers = as_numbers(train)
    warnings = []
    if infinite := int(numbers.values.isinf().sum()):
        warnings.append(_warning(name, "infinite_values", f"is infinite in {infinite} train rows, taken as missing"))
    mean, deviation = moments(numbers.values[present(numbers)])
    if not deviation and not missing:
        return IgnoredFeature(name, kind), [_constant(name)]
    shift, scale = (mean, deviation or 1.0) if scaling == "standard" else (0.0, 1.0)
    return NumericFeature(name, kind, mean, shift, scale, valued=deviation > 0, flagged=missing > 0), warnings


def _fit_categorical(name: str, train: Column, missing: int) -> tuple[Feature, Warnings]:
    assert isinstance(train, CategoricalColumn)
    vocabulary = Vocabulary.fit(train.values, count_codes(train), missing)
    if len(vocabulary.categories) == 1 and not missing:
        return IgnoredFeature(name, "categorical"), [_constant(name)]
    if not vocabulary.rare:
        return CategoricalFeature(name, vocabulary), []
    message = f"has over {LIMIT} categories; the {vocabulary.rare} rarest of them are told apart no more"
    return CategoricalFeature(name, vocabulary), [_warning(name, "rare_categories", message)]


def feature_from_json(found: Mapping[str, Any]) -> Feature:
    if found.get("ignored"):
        return IgnoredFeature(found["name"], found["type"])
    if found["type"] == "categorical":
        return CategoricalFeature(found["name"], Vocabulary(tuple(found["categories"]), found["missing"]))
    return NumericFeature(**found)


def numbers_for(feature: NumericFeature, column: Column) -> Tensor:
    """[N] float64. Raises UnusableColumn where a number was trained on and the column holds text."""
    try:
        return as_numbers(column).values
    except TypeError:
        raise UnusableColumn(feature.name, f"holds text, and was {feature.type} at training") from None


def _constant(name: str) -> dict[str, str]:
    return _warning(name, "constant_column", "is the same in every train row; ignored")


def _warning(column: str, code: str, message: str) -> dict[str, str]:
    return {"column": column, "code": code, "message": f"Column {column!r} {message}."}
