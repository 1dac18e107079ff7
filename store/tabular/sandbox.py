"""DuckDB, shut in: it may open the files it is told of and no other, and holds no more memory than it is given."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from store.tabular.files import plain, texts

# One thread: a job then takes one core of the machine it shares, and sums come out the same bits each time.
_THREADS = 1
_READERS_KEPT = 4

_lock = threading.Lock()
_readers: OrderedDict[tuple[int, str], duckdb.DuckDBPyConnection] = OrderedDict()


@contextmanager
def sandbox(files: Iterable[Path], scratch: Path, memory_bytes: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own for one import: `files` and its spill folder below `scratch` are all it can touch."""
    connection = duckdb.connect(":memory:", config=_configuration(memory_bytes, plain(scratch / "spill")))
    try:
        _lock_in(connection, f"SET allowed_paths={texts(map(plain, files))}")
        yield connection
    finally:
        connection.close()


@contextmanager
def reader(file: Path, *, is_kept: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection to read one stored table.

    Starting DuckDB takes 10 ms, more than reading a small table, so an instance is kept for each folder of tables. It
    may read nothing outside that folder. One that is not kept gives all its memory back.
    """
    allowed = plain(file).rsplit("/", 2)[0]  # blobs lie in <folder>/ab/cdef…
    if not is_kept:
        with closing(_started(allowed)) as connection:
            yield connection
        return
    key = (os.getpid(), allowed)  # a forked child must not touch its parent's
    with _lock:
        instance = _readers.pop(key, None) or _started(allowed)
        _readers[key] = instance
        while len(_readers) > _READERS_KEPT:
            _readers.popitem(last=False)  # closed by the last cursor that still reads
        cursor = instance.cursor()
    try:
        yield cursor
    finally:
        cursor.close()


def _started(folder: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=_configuration(1 << 30, ""))
    _lock_in(connection, f"SET allowed_directories={texts([f'{folder}/'])}")
    return connection


def _configuration(memory_bytes: int, spill: str) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": _THREADS,
        "memory_limit": f"{memory_bytes // 1024}KiB",
        "temp_directory": spill,
        "enable_external_file_cache": False,  # it tells a file written anew by its time alone
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _lock_in(connection: duckdb.DuckDBPyConnection, allow: str) -> None:
    connection.execute(
        f"{allow}; SET TimeZone='UTC'; SET enable_progress_bar=false; SET parquet_metadata_cache=true;"
        # It compares every expression with every other: 10,000 columns of Parquet took 21 s, and take 12.
        " SET disabled_optimizers='common_subexpressions'; SET enable_external_access=false;"
        " SET lock_configuration=true"
    )
