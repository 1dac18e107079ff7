# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""From a file in one of three formats to a stored table: read, typed, written as Parquet, profiled."""

import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import duckdb

from store.durable import room_needed, tells_of_no_room
from store.errors import Full, UnreadableTable
from store.tabular import csv_table, files, ndjson_table, parquet_table, sandbox
from store.tabular.declarations import (
    COLUMN_TYPES,
    DEFAULT_MISSING,
    EXACT,
    Format,
    ImportedTable,
    ImportOptions,
    RawTable,
    warning,
)
from store.tabular.inference import Settled, settle
from store.tabular.naming import check_lengths
from store.tabular.profiling import profile
from store.tabular.reading import DESCRIPTION_KEY, Described

_ROWS_A_GROUP = 122_880
_DICTIONARIES = 500


def import_table(
    path: Path,
    format: Format,
    options: ImportOptions,
    out: Path,
    *,
    max_rows: int = 50_000_000,
    max_columns: int = 10_000,
    max_bytes: int = 8 << 30,
    memory_bytes: int = 1 << 30,
    allow: Callable[[int], None] = lambda _size: None,
) -> ImportedTable:
    """Reads `path` and writes it as Parquet to `out` (not yet synced), rows in order; equal files give equal bytes.

    `max_bytes` bounds what a table that arrives compressed takes when unpacked; `memory_bytes` is DuckDB's, which
    spills beside `out` past it and needs 64 MiB at least. `allow` is told how many bytes the table has, as soon as that
    is known, before they are read. Raises UnreadableTable, and Full; `out` is then gone.
    """
    path, out = path.absolute(), out.absolute()
    with room_needed(), tempfile.TemporaryDirectory(dir=out.parent) as folder:
        scratch = Path(folder)
        rewritten = scratch / "rewritten.csv"
        allow(path.stat().st_size)
        try:
            with sandbox.sandbox([path, rewritten, out], scratch, memory_bytes) as connection:
                if format == "csv":
                    table = csv_table.load(connection, path, options, rewritten, max_columns)
                elif format == "ndjson":
                    table = ndjson_table.load(
                        connection,
                        path,
                        options,
                        rewritten,
                        max_columns=max_columns,
                        max_bytes=max_bytes,
                        allow=allow,
                    )
                else:
                    table = parquet_table.load(
                        connection,
                        path,
                        options,
                        max_rows=max_rows,
                        max_columns=max_columns,
                        max_bytes=max_bytes,
                        allow=allow,
                    )
                return _store(connection, table, options, out, max_rows)
        except duckdb.OutOfMemoryException:
            out.unlink(missing_ok=True)
            raise UnreadableTable(f"the table takes more than {memory_bytes} bytes of memory to read") from None
        except BaseException as error:
            out.unlink(missing_ok=True)
            if isinstance(error, duckdb.IOException) and tells_of_no_room(error):
                raise Full("no room is left for the table") from error
            raise


def _store(
    connection: duckdb.DuckDBPyConnection, table: RawTable, options: ImportOptions, out: Path, max_rows: int
) -> ImportedTable:
    check_lengths(table.names)
    _check_types(table.names, options)
    (rows,) = connection.execute("SELECT count(*) FROM raw").fetchall()[0]
    if not rows:
        raise UnreadableTable("there is no data row in the file")
    if rows > max_rows:
        raise UnreadableTable(f"{rows} rows, more than {max_rows}")
    columns, warnings = settle(connection, table, options.types, rows)
    _write(connection, table.names, columns, out)
    connection.execute("DROP TABLE raw")
    found = profile(connection, out, table.names, columns, rows)
    rounded = [name for name, column in zip(table.names, columns, strict=True) if column.is_rounded]
    large = [c["name"] for c in found if c.get("integer") and max(abs(c["min"]), abs(c["max"])) > EXACT]
    told = table.warnings + warnings + _rounded(dict.fromkeys([*large, *rounded])) + _own_markers(table.names, options)
    return ImportedTable(rows, found, told)


def _own_markers(names: Sequence[str], options: ImportOptions) -> list[dict[str, str]]:
    """Tell of texts that mean missing in this file alone: a prediction that sends one means a number or a category."""
    own = [repr(marker) for marker in options.missing if marker not in DEFAULT_MISSING]
    if not own:
        return []
    message = (
        f"{', '.join(own)} means a missing value in this file alone: a prediction leaves such a cell empty,"
        " or sends null"
    )
    return [warning(names[0], "own_missing_markers", message)]


def _rounded(names: Iterable[str]) -> list[dict[str, str]]:
    """Account numbers and the like: two of them may be one to the network, and a class comes out as another."""
    message = (
        "whole numbers past 2^53 are rounded in training and in predictions;"
        " if they are names, say that the column is categorical in `types`"
    )
    return [warning(name, "large_numbers", message) for name in names]


def _check_types(names: Sequence[str], options: ImportOptions) -> None:
    for name, type in options.types.items():
        if name not in names:
            raise UnreadableTable(f"types: there is no column {name!r}", column=name)
        if type not in COLUMN_TYPES:
            raise UnreadableTable(f"types: {name!r} must be one of {', '.join(COLUMN_TYPES)}", column=name)


def _write(connection: duckdb.DuckDBPyConnection, names: Sequence[str], columns: Sequence[Settled], out: Path) -> None:
    """Columns are `c0`, `c1`, … in there too: two names that differ only in case are one to DuckDB."""
    described: list[Described] = [
        {"name": name, "type": column.type, "integral": column.integral}
        for name, column in zip(names, columns, strict=True)
    ]
    chosen = ", ".join(f"{column.expression} AS c{place}" for place, column in enumerate(columns))
    description = files.text(json.dumps(described))
    # A dictionary of strings takes DuckDB half a megabyte of memory a column, whatever is in it.
    dictionaries = "" if len(columns) <= _DICTIONARIES else "DICTIONARY_SIZE_LIMIT 1, "
    connection.execute(
        f"COPY (SELECT {chosen} FROM raw) TO {files.target(out)} (FORMAT parquet, USE_TMP_FILE false, {dictionaries}"
        f"COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {_ROWS_A_GROUP},"
        f" KV_METADATA {{{DESCRIPTION_KEY}: {description}}})"
    )
