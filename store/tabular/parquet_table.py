# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""Parquet into DuckDB: what the file says of itself is held against the limits before a value of it is read."""

import re
from os import SEEK_END
from pathlib import Path

import duckdb

from store.errors import UnreadableTable
from store.tabular import files
from store.tabular.declarations import ImportOptions, Kind, RawTable
from store.tabular.naming import settle_names

_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_REAL = {"UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE"}
_TIMES = {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
_MAGIC = b"PAR1"
_LEAST_BYTES = 12  # the magic word twice, and the footer's length
# In Thrift's compact protocol: the version, an integer, then a list of more than 14 structures, and how many.
_SCHEMA = re.compile(rb"\x15[\x80-\xff]*+[\x00-\x7f]\x19\xfc([\x80-\xff]{0,9}[\x00-\x7f])")
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
) -> RawTable:
    """Makes the table `raw`. Raises UnreadableTable; a row has no line here."""
    _check_footer(path, max_columns)
    try:
        given = _checked_names(connection, path, max_rows, max_columns, max_bytes)
        names, warnings = settle_names(given)
        types = [row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {files.parquet(path)}").fetchall()]
        columns = [
            _column(f"c{place}", name, type, options)
            for place, (name, type) in enumerate(zip(names, types, strict=True))
        ]
        aliases = ", ".join(f"c{place}" for place in range(len(names)))
        chosen = ", ".join(expression for expression, _ in columns)
        connection.execute(f"CREATE TABLE raw AS SELECT {chosen} FROM {files.parquet(path)} AS file({aliases})")
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.NotImplementedException) as error:
        raise UnreadableTable(f"the file cannot be read as Parquet: {_reason(error)}") from None
    return RawTable(names, tuple(kind for _, kind in columns), lambda _row: None, warnings)


def _check_footer(path: Path, max_columns: int) -> None:
    """Raise UnreadableTable for a footer that is not there, or tells of more columns than are taken.

    The schema is a list near its beginning, and how long it is stands before its elements; a reader would make an
    object of each. What else may be wrong with a footer is left to DuckDB, in a process that may die of it.
    """
    with path.open("rb") as file:
        size = file.seek(0, SEEK_END)
        if size < _LEAST_BYTES:
            raise UnreadableTable("the file cannot be read as Parquet: it is too short")
        file.seek(size - 8)
        length = int.from_bytes(file.read(4), "little")
        if file.read(4) != _MAGIC or not 0 < length <= size - _LEAST_BYTES:
            raise UnreadableTable("the file cannot be read as Parquet: it does not end with a footer")
        file.seek(size - 8 - length)
        found = _SCHEMA.match(file.read(32))
    elements = _number(found[1]) if found else 0
    if elements > max_columns + 1:
        raise UnreadableTable(f"{elements - 1} columns and parts of columns, more than {max_columns}")


def _number(varint: bytes) -> int:
    return sum((byte & 127) << 7 * place for place, byte in enumerate(varint))


def _checked_names(
    connection: duckdb.DuckDBPyConnection, path: Path, max_rows: int, max_columns: int, max_bytes: int
) -> list[str]:
    schema = connection.execute(f"SELECT name, num_children FROM {files.metadata(path, 'parquet_schema')}").fetchall()
    names = [name for name, _ in schema[1:]]  # the first is the root
    for name, children in schema[1:]:
        if children:
            raise UnreadableTable(f"the column {name!r} is nested; only flat columns can be read", column=name)
    if not names:
        raise UnreadableTable("there is no column in the file")
    if len(names) > max_columns:
        raise UnreadableTable(f"{len(names)} columns, more than {max_columns}")
    (rows,) = connection.execute(f"SELECT num_rows FROM {files.metadata(path, 'parquet_file_metadata')}").fetchall()[0]
    if rows > max_rows:
        raise UnreadableTable(f"{rows} rows, more than {max_rows}")
    said = f"SELECT coalesce(sum(total_uncompressed_size), 0) FROM {files.metadata(path, 'parquet_metadata')}"
    (inflated,) = connection.execute(said).fetchall()[0]
    # A run of one value packs 50 million cells into some bytes: count what they will take when unpacked.
    if max(inflated, rows * len(names) * 8) > max_bytes:
        raise UnreadableTable(f"the table takes more than {max_bytes} bytes in memory")
    return names


def _column(c: str, name: str, type: str, options: ImportOptions) -> tuple[str, Kind]:
    """The column as one of five types, NaN and the missing markers as NULL."""
    forced = options.types.get(name)
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
