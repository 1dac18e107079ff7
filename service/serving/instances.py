"""The rows of a prediction request, as records or arrays, turned into the cells that a model encodes.

Whole columns at a time, since there may be 100,000 rows, and few steps in all, since there may be one; field by field
only to say what is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import hypot
from operator import itemgetter
from typing import Any, NoReturn
from weakref import finalize

import numpy as np
import torch

from learning.cells import Cells, Row
from learning.model import Inputs
from service.problems import Errors, Invalid
from store.tabular import times

LARGEST = float(np.finfo(np.float32).max)
_MOST_ERRORS = 100
_MOST_LISTED = 50  # names, in a refusal

Input = Mapping[str, Any]  # {"name", "type", "categories"?} of a feature


def columns_of(instances: Sequence[Any], inputs: Sequence[Input]) -> Cells | Row:
    """Of these instances, for a model of these inputs.

    Raises Invalid with `instances.7.petal_length` for each field that is wrong.
    """
    return reader_of(inputs).read(instances)


def reader_of(inputs: Sequence[Input]) -> "Reader":
    """The reader for a model of these inputs, made once for each model."""
    if not isinstance(inputs, Inputs):
        return Reader(inputs)
    reader = _readers.get(id(inputs))
    if reader is None:
        reader = _readers[id(inputs)] = Reader(inputs)
        finalize(inputs, _readers.pop, id(inputs), None)
    return reader


@dataclass(frozen=True)
class _Field:
    """What values a feature takes: null, and these exact types (bool is no int here) as far as they `fit`."""

    name: str
    types: frozenset[type]
    allowed: str
    fits: Callable[[Any], bool] | None = None

    def takes(self, value: Any) -> bool:
        return type(value) in self.types and (value is None or self.fits is None or self.fits(value))


class Reader:
    """Reads the instances for a model of these inputs."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._fields = [_field(each) for each in inputs]
        self._names = [field.name for field in self._fields]
        self._known = frozenset(self._names)
        self._values = itemgetter(*self._names) if len(inputs) > 1 else None  # of one name it makes no tuple
        types: dict[frozenset[type], list[int]] = {}
        for place, field in enumerate(self._fields):
            types.setdefault(field.types, []).append(place)
        self._types = list(types.items())
        self._is_numbers = set(types) == {_NUMBER}
        self._numbers = [place for place, each in enumerate(inputs) if each["type"] != "categorical"]
        self._times = [place for place in self._numbers if inputs[place]["type"] == "datetime"]
        categorical = [place for place, each in enumerate(inputs) if each["type"] == "categorical"]
        self._codes = [(place, *_codes(inputs[place].get("categories", ()))) for place in categorical]

    def read(self, instances: Sequence[Any], kind: type | None = None) -> Cells | Row:
        """`kind` is what the first instance of all is, where these are not the first. Raises Invalid."""
        is_records = isinstance(instances[0], dict) if kind is None else kind is dict
        rows = self._records(instances) if is_records else self._arrays(instances)
        try:
            found = self._row(rows[0]) if len(rows) == 1 else self._cells(rows)
        except OverflowError:  # a whole number past float64
            found = None
        if found is None:
            self._refuse(rows)
        return found

    def _records(self, instances: Sequence[Any]) -> Sequence[Sequence[Any]]:
        if set(map(type, instances)) != {dict}:
            raise Invalid({_first_other(instances, dict): "a record of features, as the first instance is"})
        if self._values is not None and set(map(len, instances)) == {len(self._names)}:
            try:
                return list(map(self._values, instances))
            except KeyError:
                pass  # one that is not there makes room for one that is not known
        if not all(record.keys() <= self._known for record in instances):
            wrong = ((index, name) for index, record in enumerate(instances) for name in record.keys() - self._known)
            allowed = f"unknown feature; the features are {listed(self._names)}"
            raise Invalid({f"instances.{index}.{name}": allowed for index, name in islice(wrong, _MOST_ERRORS)})
        return [list(map(record.get, self._names)) for record in instances]

    def _arrays(self, instances: Sequence[Any]) -> Sequence[Sequence[Any]]:
        if len(instances) == 1 and type(instances[0]) is list and len(instances[0]) == len(self._names):
            return instances
        if set(map(type, instances)) != {list}:
            if not isinstance(instances[0], list):
                raise Invalid({"instances.0": "a record of features, or an array of their values"})
            raise Invalid({_first_other(instances, list): "an array of values, as the first instance is"})
        if set(map(len, instances)) != {len(self._names)}:
            wrong = [index for index, values in enumerate(instances) if len(values) != len(self._names)]
            message = f"an array of {len(self._names)} values, in the order {listed(self._names)}"
            raise Invalid({f"instances.{index}": message for index in wrong[:_MOST_ERRORS]})
        return instances

    def _row(self, row: Sequence[Any]) -> Row | None:
        """None where a field is wrong."""
        if self._is_numbers:
            types = set(map(type, row))
            if types == _FLOATS and hypot(*row) <= LARGEST:  # which is at least as much as the largest
                return Row(row, [])
            if not types <= _NUMBER:
                return None
            numbers = [_NAN if value is None else float(value) for value in row]
            codes: list[int] = []
        else:
            if not all([type(value) in field.types for value, field in zip(row, self._fields, strict=True)]):  # noqa: C419 - a generator costs twice as much
                return None
            values = row
            if self._times:
                values = list(row)
                for place in self._times:
                    if row[place] is not None:
                        values[place] = times.microseconds(row[place])
                        if values[place] is None:
                            return None
            numbers = [_NAN if (value := values[place]) is None else float(value) for place in self._numbers]
            codes = [found.get(row[place], unknown) for place, found, unknown in self._codes]
        if not all([-LARGEST <= value <= LARGEST or value != value for value in numbers]):  # noqa: C419, PLR0124
            return None
        return Row(numbers, codes)

    def _cells(self, rows: Sequence[Sequence[Any]]) -> Cells | None:
        """None where a field is wrong."""
        if self._is_numbers:
            if not set(map(type, chain.from_iterable(rows))) <= _NUMBER:
                return None
            numbers, codes = np.array(rows, dtype=np.float64), np.empty((len(rows), 0), dtype=np.int64)
        else:
            columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
            for types, places in self._types:
                if not set(map(type, chain.from_iterable([columns[place] for place in places]))) <= types:
                    return None
            for place in self._times:
                columns[place] = [None if value is None else times.microseconds(value) for value in columns[place]]
                if columns[place].count(None) != sum(row[place] is None for row in rows):
                    return None
            # None becomes NaN
            numbers = np.array([columns[place] for place in self._numbers], dtype=np.float64).reshape(-1, len(rows)).T
            coded = [[codes.get(value, unknown) for value in columns[place]] for place, codes, unknown in self._codes]
            codes = np.array(coded, dtype=np.int64).reshape(-1, len(rows)).T
        if (np.abs(numbers) > LARGEST).any():
            return None
        return Cells(torch.from_numpy(numbers), torch.from_numpy(codes))

    def _refuse(self, rows: Sequence[Sequence[Any]]) -> NoReturn:
        errors: Errors = {}
        for field, values in zip(self._fields, zip(*rows, strict=True), strict=True):
            wrong = [index for index, value in enumerate(values) if not field.takes(value)]
            errors |= {f"instances.{index}.{field.name}": [field.allowed] for index in wrong[:_MOST_ERRORS]}
        raise Invalid(errors)


