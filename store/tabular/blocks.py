# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""A stored table read a stretch of rows at a time, for whoever goes through it once and is not to hold it whole.

What the columns must be is known before: each is asked for by its type and, of categories, by those that are known.
"""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
from numpy.typing import NDArray

from store.tabular import files, sandbox
from store.tabular.declarations import ColumnType, StoredColumn
from store.tabular.reading import Described, described

_CELLS = 1 << 22  # of a block, 32 MiB
_ROWS_A_GROUP = 122_880  # of a stored table; whoever asks for a part of a group pays for what stands before it too
_FEWEST_ROWS = _ROWS_A_GROUP >> 7


@dataclass(frozen=True)
class Wanted:
    """A column as somebody else knows it; `categories` are those he can tell apart, all others are one to him."""

    name: str
    type: ColumnType
    categories: tuple[str, ...] = ()


class Blocks:
    """Every thread that reads has a connection of its own, open until this is left."""

    def __init__(self, path: Path, wanted: Sequence[Wanted]) -> None:
        self._path = path.absolute()
        self._wanted = tuple(wanted)
        self._mine = threading.local()
        self._open = ExitStack()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self, first: int, rows: int) -> dict[str, StoredColumn]:
        """Rows `first` to `first + rows` of the wanted columns. Raises KeyError for a name that the table has not.

        A code past the known categories is a category that is not among them, -1 is missing. Where the table has a
        column as another type than wanted, all of it is missing.
        """
        if not hasattr(self._mine, "connection"):
            self._begin()
        connection: duckdb.DuckDBPyConnection = self._mine.connection
        within = f"file_row_number >= {int(first)} AND file_row_number < {int(first + rows)}"
        try:
            arrays = connection.execute(f"{self._mine.query} WHERE {within}").fetchnumpy()
        except duckdb.OutOfMemoryException as error:
            raise MemoryError(str(error)) from error
        return {each.name: _stored(each, arrays.pop(f"c{place}")) for place, each in enumerate(self._wanted)}

    def _begin(self) -> None:
        with self._lock:
            connection = self._open.enter_context(sandbox.reader(self._path))
        places = {column["name"]: (place, column) for place, column in enumerate(described(connection, self._path))}
        chosen = []
        for place, each in enumerate(self._wanted):
            at, column = places[each.name]
            if each.type == "categorical" and each.categories:
                texts = ", ".join(map(files.text, each.categories))
                connection.execute(f"CREATE OR REPLACE TEMP TYPE k{place} AS ENUM ({texts})")
            chosen.append(f"{_expression(f'c{at}', column, each, f'k{place}')} AS c{place}")
        file = files.parquet(self._path, row_numbers=True)
        self._mine.query = f"SELECT {', '.join(chosen)} FROM {file}"
        self._mine.connection = connection


def rows_at_once(columns: int) -> int:
    """How many rows of so many columns make a block: a whole group of the file, or a half, a quarter, … of one."""
    rows = _ROWS_A_GROUP
    while rows * columns > _CELLS and rows > _FEWEST_ROWS:
        rows //= 2
    return rows


def suits(stored: ColumnType, wanted: ColumnType) -> bool:
    """Whether a column of the one type can be read as the other: text is categories that are not counted."""
    return stored == wanted or (wanted == "categorical" and stored == "text")


def _expression(c: str, column: Described, wanted: Wanted, known: str) -> str:
    suited = suits(column["type"], wanted.type)
    match wanted.type:
        case "numeric":
            return f"CAST({c} AS DOUBLE)" if suited else "CAST(NULL AS DOUBLE)"
        case "datetime":
            return f"CAST(epoch_us({c}) AS DOUBLE)" if suited else "CAST(NULL AS DOUBLE)"
        case "boolean":
            return f"coalesce(CAST({c} AS INTEGER), -1)" if suited else "-1"
        case _ if not suited:
            return "-1"
    other = len(wanted.categories)
    code = f"CAST(coalesce(enum_code(TRY_CAST({c} AS {known})), {other}) AS INTEGER)" if other else "0"
    return f"CASE WHEN {c} IS NULL THEN -1 ELSE {code} END"


def _stored(wanted: Wanted, values: NDArray[Any]) -> StoredColumn:
    if wanted.type in ("numeric", "datetime"):
        filled = np.ma.filled(values, np.nan) if isinstance(values, np.ma.MaskedArray) else values
        return StoredColumn(wanted.type, filled)
    categories = (False, True) if wanted.type == "boolean" else wanted.categories
    return StoredColumn(wanted.type, np.asarray(values, dtype=np.int32), categories)
