"""A stored table's columns as the tensors that learning starts from."""

from collections.abc import Sequence
from pathlib import Path

from learning.columns import Column, Table, from_array
from store.tabular import StoredColumn, read_columns

_KEPT_BYTES = 64 << 20


class Tables:
    """Reads tables, and keeps the last one while it is small: whoever tries things out trains on one table many times.

    A table's path is made of its content, so what is kept cannot be out of date.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[Path, tuple[str, ...]], Table] | None = None

    def read(self, path: Path, names: Sequence[str]) -> Table:
        key = (path, tuple(names))
        if self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        self._kept = None
        columns = read_columns(path, names)
        table = {name: column_of(stored) for name, stored in columns.items()}
        if sum(stored.values.nbytes for stored in columns.values()) <= _KEPT_BYTES:
            self._kept = key, table
        return table


def column_of(stored: StoredColumn) -> Column:
    """The same column, as learning knows it."""
    return from_array(stored.type, stored.values, stored.categories)
