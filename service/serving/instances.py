"""The rows of a prediction request, as records or arrays, turned into columns.

Whole columns at a time, since there may be 100,000 rows; field by field only to say what is wrong.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import numpy as np
import torch

from learning.columns import CategoricalColumn, Column, DatetimeColumn, NumericColumn, Table
from service.problems import Errors, Invalid

_LARGEST = float(np.finfo(np.float32).max)
_MOST_ERRORS = 100
_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Input = Mapping[str, Any]  # {"name", "type", "categories"?} of a feature


def columns_of(instances: Sequence[Any], inputs: Sequence[Input]) -> Table:
    """The table of these instances. Raises Invalid with `instances.7.petal_length` for each field that is wrong."""
    by_feature = _records(instances, inputs) if isinstance(instances[0], dict) else _arrays(instances, inputs)
    errors: Errors = {}
    table = {each["name"]: _column(each, values, errors) for each, values in zip(inputs, by_feature, strict=True)}
    if errors:
        raise Invalid(errors)
    return table


def _records(instances: Sequence[Any], inputs: Sequence[Input]) -> list[list[Any]]:
    names = [each["name"] for each in inputs]
    known = set(names)
    if set(map(type, instances)) != {dict}:
        raise Invalid({_first_other(instances, dict): "a record of features, as the first instance is"})
    if not all(record.keys() <= known for record in instances):
        wrong = [(index, name) for index, record in enumerate(instances) for name in record if name not in known]
        allowed = f"unknown feature; the features are {', '.join(names)}"
        raise Invalid({f"instances.{index}.{name}": allowed for index, name in wrong[:_MOST_ERRORS]})
    return [[record.get(name) for record in instances] for name in names]


def _arrays(instances: Sequence[Any], inputs: Sequence[Input]) -> list[list[Any]]:
    kinds = set(map(type, instances))
    if kinds != {list}:
        if not isinstance(instances[0], list):
            raise Invalid({"instances.0": "a record of features, or an array of their values"})
        raise Invalid({_first_other(instances, list): "an array of values, as the first instance is"})
    wrong = [index for index, values in enumerate(instances) if len(values) != len(inputs)]
    if wrong:
        names = ", ".join(each["name"] for each in inputs)
        message = f"an array of {len(inputs)} values, in the order {names}"
        raise Invalid({f"instances.{index}": message for index in wrong[:_MOST_ERRORS]})
    return [list(map(itemgetter(place), instances)) for place in range(len(inputs))]


def _first_other(instances: Sequence[Any], kind: type) -> str:
    return f"instances.{next(index for index, each in enumerate(instances) if type(each) is not kind)}"


def _column(feature: Input, values: list[Any], errors: Errors) -> Column:
    match feature["type"]:
        case "numeric":
            return _numbers(feature["name"], values, errors)
        case "boolean":
            fine = _check(feature["name"], values, (bool,), "true, false or null", errors)
            codes = [-1 if value is None else int(value) for value in values] if fine else []
            return CategoricalColumn(torch.tensor(codes, dtype=torch.int64), (False, True))
        case "datetime":
            return _datetimes(feature["name"], values, errors)
        case _:
            return _categories(feature, values, errors)


def _numbers(name: str, values: list[Any], errors: Errors) -> NumericColumn:
    allowed = f"a number within ±{_LARGEST:.4g}, or null"
    if _check(name, values, (int, float), allowed, errors):
        try:
            numbers = np.array(values, dtype=np.float64)  # None becomes NaN
        except OverflowError:  # a whole number past float64
            numbers = np.array([_as_float(value) for value in values], dtype=np.float64)
        for index in np.flatnonzero(np.abs(numbers) > _LARGEST)[:_MOST_ERRORS]:
            errors[f"instances.{index}.{name}"] = [allowed]
        return NumericColumn(torch.from_numpy(numbers))
    return NumericColumn(torch.empty(0, dtype=torch.float64))


def _as_float(value: Any) -> float:
    try:
        return float("nan") if value is None else float(value)
    except OverflowError:
        return float("inf")


def _datetimes(name: str, values: list[Any], errors: Errors) -> DatetimeColumn:
    allowed = "a date or a time as RFC 3339, like 2026-01-31 or 2026-01-31T12:00:00Z, or null"
    if not _check(name, values, (str,), allowed, errors):
        return DatetimeColumn(torch.empty(0, dtype=torch.float64))
    found = [float("nan") if value is None else _microseconds(value) for value in values]
    wrong = [index for index, each in enumerate(found) if each is None]
    errors.update({f"instances.{index}.{name}": [allowed] for index in wrong[:_MOST_ERRORS]})
    return DatetimeColumn(torch.from_numpy(np.array(found, dtype=np.float64)))


def _microseconds(text: str) -> float | None:
    """Since 1970; None for what is no time. One without an offset is in UTC, as in a dataset's file."""
    if not _TIME.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text.upper())
    except ValueError:  # a 30th of February
        return None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) / _MICROSECOND


def _categories(feature: Input, values: list[Any], errors: Errors) -> CategoricalColumn:
    kind = type(next(iter(feature.get("categories", ())), ""))  # all of a column's have one
    words = {str: "text", bool: "true, false", int: "a number", float: "a number"}
    if not _check(feature["name"], values, (kind,), f"{words[kind]}, or null", errors):
        return CategoricalColumn(torch.empty(0, dtype=torch.int64), ())
    places: dict[Any, int] = {}
    codes = [-1 if value is None else places.setdefault(value, len(places)) for value in values]
    return CategoricalColumn(torch.tensor(codes, dtype=torch.int64), tuple(places))


def _check(name: str, values: list[Any], kinds: tuple[type, ...], allowed: str, errors: Errors) -> bool:
    """Whether every value is of one of these exact types, or null; bool is no int here."""
    fine = {*kinds, type(None)}
    if set(map(type, values)) <= fine:
        return True
    wrong = [index for index, value in enumerate(values) if type(value) not in fine]
    errors.update({f"instances.{index}.{name}": [allowed] for index in wrong[:_MOST_ERRORS]})
    return False
