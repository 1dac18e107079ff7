"""Who is in train, validation and test: a function of the split seed and the order of the rows, and of nothing else."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from learning.apportionment import apportion, split_counts
from learning.randomness import key, permutations


class Split(NamedTuple):
    """Row indices, int64, each in ascending order."""

    train: Tensor
    validation: Tensor
    test: Tensor


def split(rows: int, classes: Tensor | None, *, validation: float, test: float, seed: int) -> Split:
    """Test is drawn first, then validation, train is the rest.

    With `classes` [N] int64, each split has its share of every class, if every class has at least 2 rows. Raises
    UnusableSplit as `split_counts` does.
    """
    counts = split_counts(rows, validation=validation, test=test)
    (drawn,) = permutations([key("split", seed)], rows)
    sizes = [rows] if classes is None else [size for size in torch.bincount(classes).tolist() if size]
    if classes is None or min(sizes) < 2:
        return _deal(drawn, [rows], counts.validation, counts.test)
    by_class = torch.sort(classes[drawn], stable=True).indices  # within a class, the order of the draw
    return _deal(drawn[by_class], sizes, counts.validation, counts.test)


def _deal(drawn: Tensor, sizes: Sequence[int], validation: int, test: int) -> Split:
    """From each group of drawn rows, which stand one after another: the first to test, the next to validation."""
    tested = apportion(test, sizes)
    validated = apportion(validation, [size - taken for size, taken in zip(sizes, tested, strict=True)])
    parts: list[list[Tensor]] = [[], [], []]
    for group, for_test, for_validation in zip(torch.split(drawn, list(sizes)), tested, validated, strict=True):
        train = len(group) - for_test - for_validation
        for part, chosen in zip(parts, torch.split(group, [for_test, for_validation, train]), strict=True):
            part.append(chosen)
    in_test, in_validation, in_train = (torch.cat(part).sort().values for part in parts)
    return Split(in_train, in_validation, in_test)
