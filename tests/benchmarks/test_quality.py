"""The benchmark of the default recipe: its tables are what they are said to be, its learners answer alike."""

import numpy as np
import pytest

from benchmarks import default_run, quality
from benchmarks.learners import boosting, perceptron
from benchmarks.tables import DataTable, missing, tables, unbalanced


@pytest.fixture(scope="module")
def every() -> dict[str, DataTable]:
    return {table.name: table for table in tables()}


def test_there_are_the_five_real_tables_and_more_than_six_made_ones(every: dict[str, DataTable]) -> None:
    assert {"iris", "wine", "breast cancer", "digits", "diabetes"} <= set(every)
    assert sum(table.rows >= 5_000 for table in every.values()) > 6
    assert max(table.rows for table in every.values()) == 100_000


def test_each_has_the_trouble_it_is_named_for(every: dict[str, DataTable]) -> None:
    holes = np.mean([np.isnan(values) for values in every["missing"].columns.values()])
    assert 0.2 < holes < 0.3
    assert every["unbalanced"].target.mean() == pytest.approx(0.02, abs=1e-3)
    assert max(len(set(values)) for values in every["categorical"].columns.values() if values.dtype == object) == 40
    assert all(values.mean() > 1.15 * np.median(values) for values in every["skewed"].columns.values())


def test_a_table_is_drawn_alike_each_time() -> None:
    first, again = missing(), missing()
    assert np.array_equal(first.target, again.target)
    assert all(np.array_equal(first.columns[name], again.columns[name], equal_nan=True) for name in first.columns)


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_learners_answer_for_the_same_rows_in_the_same_form(every: dict[str, DataTable], name: str) -> None:
    table = every[name]
    test, ours = default_run.answers(table, 0)
    train = np.setdiff1d(np.arange(table.rows), test)
    assert len(test) == round(table.rows * 0.2)
    for learner in (perceptron, boosting):
        assert learner(table, train, test, 0).shape == ours.shape
    assert quality.score(table, test, ours) > quality.trivial(table)


def test_rivals_are_given_missing_numbers_and_text() -> None:
    rows = np.arange(400)
    numbers = np.where(rows % 3 == 0, np.nan, rows.astype(float))
    texts = np.where(rows % 2 == 1, "odd", "even").astype(object)
    table = DataTable("parity", "told by a text", "auc", {"number": numbers, "text": texts}, rows % 2)
    for learner in (perceptron, boosting):
        assert quality.score(table, rows[300:], learner(table, rows[:300], rows[300:], 0)) > 0.99


def test_of_the_best_and_the_trivial_learner_a_table_makes_one_and_zero() -> None:
    scores = {"learnd": np.array([0.7, 0.9]), "other": np.array([0.6, 0.6]), "poor": np.array([0.1, 0.3])}
    outcome = quality.Outcome(unbalanced(), 0.5, scores, dict.fromkeys(scores, 0.0))
    assert outcome.normalised("learnd") == 1
    assert outcome.normalised("other") == pytest.approx(1 / 3)
    assert outcome.normalised("poor") == 0
    assert outcome.ahead("other") == (pytest.approx(0.2), pytest.approx(0.1))
