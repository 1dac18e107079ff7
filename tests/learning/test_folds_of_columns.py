"""What a fold's preprocessing takes from all folds' rows, its shape, and what from its own train rows, its numbers."""

import math

import pytest

from tests.learning.columns import MANY, NAN, categorical, datetimes, fit, numeric


def test_statistics_are_those_of_the_folds_own_rows():
    table = {"x": numeric(1.0, 3.0, 100.0, NAN)}
    fold = fit(table, [0, 1], among=[0, 1, 2, 3])
    assert fold.encode(table).tolist() == [[-1.0, 0.0], [1.0, 0.0], [98.0, 0.0], [0.0, 1.0]]


def test_what_is_constant_in_one_fold_alone_keeps_its_input_with_scale_1():
    table = {"x": numeric(5.0, 5.0, 8.0), "dull": numeric(1.0, 1.0, 1.0)}
    fold = fit(table, [0, 1], among=[0, 1, 2])
    assert fold.encode(table).tolist() == [[0.0], [0.0], [3.0]]
    assert [each["code"] for each in fold.warnings] == ["constant_column"]


@pytest.mark.parametrize("scaling", ["standard", "robust", "none"])
def test_what_is_missing_throughout_one_fold_keeps_its_inputs(scaling):
    table = {"x": numeric(NAN, NAN, 0.0, 2.0), "when": datetimes(None, None, "2026-01-01", "2027-06-01")}
    fold = fit(table, [0, 1], scaling, among=[0, 1, 2, 3])
    encoded = fold.encode(table)
    assert encoded[0].equal(encoded[1])
    assert fold.width == fit(table, scaling=scaling).width
    assert bool(encoded.isfinite().all())


def test_a_fold_has_its_own_mean_of_times():
    table = {"when": datetimes("2026-01-01T03:00", "2026-01-01T09:00", "2027-05-05T20:00", None)}
    own, alone = fit(table, [0, 1], among=[0, 1, 2, 3]).fitted[0], fit(table, [0, 1]).fitted[0]
    assert (own.years.shift, own.years.scale, own.years.fill) == (
        alone.years.shift,
        alone.years.scale,
        alone.years.fill,
    )
    assert own.courses["day_cosine"] == pytest.approx(0.0, abs=1e-9)
    assert own.courses["day_sine"] == pytest.approx(math.sqrt(0.5), abs=1e-9)


def test_no_row_outside_all_folds_is_looked_at():
    table = {"x": numeric(1.0, 3.0, 5.0, NAN), "c": categorical([0, 1, 0, 2], ["a", "b", "test"])}
    fold = fit(table, [0, 1], among=[0, 1, 2])
    number, category = fold.fitted
    assert not number.number.flagged
    assert category.vocabulary.categories == ("a", "b")


def test_a_category_that_the_fold_lacks_is_unknown_to_it():
    table = {"c": categorical([0, 1, 2], ["a", "b", "c"])}
    fold = fit(table, [0, 1], among=[0, 1, 2])
    assert fold.encode(table).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]


def test_a_missing_value_that_only_another_fold_has_keeps_its_place():
    table = {"c": categorical([0, 1, -1], ["a", "b"])}
    assert fit(table, [0, 1], among=[0, 1, 2]).encode(table).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]


def test_an_embedded_category_that_the_fold_lacks_is_unknown_to_it_and_its_row_in_the_table_stays():
    codes = [place % MANY for place in range(2 * MANY)]
    table = {"zip": categorical(codes, [f"{place:02}" for place in range(MANY)])}
    fold = fit(table, [row for row, code in enumerate(codes) if code != 7], among=range(2 * MANY))
    assert fold.embeddings[0].categories == MANY + 1
    assert fold.encode(table)[:, -1].tolist() == [float(MANY if code == 7 else code) for code in codes]


def test_a_part_of_a_time_that_moves_in_any_fold_is_there_in_all():
    table = {"when": datetimes("2026-01-01", "2026-03-01", "2026-05-01T06:00:00")}
    names = list(fit(table, [0, 1], among=[0, 1, 2]).fitted[0].courses)
    assert "day_sine" in names
    assert "day_sine" not in fit(table, [0, 1]).fitted[0].courses
