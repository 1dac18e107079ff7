"""Which categories of a column the network knows, and the index of each; counts in, no torch.

    index     0 … C-1      C         C+1
    means     category     unknown   missing (only if a train row was missing)

A category that was not seen at training, and a missing value where none was seen, are `unknown`; the two are told apart
wherever training could tell them apart. Up to LIMIT categories each has an input of its own. That of the unknown is
zero on every train row, so its weights stay as they were drawn.

A column of more gets a learned embedding. There the categories of a single row share the unknown's: one row teaches no
vector of its own, and what is learned of the rare is the best guess at the never seen. Where no category is that rare,
the unknown's stays as it was drawn too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

Value = str | int | float | bool  # a category or class, in the JSON type of its column
LIMIT = 64  # categories with an input each
MOST = 16_384  # categories with an embedding each; beyond it the rarest share the unknown's


def ordered(values: Iterable[Value]) -> list[Value]:
    """By number, by code point, false before true: what `sorted` does, as a column's values have one type."""
    return sorted(cast("Iterable[str]", values))


@dataclass(frozen=True)
class Vocabulary:
    categories: tuple[Value, ...]
    missing: bool  # whether missing is a category of its own
    unseen: frozenset[int] = frozenset()  # indices that only other folds' train rows have: unknown here
    shared: int = field(default=0, compare=False)  # how many categories share the unknown's index

    @classmethod
    def fit(
        cls, values: Sequence[Value], counts: Sequence[int], missing: int, train: Sequence[int] | None = None
    ) -> "Vocabulary":
        """Of the values with how many rows have each, and how many rows are missing.

        `train` says how many of these rows are trained on, where that is not all of them.
        """
        used = {value: count for value, count in zip(values, counts, strict=True) if count}
        kept = ordered(used)
        if len(kept) > LIMIT:
            kept = [value for value in kept if used[value] > 1]
        if len(kept) > MOST:
            # sorted() is stable: among equals the first by code point is kept
            kept = ordered(sorted(kept, key=lambda value: -used[value])[:MOST])
        taught = dict(zip(values, counts if train is None else train, strict=True))
        unseen = frozenset(index for index, value in enumerate(kept) if not taught[value])
        return cls(tuple(kept), missing > 0, unseen, len(used) - len(kept))

    @property
    def width(self) -> int:
        return len(self.categories) + 1 + self.missing

    @property
    def missing_index(self) -> int:
        return len(self.categories) + self.missing

    def indices(self, values: Iterable[Value]) -> list[int]:
        """The index of each value, in the order given."""
        unknown = len(self.categories)
        return [self._places.get(value, unknown) for value in values]

    @property
    def codes(self) -> list[int]:
        """The index of each category, then that of a value which is none of them, then that of a missing one."""
        return [*self.indices(self.categories), len(self.categories), self.missing_index]

    @cached_property
    def _places(self) -> dict[Value, int]:
        return {value: index for index, value in enumerate(self.categories) if index not in self.unseen}
