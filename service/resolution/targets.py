"""What must be known of a dataset's target columns before a run is accepted: how many rows have them, how many classes.

Datasets never change, so what was read once is kept: an accepted run costs no second reading of the file.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from learning.apportionment import SPLITS
from learning.specs import class_key
from store.blobs import Blobs
from store.datasets import Dataset
from store.tabular import StoredColumn, read_columns

MOST_CLASSES = 10_000  # a numeric column with more distinct values is not listed as classes
_KEPT = 512


@dataclass(frozen=True)
class TargetFacts:
    """Of the rows that have every target: how many, whether all numbers are whole, how many classes of one column."""

    rows: int
    dropped: int
    integral: bool
    counts: bool  # integral, and none below zero
    classes: int | None  # None: several columns, or more distinct numbers than can be classes
    constant: tuple[str, ...]  # the columns that have one value in all of them
    labels: frozenset[str] = frozenset()  # of the classes, as keys of JSON
    label_bytes: int = 0  # of all classes' names together
    numeric: bool = False  # the classes are numbers
    # Of the column that says who is in which split: rows by word, of other words the first alone.
    words: Mapping[str, int] = field(default_factory=dict)
    wordless: int = 0  # rows of which it says nothing


class TargetColumns:
    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._kept: OrderedDict[tuple[str, tuple[str, ...], str | None], TargetFacts] = OrderedDict()
        self._lock = threading.Lock()

    def facts(self, dataset: Dataset, names: Sequence[str], split: str | None = None) -> TargetFacts:
        """Of the dataset's target columns; `split` is the categorical column that says who is where, if one does."""
        assert dataset.blob is not None, "only a dataset that is ready is asked"
        place = (dataset.blob, tuple(names), split)
        with self._lock:
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
        read = read_columns(self._blobs.local_path(dataset.blob), [*names, *([] if split is None else [split])])
        found = _facts(names, [read[name] for name in names])
        if split is not None:
            found = _with_words(found, read[split], [read[name] for name in names])
        with self._lock:
            self._kept[place] = found
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def _facts(names: Sequence[str], columns: Sequence[StoredColumn]) -> TargetFacts:
    present = _all_present(columns)
    rows = int(present.sum())
    used = [column.values[present] for column in columns]
    integral = all(_is_integral(values) for values in used)
    values = np.unique(used[0]).tolist() if len(columns) == 1 else []
    known = columns[0].categories
    listed = len(columns) == 1 and len(values) <= MOST_CLASSES
    if known is not None:
        values = [known[code] for code in values]
    elif integral:
        values = [int(value) for value in values] if listed else values
    labels = frozenset(class_key(value) for value in values) if listed else frozenset()
    return TargetFacts(
        rows=rows,
        dropped=len(present) - rows,
        integral=integral,
        counts=integral and all(bool((values >= 0).all()) for values in used),
        classes=len(values) if listed else None,
        constant=tuple(name for name, values in zip(names, used, strict=True) if bool((values == values[:1]).all())),
        labels=labels,
        label_bytes=sum(len(label.encode()) for label in labels),
        numeric=known is None,
    )


def _with_words(facts: TargetFacts, column: StoredColumn, targets: Sequence[StoredColumn]) -> TargetFacts:
    said = column.values[_all_present(targets)]
    known = column.categories or ()
    counts = zip(known, np.bincount(said[said >= 0], minlength=len(known)).tolist(), strict=True)
    words = {str(word): count for word, count in counts if count}
    others = sorted(words.keys() - set(SPLITS))[:1]  # one is enough to refuse the column, and it may have millions
    kept = {word: words[word] for word in (*SPLITS, *others) if word in words}
    return replace(facts, words=kept, wordless=int((said < 0).sum()))


def _all_present(columns: Sequence[StoredColumn]) -> Any:
    return np.logical_and.reduce([_present(column) for column in columns])


def _present(column: StoredColumn) -> Any:
    # As in learning: an infinite number is as good as none.
    return column.values >= 0 if column.categories is not None else np.isfinite(column.values)


def _is_integral(values: Any) -> bool:
    return bool((values == np.trunc(values)).all())
