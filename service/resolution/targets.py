"""What must be known of a dataset's target columns before a run is accepted: how many rows have them, how many classes.

Datasets never change, so what was read once is kept: an accepted run costs no second reading of the file.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    labels: frozenset[str] = frozenset()  # of the classes, as keys of JSON


class TargetColumns:
    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._kept: OrderedDict[tuple[str, tuple[str, ...]], TargetFacts] = OrderedDict()
        self._lock = threading.Lock()

    def facts(self, dataset: Dataset, names: Sequence[str]) -> TargetFacts:
        assert dataset.blob is not None, "only a dataset that is ready is asked"
        place = (dataset.blob, tuple(names))
        with self._lock:
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
        read = read_columns(self._blobs.local_path(dataset.blob), list(names))
        found = _facts([read[name] for name in names])
        with self._lock:
            self._kept[place] = found
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def _facts(columns: Sequence[StoredColumn]) -> TargetFacts:
    present = np.logical_and.reduce([_present(column) for column in columns])
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
    return TargetFacts(
        rows=rows,
        dropped=len(present) - rows,
        integral=integral,
        counts=integral and all(bool((values >= 0).all()) for values in used),
        classes=len(values) if listed else None,
        labels=frozenset(class_key(value) for value in values) if listed else frozenset(),
    )


def _present(column: StoredColumn) -> Any:
    # As in learning: an infinite number is as good as none.
    return column.values >= 0 if column.categories is not None else np.isfinite(column.values)


def _is_integral(values: Any) -> bool:
    return bool((values == np.trunc(values)).all())
