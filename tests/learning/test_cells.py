"""Rows as cells have the inputs that they have as a table, to the bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.cells import Cells, Row
from learning.columns import CategoricalColumn, as_numbers, take
from learning.features import CategoricalFeature
from learning.preprocessing import BLOCK, Preprocessing
from tests.learning.columns import NAN, SCALINGS, categorical, datetimes, fit, numeric, tables


def cells(preprocessing, table):
    """The table's rows, cell by cell, as whoever reads a request has them."""
    numbers, codes = [], []
    for feature in preprocessing.fitted:
        column = table[feature.name]
        if feature.type == "categorical":
            known = feature.vocabulary.categories if isinstance(feature, CategoricalFeature) else ()
            places = {value: place for place, value in enumerate(known)}
            value_of = column.values if isinstance(column, CategoricalColumn) else None
            each = [None if code < 0 else value_of[code] for code in column.codes.tolist()]
            codes.append([len(known) + 1 if value is None else places.get(value, len(known)) for value in each])
        else:
            values = column.values if feature.type == "datetime" else as_numbers(column).values
            numbers.append(values.tolist())
    rows = table[preprocessing.features[0]].rows
    return Cells(
        torch.tensor(numbers, dtype=torch.float64).view(-1, rows).T,
        torch.tensor(codes, dtype=torch.int64).view(-1, rows).T,
    )


@settings(deadline=None, max_examples=300)
@given(tables(), st.data(), st.sampled_from(SCALINGS))
def test_cells_have_the_inputs_of_the_table_whether_the_rows_are_known_or_new(table, data, scaling):
    count = table["varied"].rows
    among = torch.arange(count)
    rows = among[data.draw(st.integers(0, 1)) :: data.draw(st.sampled_from([1, 2]))]
    preprocessing = fit(table, rows, scaling, among=among)
    kept = {name: column for name, column in table.items() if name in preprocessing.features}
    expected = preprocessing.encode(kept)
    found = cells(preprocessing, kept)
    assert preprocessing.encode(found).numpy().tobytes() == expected.numpy().tobytes()
    one = data.draw(st.integers(0, count - 1))
    alone = Cells(found.numbers[one : one + 1].contiguous(), found.codes[one : one + 1].contiguous())
    row = Row(alone.numbers[0].tolist(), alone.codes[0].tolist())
    for each in (alone, row):
        assert preprocessing.encode(each).numpy().tobytes() == expected[one : one + 1].numpy().tobytes()


def test_an_ignored_column_takes_its_place_among_the_cells_and_no_other():
    table = {
        "still": numeric(1, 1, 1, 1),
        "same": categorical([0, 0, 0, 0], ["only"]),
        "colour": categorical([0, 1, 0, -1], ["red", "green"]),
        "x": numeric(1, NAN, 3, 4),
        "when": datetimes("2026-01-05", "2026-03-04T10:00", None, "2027-01-01"),
    }
    preprocessing = fit(table)
    assert [feature.width > 0 for feature in preprocessing.fitted] == [False, False, True, True, True]
    assert preprocessing.encode(cells(preprocessing, table)).equal(preprocessing.encode(table))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("unusual", [3.0, NAN, 1e30, -1e30, 3e38, -3e38])
def test_nothing_but_numbers_that_were_all_there_at_training_may_be_missing_or_far_off_later(scaling, unusual):
    known = {name: numeric(*torch.randn(50, generator=seeded(at)).tolist()) for at, name in enumerate("abc")}
    preprocessing = fit(known, torch.arange(50), scaling)
    table = {"a": numeric(1, 2, 3, 4), "b": numeric(5, unusual, 7, 8), "c": numeric(9, 10, 11, 12)}
    expected = preprocessing.encode(table)
    found = cells(preprocessing, table)
    assert preprocessing.encode(found).numpy().tobytes() == expected.numpy().tobytes()
    for place, numbers in enumerate(found.numbers.tolist()):
        assert preprocessing.encode(Row(numbers, [])).numpy().tobytes() == expected[place].numpy().tobytes()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_many_rows_are_encoded_block_by_block_with_the_same_bytes():
    rows = torch.arange(BLOCK + 100)
    table = {"x": numeric(*rows.double().sin().tolist()), "c": categorical(rows % 5 - 1, ["a", "b", "c", "d"])}
    preprocessing = Preprocessing.fit(table, list(table), rows[:1000], "robust")
    found = preprocessing.encode(cells(preprocessing, table))
    assert found.equal(preprocessing.encode(table))
    last = {name: take(column, slice(BLOCK, None)) for name, column in table.items()}
    assert preprocessing.encode(last).equal(found[BLOCK:])
