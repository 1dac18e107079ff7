from hypothesis import given
from hypothesis import strategies as st

from learning.vocabulary import LIMIT, MOST, Vocabulary


def test_categories_are_those_of_the_train_rows_by_code_point():
    vocabulary = Vocabulary.fit(["ä", "b", "Z", "elsewhere"], [1, 2, 3, 0], missing=0)
    assert vocabulary.categories == ("Z", "b", "ä")
    assert vocabulary.indices(["b", "elsewhere", "ä", "never"]) == [1, 3, 2, 3]


def test_missing_is_a_category_of_its_own_where_training_saw_it():
    seen = Vocabulary.fit(["a", "b"], [1, 1], missing=1)
    assert (seen.missing_index, seen.width) == (3, 4)
    unseen = Vocabulary.fit(["a", "b"], [1, 1], missing=0)
    assert (unseen.missing_index, unseen.width) == (2, 3)


def test_at_the_limit_every_category_is_kept():
    values = [f"{index:03}" for index in range(LIMIT)]
    vocabulary = Vocabulary.fit(values, [1] * LIMIT, missing=0)
    assert vocabulary.categories == tuple(values)
    assert vocabulary.shared == 0


def test_above_the_limit_the_categories_of_a_single_row_share_the_unknowns_index():
    values = [f"{index:03}" for index in range(LIMIT + 2)]
    counts = [2] * LIMIT + [1, 1]
    vocabulary = Vocabulary.fit(values[::-1], counts[::-1], missing=1)
    assert vocabulary.categories == tuple(values[:LIMIT])
    assert vocabulary.shared == 2
    assert vocabulary.indices([values[0], values[LIMIT], values[LIMIT + 1], "never"]) == [0, LIMIT, LIMIT, LIMIT]
    assert vocabulary.missing_index == LIMIT + 1


def test_beyond_the_most_the_commonest_are_kept_and_ties_go_to_the_lower_code_point():
    values = [f"{index:05}" for index in range(MOST + 2)]
    counts = [2] * MOST + [5, 2]
    vocabulary = Vocabulary.fit(values[::-1], counts[::-1], missing=0)
    assert vocabulary.categories == (*values[: MOST - 1], values[MOST])
    assert vocabulary.shared == 2
    assert vocabulary.indices([values[MOST - 1], values[MOST + 1]]) == [MOST, MOST]


def test_a_category_that_only_other_folds_have_keeps_its_place_and_is_unknown():
    vocabulary = Vocabulary.fit(["a", "b", "c", "d"], [2, 1, 3, 0], missing=0, train=[2, 0, 1, 0])
    assert vocabulary.categories == ("a", "b", "c")
    assert vocabulary.indices(["a", "b", "c", "d"]) == [0, 3, 2, 3]
    assert vocabulary.width == 4


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=90), st.integers(0, 2))
def test_every_value_has_an_index_inside_the_width(found, missing):
    vocabulary = Vocabulary.fit(list(found), list(found.values()), missing)
    indices = vocabulary.indices([*found, "a value that never was"])
    assert all(0 <= index < vocabulary.width for index in [*indices, vocabulary.missing_index])
    assert [vocabulary.categories[index] for index in vocabulary.indices(vocabulary.categories)] == list(
        vocabulary.categories
    )
