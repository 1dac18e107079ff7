import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.apportionment import apportion, fold_counts, split_counts, stated_counts
from learning.errors import UnusableColumn, UnusableSplit


@pytest.mark.parametrize(
    ("rows", "validation", "test", "expected"),
    [
        (150, 0.2, 0.1, (105, 30, 15)),
        (10, 0.0, 0.0, (10, 0, 0)),
        (10, 0.25, 0.0, (7, 3, 0)),  # 2.5 goes up
        (10, 0.0, 0.05, (9, 0, 1)),  # 0.5 goes up
        (7, 0.2, 0.2, (5, 1, 1)),
    ],
)
def test_each_fraction_is_of_all_rows_and_half_goes_up(rows, validation, test, expected):
    assert split_counts(rows, validation=validation, test=test) == expected


def test_every_fraction_of_three_digits_rounds_half_up():
    for rows in range(10, 201):
        for thousandths in range(1, 500):
            expected = (2 * thousandths * rows + 1000) // 2000  # of whole numbers
            if expected:
                assert split_counts(rows, validation=thousandths / 1000, test=0.0).validation == expected
                assert split_counts(rows, validation=0.0, test=thousandths / 1000).test == expected


@pytest.mark.parametrize(
    ("rows", "validation", "test", "split"),
    [
        (4, 0.1, 0.0, "validation"),
        (4, 0.0, 0.1, "test"),
        (4, 0.5, 0.2, "train"),
        (10, 0.9, 0.9, "train"),
        (1, 0.0, 0.0, "train"),
        (0, 0.2, 0.0, "validation"),
    ],
)
def test_a_split_too_small_to_use_is_refused_by_name(rows, validation, test, split):
    with pytest.raises(UnusableSplit) as refusal:
        split_counts(rows, validation=validation, test=test)
    assert refusal.value.split == split


@pytest.mark.parametrize(
    ("rows", "folds", "test", "expected"),
    [
        (150, 5, 0.0, (0, (30,) * 5)),
        (150, 5, 0.1, (15, (27,) * 5)),
        (11, 3, 0.0, (0, (4, 4, 3))),
        (10, 4, 0.25, (3, (2, 2, 2, 1))),  # 2.5 goes up
        (4, 2, 0.0, (0, (2, 2))),
        (3, 3, 0.0, (0, (1, 1, 1))),
    ],
)
def test_folds_share_what_test_leaves_and_the_first_are_the_larger(rows, folds, test, expected):
    assert fold_counts(rows, folds=folds, test=test) == expected


@pytest.mark.parametrize(
    ("counts", "missing", "error"),
    [
        ({"train": 1, "validation": 3}, 0, UnusableSplit),
        ({"train": 5, "test": 3}, 0, UnusableSplit),
        ({"train": 5, "validation": 3, "Test": 1}, 0, UnusableColumn),
        ({"train": 5, "validation": 3}, 1, UnusableColumn),
    ],
)
def test_a_column_of_other_words_or_too_few_rows_is_refused(counts, missing, error):
    with pytest.raises(error):
        stated_counts("part", counts, missing)


def test_a_word_that_no_row_says_does_no_harm():
    assert stated_counts("part", {"train": 2, "validation": 1, "holdout": 0}, 0) == (2, 1, 0)


def test_the_largest_remainders_are_rounded_up_and_ties_go_to_the_lower_class():
    assert apportion(3, [5, 3, 2]) == [1, 1, 1]  # 1.5, 0.9, 0.6: two seats left for 0.9 and 0.6
    assert apportion(1, [5, 5]) == [1, 0]
    assert apportion(3, [2, 2, 2, 2]) == [1, 1, 1, 0]
    assert apportion(0, [2, 3]) == [0, 0]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20), st.data())
def test_seats_add_up_and_each_class_is_within_one_of_its_share(sizes, data):
    total = data.draw(st.integers(0, sum(sizes)))
    seats = apportion(total, sizes)
    assert sum(seats) == total
    assert all(abs(seat * sum(sizes) - total * size) < sum(sizes) for seat, size in zip(seats, sizes, strict=True))
    assert all(seat <= size for seat, size in zip(seats, sizes, strict=True))


def test_counting_needs_no_torch():
    program = "import sys, learning.apportionment, learning.estimate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
