"""Raw columns, as they come from a dataset or a prediction request: what preprocessing starts from.

A column of text has no form here: who asks for one as a feature or target is told so by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from learning.errors import UnusableColumn
from learning.vocabulary import Value, ordered

ColumnType = Literal["numeric", "boolean", "categorical", "datetime"]


@dataclass(frozen=True, eq=False)
class NumericColumn:
    """`values` [N] float64; NaN is missing."""

    values: Tensor

    @property
    def rows(self) -> int:
        return self.values.shape[0]


@dataclass(frozen=True, eq=False)
class DatetimeColumn:
    """`values` [N] float64, microseconds since 1970 in UTC (exact to the year 2255); NaN is missing."""

    values: Tensor

    @property
    def rows(self) -> int:
        return self.values.shape[0]


@dataclass(frozen=True, eq=False)
class CategoricalColumn:
    """`codes` [N] integers into `values`; -1 is missing. A boolean column has the values False and True."""

    codes: Tensor
    values: tuple[Value, ...]

    @property
    def rows(self) -> int:
        return self.codes.shape[0]


Column = NumericColumn | DatetimeColumn | CategoricalColumn
Table = Mapping[str, Column]


def from_array(type: str, values: Any, categories: tuple[Value, ...] | None) -> Column:
    """Return the column of an array: float64 with NaN for missing, or integer codes into `categories` with -1."""
    found = torch.from_numpy(values)
    if categories is not None:
        return CategoricalColumn(found, categories)
    return DatetimeColumn(found) if type == "datetime" else NumericColumn(found)


def column_of(table: Table, name: str) -> Column:
    """Raises UnusableColumn where the table has none of that name that can be learned from."""
    try:
        return table[name]
    except KeyError:
        raise UnusableColumn(name, "is not in the table, or is text") from None


def type_of(column: Column) -> ColumnType:
    if isinstance(column, NumericColumn):
        return "numeric"
    if isinstance(column, DatetimeColumn):
        return "datetime"
    boolean = bool(column.values) and all(isinstance(value, bool) for value in column.values)
    return "boolean" if boolean else "categorical"


def present(column: Column) -> Tensor:
    """[N] bool: where the column has a value. An infinite number is as good as none."""
    return column.codes >= 0 if isinstance(column, CategoricalColumn) else column.values.isfinite()


def take(column: Column, rows: Tensor | slice) -> Column:
    if isinstance(column, CategoricalColumn):
        return CategoricalColumn(column.codes[rows], column.values)
    return type(column)(column.values[rows])


def as_classes(column: Column) -> CategoricalColumn:
    """The column's distinct values as classes, in order: by number, by code point, false before true.

    Numbers become ints when all of them are whole, and fit into 64 bits as JSON has them. Raises TypeError for times.
    """
    if isinstance(column, DatetimeColumn):
        raise TypeError("a column of times has no classes")
    if isinstance(column, NumericColumn):
        there = present(column)
        numbers, inverse = torch.unique(column.values[there], return_inverse=True)
        codes = torch.full((column.rows,), -1, dtype=torch.int64)
        codes[there] = inverse
        whole = bool(((numbers == numbers.trunc()) & (numbers.abs() < 2.0**63)).all())
        return CategoricalColumn(codes, tuple(int(n) if whole else n for n in numbers.tolist()))
    used = [value for value, count in zip(column.values, count_codes(column), strict=True) if count]
    classes = tuple(ordered(used))
    place = {value: index for index, value in enumerate(classes)}
    return CategoricalColumn(recode(column, [place.get(value, -1) for value in column.values], missing=-1), classes)


def as_numbers(column: Column) -> NumericColumn:
    """A column of booleans as 0 and 1, one of numbers as they are. Raises TypeError for text and times."""
    if isinstance(column, NumericColumn):
        return column
    if isinstance(column, DatetimeColumn) or any(isinstance(value, str) for value in column.values):
        raise TypeError("a column of text or times has no numbers")
    numbers = torch.tensor([*map(float, column.values), float("nan")], dtype=torch.float64)
    return NumericColumn(numbers[column.codes.long()])  # the code of a missing value, -1, takes the last: NaN


def recode(column: CategoricalColumn, codes: list[int], *, missing: int) -> Tensor:
    """[N] int64: each row's code replaced by `codes[code]`, and by `missing` where it has none."""
    return torch.tensor([*codes, missing], dtype=torch.int64)[column.codes.long()]


def count_codes(column: CategoricalColumn) -> list[int]:
    """How many rows have each of `values`."""
    codes = column.codes[column.codes >= 0].long()
    counts: list[int] = torch.bincount(codes, minlength=len(column.values)).tolist()
    return counts
