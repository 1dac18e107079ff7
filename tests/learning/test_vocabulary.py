from hypothesis import given
from hypothesis import strategies as st

from learning.vocabulary import LIMIT, Vocabulary


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
    assert vocabulary.rare == 0


def test_above_the_limit_the_most_frequent_are_kept_and_ties_go_to_the_lower_code_point():
    values = [f"{index:03}" for index in range(LIMIT + 2)]
    counts = [1] * LIMIT + [5, 1]
    vocabulary = Vocabulary.fit(values[::-1], counts[::-1], missing=0)
    assert vocabulary.categories == (*values[: LIMIT - 2], values[LIMIT])
    assert vocabulary.rare == 3
    assert vocabulary.indices([values[LIMIT - 2]]) == [LIMIT - 1]
    assert vocabulary.width == LIMIT


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=90), st.integers(0, 2))
def test_every_value_has_an_index_inside_the_width(found, missing):
    vocabulary = Vocabulary.fit(list(found), list(found.values()), missing)
    indices = vocabulary.indices([*found, "a value that never was"])
    assert all(0 <= index < vocabulary.width for index in [*indices, vocabulary.missing_index])
    assert [vocabulary.categories[index] for index in vocabulary.indices(vocabulary.categories)] == list(
        vocabulary.categories
    )
