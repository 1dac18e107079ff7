"""Who is in train, validation and test: a function of the split seed and the order of the rows, and of nothing else.

Or as the table itself says, in a column of these three words.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from learning.apportionment import SPLITS, apportion, fold_counts, split_counts, stated_counts
from learning.columns import CategoricalColumn, Column, count_codes, present, type_of
from learning.errors import UnusableColumn
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
    tested, left = _drawn(rows, classes, counts.test, seed)
    validated = apportion(counts.validation, [len(group) for group in left])
    in_validation = torch.cat([group[:count] for group, count in zip(left, validated, strict=True)])
    in_train = torch.cat([group[count:] for group, count in zip(left, validated, strict=True)])
    return Split(_ascending(in_train), _ascending(in_validation), tested)


def fold_split(
    rows: int, classes: Tensor | None, *, folds: int, test: float, seed: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The test rows, drawn as `split` draws them, and those that each fold validates: each other row in one fold.

    The others stand class after class, within a class in the order of the draw, and are dealt out one by one: the
    folds' sizes and their shares of a class differ by at most one. Raises UnusableSplit as `fold_counts` does.
    """
    counts = fold_counts(rows, folds=folds, test=test)
    tested, left = _drawn(rows, classes, counts.test, seed)
    others = torch.cat(left)
    return tested, tuple(_ascending(others[fold::folds]) for fold in range(folds))


def split_by_column(column: Column, name: str) -> Split:
    """As the column says. Raises UnusableColumn or UnusableSplit as `stated_counts` does, or for no column of words."""
    if not isinstance(column, CategoricalColumn) or type_of(column) != "categorical":
        raise UnusableColumn(name, f"is {type_of(column)}, not a column of the words {', '.join(SPLITS)}")
    said = {str(word): code for code, word in enumerate(column.values)}
    counts = count_codes(column)
    stated_counts(name, {word: counts[code] for word, code in said.items()}, int((~present(column)).sum()))
    # A word that is never said has no code, and by now no row is without one.
    return Split(*(torch.nonzero(column.codes == said.get(word, -1)).flatten() for word in SPLITS))


def _drawn(rows: int, classes: Tensor | None, test: int, seed: int) -> tuple[Tensor, list[Tensor]]:
    """The test rows, and of each class the others in the order of the draw; one class where they do not count."""
    (drawn,) = permutations([key("split", seed)], rows)
    sizes = [rows]
    if classes is not None and min(each := [size for size in torch.bincount(classes).tolist() if size]) >= 2:
        sizes = each
        drawn = drawn[torch.sort(classes[drawn], stable=True).indices]
    groups = torch.split(drawn.long(), sizes)
    tested = apportion(test, sizes)
    in_test = torch.cat([group[:count] for group, count in zip(groups, tested, strict=True)])
    return _ascending(in_test), [group[count:] for group, count in zip(groups, tested, strict=True)]


def _ascending(rows: Tensor) -> Tensor:
    return rows.sort().values
