"""Raw columns in a few words, and tables of every kind of column as hypothesis draws them."""

from datetime import UTC, datetime, timedelta

import torch
from hypothesis import strategies as st

from learning.columns import CategoricalColumn, DatetimeColumn, NumericColumn, take
from learning.preprocessing import Preprocessing
from learning.vocabulary import LIMIT

NAN = float("nan")
KINDS = ("numeric", "boolean", "text", "number", "datetime", "many")
SCALINGS = ("standard", "robust", "none")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MANY = LIMIT + 6  # categories, when a table is long enough to have each more than once

numbers = st.floats(-1e30, 1e30) | st.just(NAN)
instants = st.integers(-(2**53), 2**53).map(float)  # microseconds, from 1684 to 2255
times = instants | st.just(NAN)


def numeric(*values):
    return NumericColumn(torch.tensor(values, dtype=torch.float64))


def categorical(codes, values):
    return CategoricalColumn(torch.as_tensor(codes, dtype=torch.int64), tuple(values))


def datetimes(*values):
    """Of ISO 8601 in UTC, None for missing."""
    return DatetimeColumn(
        torch.tensor(
            [NAN if value is None else micros(datetime.fromisoformat(value)) for value in values], dtype=torch.float64
        )
    )


def micros(time):
    return float((time.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1))


def fit(table, rows=None, scaling="standard", among=None):
    count = next(iter(table.values())).rows
    rows = torch.arange(count) if rows is None else torch.as_tensor(rows)
    return Preprocessing.fit(table, list(table), rows, scaling, None if among is None else torch.as_tensor(among))


@st.composite
def tables(draw):
    """A table of 2 to 40 rows, or those again and again, with any columns; the first can always be learned from."""
    rows = draw(st.integers(2, 40))
    count = rows * draw(st.sampled_from([1, -(-2 * (MANY + 1) // rows)]))
    found = {"varied": numeric(*range(count))}
    for index, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), max_size=6))):
        found[f"{kind} {index}"] = take(draw(_columns(kind, rows)), torch.arange(count) % rows)
        if kind == "many":
            codes = torch.arange(count) * 13 % (MANY + 1) - 1
            found[f"{kind} {index}"] = categorical(codes, [f"{place:02}" for place in range(MANY)])
    return found


def _columns(kind, rows):
    def of(values):
        return st.lists(values, min_size=rows, max_size=rows)

    if kind == "numeric":
        return of(numbers).map(lambda found: numeric(*found))
    if kind == "datetime":
        return of(times).map(lambda found: DatetimeColumn(torch.tensor(found, dtype=torch.float64)))
    values = {"boolean": [False, True], "text": ["b", "a", "é"], "number": [3, 1, 2], "many": ["one"]}[kind]
    return of(st.integers(-1, len(values) - 1)).map(lambda codes: categorical(codes, values))