def listed(names: Sequence[str]) -> str:
    """The names, of very many the first ones."""
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


_readers: dict[int, Reader] = {}  # by the id of the inputs that they are for, and gone with these


def _first_other(instances: Sequence[Any], kind: type) -> str:
    return f"instances.{next(index for index, each in enumerate(instances) if type(each) is not kind)}"


def _or_null(*types: type) -> frozenset[type]:
    return frozenset((*types, type(None)))


_NUMBER = _or_null(int, float)
_FLOATS = {float}
_NAN = float("nan")


def _field(feature: Input) -> _Field:
    name = feature["name"]
    match feature["type"]:
        case "numeric":
            return _Field(name, _NUMBER, f"a number within ±{LARGEST:.4g}, or null", _is_within)
        case "boolean":
            return _Field(name, _or_null(bool), "true, false or null")
        case "datetime":
            allowed = "a date or a time as RFC 3339, like 2026-01-31 or 2026-01-31T12:00:00Z, or null"
            return _Field(name, _or_null(str), allowed, _is_time)
        case _:
            kind = type(next(iter(feature.get("categories", ())), ""))  # all of a column's have one
            words = {str: "text", bool: "true, false", int: "a number", float: "a number"}
            return _Field(name, _or_null(kind), f"{words[kind]}, or null")


def _codes(categories: Sequence[Any]) -> tuple[Mapping[Any, int], int]:
    """The code of each category and of null, as `Cells` has them, and that of any other value."""
    count = len(categories)
    return {**{value: place for place, value in enumerate(categories)}, None: count + 1}, count


def _is_within(number: float) -> bool:
    return abs(number) <= LARGEST


def _is_time(text: str) -> bool:
    return times.microseconds(text) is not None
