import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.apportionment import fold_counts, split_counts
from learning.columns import CategoricalColumn, NumericColumn, take
from learning.errors import UnusableColumn, UnusableSplit
from learning.splitting import fold_split, split, split_by_column

fractions = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.4])


@settings(deadline=None)
@given(rows=st.integers(20, 300), validation=fractions, test=fractions, seed=st.integers(0, 2**63 - 1))
def test_the_parts_hold_every_row_once_in_order_and_as_many_as_promised(rows, validation, test, seed):
    parts = split(rows, None, validation=validation, test=test, seed=seed)
    assert torch.cat(parts).sort().values.tolist() == list(range(rows))
    assert tuple(map(len, parts)) == split_counts(rows, validation=validation, test=test)
    assert all(part.equal(part.sort().values) for part in parts)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(2, 40), min_size=2, max_size=6), seed=st.integers(0, 1000), data=st.data())
def test_each_part_has_its_share_of_every_class(sizes, seed, data):
    rows = sum(sizes)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    classes = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))[order]
    validation, test = data.draw(st.sampled_from([(0.3, 0.3), (0.25, 0.13), (0.2, 0.0)]))
    try:
        counts = split_counts(rows, validation=validation, test=test)
    except UnusableSplit:
        return
    parts = split(rows, classes, validation=validation, test=test, seed=seed)
    assert torch.cat(parts).sort().values.tolist() == list(range(rows))
    assert tuple(map(len, parts)) == counts
    in_test = torch.bincount(classes[parts.test], minlength=len(sizes)).tolist()
    left = [size - taken for size, taken in zip(sizes, in_test, strict=True)]
    in_validation = torch.bincount(classes[parts.validation], minlength=len(sizes)).tolist()
    for size, taken in zip(sizes, in_test, strict=True):
        assert abs(taken - counts.test * size / rows) < 1
    for size, taken in zip(left, in_validation, strict=True):
        assert abs(taken - counts.validation * size / (rows - counts.test)) < 1


def test_validation_is_shared_out_over_what_test_has_left():
    classes = torch.tensor([0] * 3 + [1] * 17)
    parts = split(20, classes, validation=0.45, test=0.45, seed=0)
    assert torch.bincount(classes[parts.test]).tolist() == [1, 8]  # 1.35 and 7.65 of 9
    assert torch.bincount(classes[parts.validation]).tolist() == [2, 7]  # 1.64 and 7.36 of 9, from 2 and 9 rows


def test_a_class_with_a_single_row_makes_the_split_plain():
    classes = torch.tensor([0] * 10 + [1] * 9 + [2])
    assert [part.tolist() for part in split(20, classes, validation=0.3, test=0.2, seed=4)] == [
        part.tolist() for part in split(20, None, validation=0.3, test=0.2, seed=4)
    ]


def test_the_same_seed_gives_the_same_split_whatever_torch_has_drawn():
    torch.manual_seed(1)
    once = split(50, None, validation=0.2, test=0.2, seed=7)
    torch.manual_seed(2)
    again = split(50, None, validation=0.2, test=0.2, seed=7)
    assert all(one.equal(other) for one, other in zip(once, again, strict=True))


def test_another_seed_gives_another_split():
    found = {tuple(split(50, None, validation=0.2, test=0.2, seed=seed).test.tolist()) for seed in range(20)}
    assert len(found) == 20


def test_the_names_of_classes_do_not_matter():
    classes = torch.arange(60) % 3
    kept = split(60, classes, validation=0.2, test=0.2, seed=3)
    renamed = split(60, classes * 5 + 1, validation=0.2, test=0.2, seed=3)
    assert all(one.equal(other) for one, other in zip(kept, renamed, strict=True))


def test_test_is_drawn_first():
    with_validation = split(100, None, validation=0.3, test=0.2, seed=11)
    without = split(100, None, validation=0.0, test=0.2, seed=11)
    assert with_validation.test.equal(without.test)


def test_every_row_has_the_same_chance_of_being_tested():
    drawn = torch.stack([split(20, None, validation=0.0, test=0.25, seed=seed).test for seed in range(400)])
    counts = torch.bincount(drawn.flatten(), minlength=20)  # each binomial(400, 1/4): 100 with a deviation of 8.7
    assert counts.min() > 60
    assert counts.max() < 140


def test_a_split_is_pinned_for_ever():
    """Stored runs name rows by their split seed alone: this may only change with a new version of the splits."""
    found = split(12, None, validation=0.25, test=0.25, seed=0)
    assert [part.tolist() for part in found] == [[1, 2, 3, 4, 5, 8], [0, 7, 10], [6, 9, 11]]


def test_a_split_too_small_is_refused():
    with pytest.raises(UnusableSplit):
        split(3, None, validation=0.5, test=0.3, seed=0)


