# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""JSON lines into DuckDB: every line checked here, where the line is known, then handed over in a plain form."""

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson

from store.errors import UnreadableTable
from store.tabular import files
from store.tabular.declarations import ImportOptions, Kind, RawTable
from store.tabular.naming import settle_names

_LONGEST_LINE = 1 << 20
_EXACT = 2**53
_KINDS: dict[type, Kind] = {bool: "boolean", int: "number", float: "number", str: "string"}
_WORDS: dict[Kind, str] = {"boolean": "true or false", "number": "a number", "string": "a string"}


def load(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    options: ImportOptions,
    rewritten: Path,
    *,
    max_columns: int,
    max_bytes: int,
    allow: Callable[[int], None],
) -> RawTable:
    """Makes the table `raw` of all keys, in the order met; an absent one is missing. Raises UnreadableTable."""
    missing = {"", *options.missing}
    kinds, large, rows = _survey(path, missing, max_columns)
    # An empty object of three bytes is as many cells as there are keys in all the file.
    if rows * len(kinds) * 8 > max_bytes:
        raise UnreadableTable(f"the table takes more than {max_bytes} bytes in memory")
    allow(rows * len(kinds) * len('"",'))
    names, warnings = settle_names(list(kinds))
    places = {key: place for place, key in enumerate(kinds)}
    empty = [""] * len(kinds)
    with rewritten.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow([f"c{place}" for place in range(len(kinds))])
        for _, record in _records(path):
            row = empty.copy()
            for key, value in record.items():
                row[places[key]] = _cell(value, missing)
            writer.writerow(row)
    columns = ", ".join(
        f"'c{place}': '{_type(kind, options.types.get(name), exact=key not in large)}'"
        for place, (name, (key, kind)) in enumerate(zip(names, kinds.items(), strict=True))
    )
    connection.execute(
        "CREATE TABLE raw AS SELECT * FROM "
        + files.csv(
            rewritten,
            f"header=true, delim=',', quote='\"', escape='\"', nullstr='', new_line='\\n', columns={{{columns}}}",
        )
    )
    return RawTable(names, tuple(kinds.values()), lambda row: _line_of(path, row), warnings)


def _survey(path: Path, missing: set[str], max_columns: int) -> tuple[dict[str, Kind], set[str], int]:
    """The keys and what each holds, those with whole numbers that a double would round, and how many records."""
    kinds: dict[str, Kind | None] = {}
    large: set[str] = set()
    rows = 0
    for line, record in _records(path):
        rows += 1
        for key, value in record.items():
            kind = None if value is None or (type(value) is str and value in missing) else _kind(key, value, line)
            before = kinds.setdefault(key, kind)
            if kind and before and kind != before:
                message = f"line {line}: {key!r} is {_WORDS[kind]}, and {_WORDS[before]} in a line above"
                raise UnreadableTable(message, line=line, column=key)
            if kind and not before:
                kinds[key] = kind
            if kind == "number" and abs(value) >= _EXACT:
                large.add(key)
        if len(kinds) > max_columns:
            raise UnreadableTable(f"more than {max_columns} columns", line=line)
    if not kinds:
        raise UnreadableTable("the file is empty: there is no column in it")
    return {key: kind or "string" for key, kind in kinds.items()}, large, rows


def _kind(key: str, value: Any, line: int) -> Kind:
    kind = _KINDS.get(type(value))
    if kind is None:
        noun = "an array" if isinstance(value, list) else "an object"
        raise UnreadableTable(f"line {line}: {key!r} is {noun}; values must not be nested", line=line, column=key)
    if type(value) is float and not math.isfinite(value):
        raise UnreadableTable(f"line {line}: {key!r} is not a finite number", line=line, column=key)
    if type(value) is str and "\0" in value:
        raise UnreadableTable(f"line {line}: {key!r} holds a zero byte", line=line, column=key)
    return kind


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        line = 0
        while content := file.readline(_LONGEST_LINE + 1):
            line += 1
            if len(content) > _LONGEST_LINE:
                raise UnreadableTable(f"line {line} is longer than {_LONGEST_LINE} bytes", line=line)
            content = content.removeprefix(b"\xef\xbb\xbf") if line == 1 else content
            if not content.strip():
                continue
            try:
                record = orjson.loads(content)
            except orjson.JSONDecodeError as error:
                raise UnreadableTable(f"line {line} is not JSON: {error.msg}", line=line) from None
            if not isinstance(record, dict):
                raise UnreadableTable(f"line {line} is no JSON object", line=line)
            # The parser takes the last of equal names without a word; as it writes the line, their quotes are gone.
            if content.count(b'"') != orjson.dumps(record).count(b'"') and (name := _doubled(content)) is not None:
                raise UnreadableTable(f"line {line}: {name!r} stands there twice", line=line, column=name)
            yield line, record


def _doubled(content: bytes) -> str | None:
    """Return the first name of the object that stands in it more than once."""

    def pairs_of(pairs: list[tuple[str, Any]]) -> list[str]:
        return [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]

    return next(iter(json.loads(content, object_pairs_hook=pairs_of)), None)


def _cell(value: Any, missing: set[str]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "" if value in missing else value
    return "" if value is None else repr(value)


def _type(kind: Kind, forced: str | None, *, exact: bool) -> str:
    return "DOUBLE" if kind == "number" and exact and forced in (None, "numeric") else "VARCHAR"


def _line_of(path: Path, row: int) -> int | None:
    for place, (line, _) in enumerate(_records(path)):
        if place == row:
            return line
    return None
