"""How many rows each split gets, and how many of them from each class. Whole numbers only, no torch."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from learning.errors import UnusableColumn, UnusableSplit


class SplitCounts(NamedTuple):
    train: int
    validation: int
    test: int


class FoldCounts(NamedTuple):
    test: int
    folds: tuple[int, ...]  # the rows that each fold validates


SPLITS = SplitCounts._fields
FEWEST_TRAIN_ROWS = 2


def split_counts(rows: int, *, validation: float, test: float) -> SplitCounts:
    """Each fraction of all rows, rounded half up; train is what is left. Classes do not change these totals.

    Raises UnusableSplit where a requested split would be empty, or train would have under 2 rows.
    """
    counts = {split: _count(split, fraction, rows) for split, fraction in (("test", test), ("validation", validation))}
    train = rows - sum(counts.values())
    _check_train(train, rows)
    return SplitCounts(train, counts["validation"], counts["test"])


def fold_counts(rows: int, *, folds: int, test: float) -> FoldCounts:
    """Test as `split_counts` has it; the others by folds, of which the first few have one row more than the last.

    Raises UnusableSplit where test or a fold would be empty, or the largest fold would leave train under 2 rows.
    """
    tested = _count("test", test, rows)
    left = rows - tested
    if folds > left:
        raise UnusableSplit("validation", f"has {folds} folds, more than the {left} rows there are for them")
    sizes = tuple((left + folds - 1 - fold) // folds for fold in range(folds))
    _check_train(left - sizes[0], rows)
    return FoldCounts(tested, sizes)


def stated_counts(column: str, counts: Mapping[str, int], missing: int) -> SplitCounts:
    """Of a column of the words, with how many rows have each and how many have none.

    Raises UnusableColumn for another word or none in any row, UnusableSplit for under 2 train rows or no validation
    row. No test row is no mistake: nobody asked for one.
    """
    others = sorted(word for word, count in counts.items() if count and word not in SPLITS)
    if others or missing:
        wrong = f"says {others[0]!r}" if others else f"says nothing in {missing} rows"
        raise UnusableColumn(column, f"{wrong}, and may only say {', '.join(SPLITS)}")
    found = SplitCounts(*(counts.get(word, 0) for word in SPLITS))
    if not found.validation:
        raise UnusableSplit("validation", f"would be empty: column {column!r} says it of no row")
    _check_train(found.train, sum(found))
    return found


def apportion(total: int, sizes: Sequence[int]) -> list[int]:
    """`total` seats among classes of these sizes by largest remainder; of equal remainders the lower class first."""
    rows = sum(sizes)
    seats = [total * size // rows for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda index: -(total * sizes[index] % rows))
    for index in by_remainder[: total - sum(seats)]:
        seats[index] += 1
    return seats


def _count(split: str, fraction: float, rows: int) -> int:
    count = math.floor(Fraction(str(fraction)) * rows + Fraction(1, 2))  # 0.29 of 50 is 14.5, and in binary less
    if fraction and not count:
        raise UnusableSplit(split, f"would be empty: {fraction} of {rows} rows")
    return count


def _check_train(train: int, rows: int) -> None:
    if train < FEWEST_TRAIN_ROWS:
        raise UnusableSplit(
            "train", f"needs at least {FEWEST_TRAIN_ROWS} rows and would have {max(train, 0)} of {rows}"
        )
