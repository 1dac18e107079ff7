r"""How DuckDB is told of a file: every call of it that has a path is made here.

DuckDB reads more into a path than a name: `env=prod/` is a column of every file below it, `*`, `?`, `[` and `\` are
patterns. A table has the columns of its file, wherever that lies.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

_PATTERNS = frozenset("*?[]\\")
_lock = threading.Lock()
_folders: dict[Path, int] = {}  # those with a name that is a pattern, held open


def text(value: str | Path) -> str:
    """Return a string as an SQL literal; DuckDB's have no escapes but the doubled quote."""
    return "'" + str(value).replace("'", "''") + "'"


def texts(values: Iterable[str | Path]) -> str:
    return "[" + ", ".join(map(text, values)) + "]"


def plain(path: Path) -> str:
    """Return a path to the same file that DuckDB takes for what it is.

    There is no way to write a backslash beside a pattern, so that a folder with such a name is gone to by its
    descriptor.
    """
    names = path.absolute().parts
    odd = [place for place, name in enumerate(names) if _is_odd(name)]
    if not odd:
        return str(path.absolute())
    last = min(odd[-1] + 1, len(names) - 1)
    below = "/".join(names[last:])
    if _is_odd(below):
        raise ValueError("a file's own name is made by us, and is plain")
    return f"/proc/self/fd/{_descriptor(Path(*names[:last]))}/{below}"


def parquet(path: Path | Sequence[Path], *, row_numbers: bool = False) -> str:
    """Return the call that reads a Parquet file, or several as one table."""
    files = text(plain(path)) if isinstance(path, Path) else texts(map(plain, path))
    numbered = ", file_row_number=true" if row_numbers else ""
    return f"read_parquet({files}, hive_partitioning=false{numbered})"


def csv(path: Path, options: str) -> str:
    """Return the call that reads a CSV file with these options, in SQL."""
    return f"read_csv({text(plain(path))}, hive_partitioning=false, auto_detect=false, {options})"


def metadata(path: Path, function: str) -> str:
    """Return the call of a function that reads what a Parquet file says of itself."""
    return f"{function}({text(plain(path))})"


def target(path: Path) -> str:
    """Return the path to be written to, as `COPY … TO` takes it."""
    return text(plain(path))


def _is_odd(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, which DuckDB would refuse
        return True
    return not _PATTERNS.isdisjoint(name)


def _descriptor(folder: Path) -> int:
    """Return the descriptor of an open folder, the same one as long as it is the same folder."""
    with _lock:
        held = _folders.get(folder)
        if held is None or not os.path.samestat(os.fstat(held), folder.stat()):
            held = _folders[folder] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        return held
