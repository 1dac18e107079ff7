"""Which categories of a column the network knows, and the index of each; counts in, no torch.

    index     0 … C-1      C         C+1
    means     category     unknown   missing (only if a train row was missing)

A category that was not seen at training, and a missing value where none was seen, are `unknown`. That input is zero on
every train row, so its weights stay as they were drawn, unless the column has more than LIMIT categories: then the
rarest share it. An unknown and a missing value are told apart wherever training could tell them apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

Value = str | int | float | bool  # a category or class, in the JSON type of its column
LIMIT = 64  # one-hot inputs for a column's categories; beyond it the LIMIT - 1 most frequent and the unknown


def ordered(values: Iterable[Value]) -> list[Value]:
    """By number, by code point, false before true: what `sorted` does, as a column's values have one type."""
    return sorted(cast("Iterable[str]", values))


@dataclass(frozen=True)
class Vocabulary:
    categories: tuple[Value, ...]
    missing: bool  # whether missing is a category of its own
    rare: int = field(default=0, compare=False)  # how many categories share the unknown index

    @classmethod
    def fit(cls, values: Sequence[Value], counts: Sequence[int], missing: int) -> "Vocabulary":
        """Of the values with how many train rows have each, and how many rows are missing."""
        used = {value: count for value, count in zip(values, counts, strict=True) if count}
        kept = ordered(used)
        if len(kept) > LIMIT:
            # sorted() is stable: among equals the first by code point is kept
            kept = ordered(sorted(kept, key=lambda value: -used[value])[: LIMIT - 1])
        return cls(tuple(kept), missing > 0, len(used) - len(kept))

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

    @cached_property
    def _places(self) -> dict[Value, int]:
        return {value: index for index, value in enumerate(self.categories)}
