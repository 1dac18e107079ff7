# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""Parquet into DuckDB: what the file says of itself is held against the limits before a value of it is read."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from store.durable import tells_of_no_room
from store.errors import UnreadableTable
from store.tabular import files
from store.tabular.declarations import ImportOptions, Kind, RawTable, warning
from store.tabular.naming import settle_names
from store.tabular.parquet_footer import BrokenFooter, read_footer

_TEXT_SHARE = 8  # a digit and a comma in CSV are eight bytes in memory; a text takes what it takes

_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_WIDE = {"UBIGINT", "HUGEINT", "UHUGEINT"}  # whole numbers that may be past 64 bits
_REAL = {"FLOAT", "DOUBLE"}
_WHOLE_DECIMAL = re.compile(r"DECIMAL\(\d+,0\)")
_TIMES = {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
_LONGEST_REASON = 500  # characters; a name in it may be as long as its sender likes
_TEXTS = {"VARCHAR", "UUID", "TIME", "TIME WITH TIME ZONE"}


def load(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    options: ImportOptions,
    *,
    max_rows: int,
    max_columns: int,
    max_bytes: int,
    allow: Callable[[int], None],
) -> RawTable:
    """Makes the table `raw`. Raises UnreadableTable; a row has no line here."""
    footer = read_footer(path, max_rows=max_rows, max_columns=max_columns)
    if footer.size > max_bytes:
        raise UnreadableTable(f"the table takes more than {max_bytes} bytes in memory")
    allow(footer.size)
    names, warnings = settle_names(footer.names)
    with _in_our_words():
        types = [row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {files.parquet(path)}").fetchall()]
        if len(types) != len(names):
            raise BrokenFooter("its schema does not have the columns that it says")
        columns = [
            _column(f"c{place}", name, type, options)
            for place, (name, type) in enumerate(zip(names, types, strict=True))
        ]
        aliases = ", ".join(f"c{place}" for place in range(len(names)))
        source = f"{files.parquet(path)} AS file({aliases})"
        if footer.text > max_bytes // _TEXT_SHARE:
            _check_text(connection, source, types, max_bytes // _TEXT_SHARE, allow)
        chosen = ", ".join(expression for expression, _ in columns)
        connection.execute(f"CREATE TABLE raw AS SELECT {chosen} FROM {source}")
        times = [place for place, (_, kind) in enumerate(columns) if kind == "datetime"]
        warnings += _endless_times(connection, source, names, times)
    return RawTable(names, tuple(kind for _, kind in columns), lambda _row: None, warnings)


def _endless_times(
    connection: duckdb.DuckDBPyConnection, source: str, names: Sequence[str], times: Sequence[int]
) -> list[dict[str, str]]:
    """Warn of the first and the last number that a time may be, which stand for no time: they are missing values."""
    if not times:
        return []
    counted = ", ".join(f"count(*) FILTER (c{place} IS NOT NULL AND NOT isfinite(c{place}))" for place in times)
    (counts,) = connection.execute(f"SELECT {counted} FROM {source}").fetchall()
    return [
        warning(names[place], "endless_times", f"{count} values are before or after all times: they are missing here")
        for place, count in zip(times, counts, strict=True)
        if count
    ]


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        if tells_of_no_room(error):
            raise
        raise BrokenFooter(_reason(error)) from None
    except (RuntimeError, UnicodeDecodeError) as error:  # so come the exceptions of its libraries, and broken names
        raise BrokenFooter("its bytes are not those of a Parquet file") from error


def _check_text(
    connection: duckdb.DuckDBPyConnection, source: str, types: Sequence[str], most: int, allow: Callable[[int], None]
) -> None:
    """Count what texts take that stand once in a dictionary and in many rows, without unfolding them."""
    texts = [f"coalesce(sum(strlen(c{place})), 0)" for place, type in enumerate(types) if type == "VARCHAR"]
    if not texts:
        return
    ((total,),) = connection.execute(f"SELECT {' + '.join(texts)} FROM {source}").fetchall()
    if total > most:
        raise UnreadableTable(f"the texts of the table take more than {most} bytes")
    allow(int(total))


def _column(c: str, name: str, type: str, options: ImportOptions) -> tuple[str, Kind]:
    """The column as one of five types, NaN and the missing markers as NULL."""
    forced = options.types.get(name)
    if type in _WIDE or _WHOLE_DECIMAL.fullmatch(type):
        # By way of their digits, which the typing reads as exactly as they can be stored.
        return (
            (f"CAST({c} AS VARCHAR) AS {c}", "number")
            if forced in (None, "numeric")
            else (_text(c, c, options), "string")
        )
    if type in _WHOLE | _REAL or type.startswith("DECIMAL"):
        number = f"CAST({c} AS {'BIGINT' if type in _WHOLE else 'DOUBLE'})"
        if type in ("FLOAT", "DOUBLE"):
            number = f"CASE WHEN isnan({c}) THEN NULL ELSE {number} END"
        return (f"{number} AS {c}", "number") if forced in (None, "numeric") else (_text(c, number, options), "string")
    if type == "BOOLEAN":
        return (f"{c}", "boolean") if forced in (None, "boolean") else (_text(c, c, options), "string")
    if type in _TIMES:
        # By way of microseconds: a cast would ask for the session's time zone.
        moment = f"make_timestamp(epoch_us({c}))"
        return (f"{moment} AS {c}", "datetime") if forced in (None, "datetime") else (_text(c, c, options), "string")
    if type in _TEXTS or type.startswith("ENUM"):
        return _text(c, c, options), "string"
    raise UnreadableTable(f"the column {name!r} has the type {type.lower()}, which cannot be read", column=name)


def _text(c: str, expression: str, options: ImportOptions) -> str:
    markers = ", ".join(files.text(marker) for marker in sorted({"", *options.missing}))
    value = f"CAST({expression} AS VARCHAR)"
    return f"CASE WHEN {value} IN ({markers}) THEN NULL ELSE {value} END AS {c}"


def _reason(error: duckdb.Error) -> str:
    """DuckDB's first line without the path it names, which is ours."""
    said = str(error).splitlines()[0][:_LONGEST_REASON]
    return re.sub(r"'[^']*/[^']*'|\"[^\"]*/[^\"]*\"", "the file", said)
