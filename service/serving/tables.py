"""Columns that came with types of their own, or as texts, held against a model's features.

What fits becomes the table that the model predicts from; each value that does not is named by its row and its column.
A text means what it meant in a file that was sent as a dataset: `""`, `NA` and the like are missing, unless the model
learned them as categories, and a time is one by ISO 8601, in UTC where it has no offset.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learning.columns import CategoricalColumn, Column, DatetimeColumn, NumericColumn, Table, present, recode
from service.problems import Errors, Invalid
from service.serving.instances import listed
from store.tabular import times
from store.tabular.declarations import DEFAULT_MISSING

Input = Mapping[str, Any]  # {"name", "type", "categories"?} of a feature

LARGEST = float(np.finfo(np.float32).max)
MISSING = frozenset(DEFAULT_MISSING)
MOST_ERRORS = 100
ALLOWED = {
    "numeric": f"a number within ±{LARGEST:.4g}, or nothing",
    "boolean": "true, false or nothing",
    "datetime": "a date or a time by ISO 8601, like 2026-01-31 or 2026-01-31T12:00:00Z, or nothing",
    "categorical": "text, or nothing",
}

_FLAGS = {"true": 1, "false": 0, "1": 1, "0": 0}


def check_names(names: Sequence[str], inputs: Sequence[Input], place: str) -> None:
    """Raises Invalid at `place.<name>` for a column that is no feature, or stands there twice."""
    known = {each["name"]: None for each in inputs}
    unknown = sorted({name for name in names if name not in known})
    allowed = f"unknown feature; the features are {listed(list(known))}"
    errors = {f"{place}.{name}": allowed for name in unknown[:MOST_ERRORS]}
    seen: set[str] = set()
    for name in names:
        if name in seen and name in known:
            errors[f"{place}.{name}"] = "stands there twice; once is allowed"
        seen.add(name)
    if errors:
        raise Invalid(errors)


def table_of(columns: Mapping[str, Column], inputs: Sequence[Input], rows: int, errors: Errors | None = None) -> Table:
    """The model's table; a feature without a column is missing in every row.

    Raises Invalid with `instances.7.petal_length` for each value that is wrong, those in `errors` included.
    """
    errors = {} if errors is None else errors
    table = {
        each["name"]: _fitted(each, columns[each["name"]], errors)
        if each["name"] in columns
        else _absent(each["type"], rows)
        for each in inputs
    }
    if errors:
        raise Invalid(errors)
    return table


def refuse(errors: Errors, name: str, rows: Iterable[int], kind: str) -> None:
    """Adds what is allowed there, of the first hundred of these rows."""
    for row, _ in zip(rows, range(MOST_ERRORS), strict=False):
        errors[f"instances.{row}.{name}"] = [ALLOWED[kind]]


def texts(values: Iterable[str]) -> CategoricalColumn:
    """Texts as they came: whether one means a value is a matter of the feature that they are for."""
    places: dict[str, int] = {}
    codes = [places.setdefault(value, len(places)) for value in values]
    return CategoricalColumn(torch.tensor(codes, dtype=torch.int64), tuple(places))


def _absent(kind: str, rows: int) -> Column:
    if kind in ("numeric", "datetime"):
        values = torch.full((rows,), torch.nan, dtype=torch.float64)
        return NumericColumn(values) if kind == "numeric" else DatetimeColumn(values)
    return CategoricalColumn(torch.full((rows,), -1, dtype=torch.int64), (False, True) if kind == "boolean" else ())


def _fitted(feature: Input, column: Column, errors: Errors) -> Column:
    name, kind = feature["name"], feature["type"]
    textual = isinstance(column, CategoricalColumn) and all(isinstance(each, str) for each in column.values)
    match kind, column:
        case "numeric", NumericColumn():
            wrong = column.values.abs() > LARGEST
            refuse(errors, name, wrong.nonzero()[:, 0].tolist(), kind)
            return column
        case "datetime", DatetimeColumn():
            return column
        case "boolean", CategoricalColumn() if column.values == (False, True):
            return column
        case "boolean", CategoricalColumn() if textual:
            codes = _read(feature, column, {each: _FLAGS.get(str(each).lower()) for each in column.values}, errors)
            return CategoricalColumn(codes.long(), (False, True))
        case "datetime", CategoricalColumn() if textual:
            return DatetimeColumn(
                _read(feature, column, {each: times.microseconds(str(each)) for each in column.values}, errors)
            )
        case "categorical", CategoricalColumn() if textual:
            return _categories(feature, column)
    refuse(errors, name, present(column).nonzero()[:, 0].tolist(), kind)
    return _absent(kind, column.rows)


def _read(feature: Input, column: CategoricalColumn, meaning: Mapping[Any, float | None], errors: Errors) -> Tensor:
    """[N] float64, what each text means; missing is NaN, or -1 of booleans."""
    missing = -1.0 if feature["type"] == "boolean" else torch.nan
    found = [missing if each in MISSING else meaning[each] for each in column.values]
    if None in found:
        faulty = torch.tensor([each is None for each in found])
        wrong = (column.codes >= 0) & faulty[column.codes.clamp(min=0)]
        refuse(errors, feature["name"], wrong.nonzero()[:, 0].tolist(), feature["type"])
    values = torch.tensor([*(missing if each is None else each for each in found), missing], dtype=torch.float64)
    return values[column.codes]  # the code of a missing value, -1, takes the last


def _categories(feature: Input, column: CategoricalColumn) -> CategoricalColumn:
    missing = MISSING - set(feature.get("categories", ()))
    if missing.isdisjoint(column.values):
        return column
    codes = [-1 if each in missing else code for code, each in enumerate(column.values)]
    return CategoricalColumn(recode(column, codes, missing=-1), column.values)
