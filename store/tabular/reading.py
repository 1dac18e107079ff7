# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""A stored table read back: some columns as arrays to learn from, or some rows as JSON to look at."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import duckdb
import numpy as np
from numpy.typing import NDArray

from store.errors import Unavailable
from store.tabular import files, sandbox
from store.tabular.declarations import ColumnType, StoredColumn

_LARGE_BYTES = 1 << 20  # of a file; DuckDB would keep more memory than its columns take
_AT_ONCE = 8  # columns: reading takes half a MiB of buffers for each
# A cell as JSON with its comma, of a text without the text itself.
_CELL_BYTES: dict[ColumnType, int] = {"numeric": 24, "boolean": 6, "datetime": 32, "categorical": 4, "text": 4}
DESCRIPTION_KEY = "learnd"  # in the file's own metadata: the columns' real names and types


class Described(TypedDict):
    name: str
    type: ColumnType
    integral: bool


def read_columns(path: Path, names: Sequence[str]) -> dict[str, StoredColumn]:
    """Columns by name, whole. Raises KeyError for a name that the table has not."""
    path = path.absolute()
    with sandbox.reader(path, is_kept=path.stat().st_size < _LARGE_BYTES) as connection:
        places = {column["name"]: (place, column) for place, column in enumerate(described(connection, path))}
        wanted = {name: places[name] for name in names}
        if not wanted:
            return {}
        query = f"FROM {files.parquet(path)}"
        read: dict[str, StoredColumn] = {}
        for start in range(0, len(names), _AT_ONCE):
            read |= _columns(connection, query, {name: wanted[name] for name in names[start : start + _AT_ONCE]})
        return read


def _columns(
    connection: duckdb.DuckDBPyConnection, query: str, wanted: Mapping[str, tuple[int, Described]]
) -> dict[str, StoredColumn]:
    coded = [place for place, column in wanted.values() if column["type"] in ("categorical", "text")]
    categories = {place: _categories(connection, query, place) for place in coded}
    chosen = ", ".join(_expression(f"c{place}", column["type"]) for place, column in wanted.values())
    arrays = connection.execute(f"SELECT {chosen} {query}").fetchnumpy()
    for place in coded:
        connection.execute(f"DROP TYPE c{place}")
    return {
        name: _stored(column, arrays.pop(f"c{place}"), categories.get(place))
        for name, (place, column) in wanted.items()
    }


def read_rows(path: Path, limit: int, offset: int, most_bytes: int | None = None) -> list[list[Any]]:
    """Rows in the table's order, as JSON values: whole numbers stay so, times are RFC 3339, missing is None.

    Return fewer than `limit` where their cells would take more than `most_bytes` as JSON, but at least one. Raise
    Unavailable where all who read now take more memory than they may.
    """
    path = path.absolute()
    with sandbox.reader(path) as connection, _memory_needed():
        found = described(connection, path)
        if most_bytes is not None:
            limit = _rows_within(connection, path, found, range(offset, offset + limit), most_bytes)
        times = [place for place, column in enumerate(found) if column["type"] == "datetime"]
        chosen = ", ".join(f"epoch_us(c{n})" if n in set(times) else f"c{n}" for n in range(len(found)))
        query = f"SELECT {chosen} FROM {_stretch(path, limit, offset)}"
        rows = [list(row) for row in connection.execute(query).fetchall()]
    for row in rows:
        for place in times:
            row[place] = None if row[place] is None else rfc3339(row[place])
    return rows


@contextmanager
def _memory_needed() -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise Unavailable("tables are read that take all the memory there is for it") from error


def _rows_within(
    connection: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[Described], rows: range, most_bytes: int
) -> int:
    """Return how many of `rows` fit into so many bytes, at least 1.

    Only the lengths of the texts come to Python, so that long ones are never there in more rows than are answered.
    """
    texts = [place for place, column in enumerate(columns) if column["type"] in ("categorical", "text")]
    fixed = sum(_CELL_BYTES[column["type"]] for column in columns)
    limit = max(1, min(len(rows), most_bytes // fixed))
    if not texts:
        return limit
    lengths = ", ".join(f"strlen(c{place})" for place in texts)
    query = f"SELECT coalesce(list_sum([{lengths}]), 0) FROM {_stretch(path, limit, rows.start)}"
    taken = np.cumsum([fixed + int(length) for (length,) in connection.execute(query).fetchall()])
    return max(1, int(np.searchsorted(taken, most_bytes, side="right")))


def _stretch(path: Path, limit: int, offset: int) -> str:
    within = f"file_row_number >= {int(offset)} AND file_row_number < {int(offset) + int(limit)}"
    return f"{files.parquet(path, row_numbers=True)} WHERE {within}"


def rfc3339(microseconds: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC."""
    return str(np.datetime_as_string(np.datetime64(microseconds, "us"), timezone="UTC"))


def described(connection: duckdb.DuckDBPyConnection, path: Path) -> list[Described]:
    """The columns of a stored table, in order."""
    query = f"SELECT value FROM {files.metadata(path, 'parquet_kv_metadata')} WHERE key = '{DESCRIPTION_KEY}'"
    found: list[Described] = json.loads(connection.execute(query).fetchall()[0][0])
    return found


def _categories(connection: duckdb.DuckDBPyConnection, query: str, place: int) -> tuple[str, ...]:
    """Return a column's strings by code point, and make an enum type of them in DuckDB, named as the column."""
    c = f"c{place}"
    strings = f"SELECT DISTINCT {c} {query} WHERE {c} IS NOT NULL ORDER BY {c}"
    found = tuple(connection.execute(strings).fetchnumpy()[c].tolist())
    connection.execute(f"CREATE OR REPLACE TEMP TYPE {c} AS ENUM ({strings})")
    return found


def _expression(c: str, type: ColumnType) -> str:
    if type == "numeric":
        return f"CAST({c} AS DOUBLE) AS {c}"
    if type == "datetime":
        return f"CAST(epoch_us({c}) AS DOUBLE) AS {c}"
    code = f"CAST({c} AS INTEGER)" if type == "boolean" else f"CAST(enum_code(CAST({c} AS {c})) AS INTEGER)"
    return f"coalesce({code}, -1) AS {c}"


def _stored(column: Described, values: NDArray[Any], categories: tuple[str, ...] | None) -> StoredColumn:
    if column["type"] in ("numeric", "datetime"):
        filled = np.ma.filled(values, np.nan) if isinstance(values, np.ma.MaskedArray) else values
        return StoredColumn(column["type"], filled, integral=column["integral"])
    return StoredColumn(
        column["type"], np.asarray(values, dtype=np.int32), (False, True) if categories is None else categories
    )
