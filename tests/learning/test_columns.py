import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learning.columns import (
    CategoricalColumn,
    NumericColumn,
    as_classes,
    as_numbers,
    column_of,
    count_codes,
    present,
    take,
    type_of,
)
from learning.errors import UnusableColumn

NAN = float("nan")


def numeric(*values):
    return NumericColumn(torch.tensor(values, dtype=torch.float64))


def categorical(codes, values):
    return CategoricalColumn(torch.tensor(codes, dtype=torch.int32), tuple(values))


def test_a_column_that_is_not_there_is_refused_by_name():
    with pytest.raises(UnusableColumn, match="'colour'") as refusal:
        column_of({"size": numeric(1.0)}, "colour")
    assert refusal.value.column == "colour"


def test_types_follow_the_values():
    assert type_of(numeric(0.0, 1.0)) == "numeric"
    assert type_of(categorical([0, 1], [False, True])) == "boolean"
    assert type_of(categorical([0, 1], ["no", "yes"])) == "categorical"
    assert type_of(categorical([0, 1], [0, 1])) == "categorical"
    assert type_of(categorical([-1], [])) == "categorical"


def test_missing_and_infinite_values_are_not_present():
    assert present(numeric(1.0, NAN, float("inf"), -float("inf"), 0.0)).tolist() == [True, False, False, False, True]
    assert present(categorical([0, -1], ["a"])).tolist() == [True, False]


def test_take_follows_the_order_of_the_rows():
    assert take(numeric(1.0, 2.0, 3.0), torch.tensor([2, 0])).values.tolist() == [3.0, 1.0]
    taken = take(categorical([0, 1, -1], ["a", "b"]), torch.tensor([2, 1]))
    assert taken.codes.tolist() == [-1, 1]
    assert taken.values == ("a", "b")


def test_whole_numbers_become_integer_classes_and_others_stay_as_they_are():
    whole = as_classes(numeric(3.0, NAN, 1.0, 3.0))
    assert whole.values == (1, 3)
    assert [type(value) for value in whole.values] == [int, int]
    assert whole.codes.tolist() == [1, -1, 0, 1]
    halves = as_classes(numeric(0.5, 1.0))
    assert [type(value) for value in halves.values] == [float, float]


def test_whole_numbers_past_64_bits_stay_as_they_are():
    for far in (1e300, 2.0**63, -(2.0**63)):
        found = as_classes(numeric(2.0, far)).values
        assert sorted(found) == sorted([2.0, far])
        assert [type(value) for value in found] == [float, float]


def test_classes_are_those_in_use_sorted_by_code_point():
    found = as_classes(categorical([2, 0, -1, 3], ["ä", "unused", "b", "Z"]))
    assert found.values == ("Z", "b", "ä")
    assert found.codes.tolist() == [1, 2, -1, 0]


def test_false_stands_before_true():
    found = as_classes(categorical([0, 1], [True, False]))
    assert found.values == (False, True)
    assert found.codes.tolist() == [1, 0]


def test_booleans_are_zero_and_one_and_missing_is_not_a_number():
    found = as_numbers(categorical([0, 1, -1], [True, False])).values
    assert found[:2].tolist() == [1.0, 0.0]
    assert found[2].isnan()


def test_text_has_no_numbers():
    with pytest.raises(TypeError):
        as_numbers(categorical([0], ["1"]))


def test_codes_are_counted_without_the_missing():
    assert count_codes(categorical([1, -1, 1, 0], ["a", "b", "c"])) == [1, 2, 0]


@given(st.lists(st.integers(-5, 5) | st.none(), min_size=1))
def test_classes_give_back_the_numbers_they_were_made_of(values):
    column = numeric(*[NAN if value is None else float(value) for value in values])
    classes = as_classes(column)
    assert [None if code < 0 else classes.values[code] for code in classes.codes.tolist()] == values
