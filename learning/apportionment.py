"""How many rows each split gets, and how many of them from each class. Whole numbers only, no torch."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from learning.errors import UnusableSplit


class SplitCounts(NamedTuple):
    train: int
    validation: int
    test: int


def split_counts(rows: int, *, validation: float, test: float) -> SplitCounts:
    """Each fraction of all rows, rounded half up; train is what is left. Classes do not change these totals.

    Raises UnusableSplit where a requested split would be empty, or train would have under 2 rows.
    """
    counts = {"test": _round_half_up(test * rows), "validation": _round_half_up(validation * rows)}
    for split, fraction in (("test", test), ("validation", validation)):
        if fraction and not counts[split]:
            raise UnusableSplit(split, f"would be empty: {fraction} of {rows} rows")
    train = rows - sum(counts.values())
    if train < 2:
        raise UnusableSplit("train", f"needs at least 2 rows and would have {max(train, 0)} of {rows}")
    return SplitCounts(train, counts["validation"], counts["test"])


def apportion(total: int, sizes: Sequence[int]) -> list[int]:
    """`total` seats among classes of these sizes by largest remainder; of equal remainders the lower class first."""
    rows = sum(sizes)
    seats = [total * size // rows for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda index: -(total * sizes[index] % rows))
    for index in by_remainder[: total - sum(seats)]:
        seats[index] += 1
    return seats


def _round_half_up(quantity: float) -> int:
    return math.floor(quantity + 0.5)