@settings(deadline=None)
@given(
    rows=st.integers(20, 300), folds=st.integers(2, 12), test=fractions, seed=st.integers(0, 2**63 - 1), data=st.data()
)
def test_each_row_outside_test_is_validated_by_one_fold(rows, folds, test, seed, data):
    few = st.lists(st.integers(0, 4), min_size=rows, max_size=rows).map(torch.tensor)
    classes = data.draw(st.one_of(st.none(), few))
    tested, parts = fold_split(rows, classes, folds=folds, test=test, seed=seed)
    assert torch.cat([tested, *parts]).sort().values.tolist() == list(range(rows))
    assert all(part.equal(part.sort().values) for part in (tested, *parts))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert (len(tested), tuple(sizes)) == fold_counts(rows, folds=folds, test=test)
    assert tested.equal(split(rows, classes, validation=0.0, test=test, seed=seed).test)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(2, 40), min_size=2, max_size=6),
    folds=st.integers(2, 7),
    test=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1000),
)
def test_each_fold_has_its_share_of_every_class(sizes, folds, test, seed):
    rows = sum(sizes)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    classes = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))[order]
    try:
        fold_counts(rows, folds=folds, test=test)
    except UnusableSplit:
        return
    _, parts = fold_split(rows, classes, folds=folds, test=test, seed=seed)
    shares = torch.stack([torch.bincount(classes[part], minlength=len(sizes)) for part in parts])
    assert (shares.amax(0) - shares.amin(0)).max() <= 1


def test_a_class_with_a_single_row_makes_the_folds_plain():
    classes = torch.tensor([0] * 10 + [1] * 9 + [2])
    _, stratified = fold_split(20, classes, folds=4, test=0.2, seed=4)
    _, plain = fold_split(20, None, folds=4, test=0.2, seed=4)
    assert [part.tolist() for part in stratified] == [part.tolist() for part in plain]


def test_another_seed_gives_other_folds_and_the_same_seed_the_same():
    def folds(seed):
        return tuple(tuple(part.tolist()) for part in fold_split(30, None, folds=3, test=0.1, seed=seed)[1])

    assert len({folds(seed) for seed in range(20)}) == 20
    assert folds(7) == folds(7)


def test_rows_meet_in_a_fold_as_often_as_chance_has_it():
    together = sum(
        bool((part == 0).any() and (part == 1).any())
        for seed in range(400)
        for part in fold_split(20, None, folds=4, test=0.0, seed=seed)[1]
    )
    assert 60 < together < 110  # binomial(400, 4/19): 84 with a deviation of 8.2


def test_folds_are_pinned_for_ever():
    tested, parts = fold_split(12, torch.arange(12) % 2, folds=3, test=0.25, seed=0)
    assert (tested.tolist(), [part.tolist() for part in parts]) == ([0, 6, 9], [[1, 2, 10], [4, 5, 11], [3, 7, 8]])


@pytest.mark.parametrize(
    ("rows", "folds", "test", "named"),
    [(5, 6, 0.0, "validation"), (10, 9, 0.2, "validation"), (3, 2, 0.0, "train"), (10, 5, 0.01, "test")],
)
def test_too_few_rows_for_the_folds_are_refused_by_name(rows, folds, test, named):
    with pytest.raises(UnusableSplit) as refusal:
        fold_split(rows, None, folds=folds, test=test, seed=0)
    assert refusal.value.split == named


WORDS = ("train", "validation", "test")


@settings(deadline=None)
@given(said=st.lists(st.sampled_from(WORDS), min_size=5, max_size=60), order=st.permutations(WORDS))
def test_a_column_says_who_is_where(said, order):
    column = CategoricalColumn(torch.tensor([order.index(word) for word in said], dtype=torch.int32), tuple(order))
    if said.count("train") < 2 or "validation" not in said:
        with pytest.raises(UnusableSplit):
            split_by_column(column, "split")
        return
    for part, word in zip(split_by_column(column, "split"), WORDS, strict=True):
        assert part.tolist() == [row for row, each in enumerate(said) if each == word]


def test_a_column_may_leave_test_out():
    column = CategoricalColumn(torch.tensor([0, 1, 0]), ("train", "validation"))
    assert [part.tolist() for part in split_by_column(column, "split")] == [[0, 2], [1], []]


def test_only_the_rows_that_are_there_need_a_word():
    column = CategoricalColumn(torch.tensor([0, -1, 1, 2, 0]), ("train", "validation", "holdout"))
    kept = take(column, torch.tensor([0, 2, 4]))
    assert [part.tolist() for part in split_by_column(kept, "split")] == [[0, 2], [1], []]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (CategoricalColumn(torch.tensor([0, 0, 1, 2]), (*WORDS[:2], "valid")), "says 'valid'"),
        (CategoricalColumn(torch.tensor([0, 0, 1, -1]), WORDS), "says nothing in 1 rows"),
        (CategoricalColumn(torch.tensor([0, 1, 1]), (False, True)), "is boolean"),
        (NumericColumn(torch.tensor([0.0, 1.0, 2.0])), "is numeric"),
    ],
)
def test_a_column_that_says_something_else_is_refused_by_name(column, reason):
    with pytest.raises(UnusableColumn, match="train, validation, test") as refusal:
        split_by_column(column, "part")
    assert refusal.value.column == "part"
    assert reason in refusal.value.reason
