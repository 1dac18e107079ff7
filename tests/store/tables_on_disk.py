"""Files to import, and imports of them, for the tests of tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from store.tabular import ImportedTable, ImportOptions, import_table, read_rows


class Desk:
    """A folder with one file coming in and one stored table."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "file"
        self.stored = folder / "stored.parquet"

    def csv(self, content: str | bytes, **options: Any) -> ImportedTable:
        return self._import(content, "csv", options)

    def ndjson(self, content: str | bytes, **options: Any) -> ImportedTable:
        return self._import(content, "ndjson", options)

    def parquet(self, query: str, **options: Any) -> ImportedTable:
        duckdb.sql(f"COPY ({query}) TO '{self.file}' (FORMAT parquet)")
        return import_table(self.file, "parquet", ImportOptions(**options), self.stored)

    def parquet_file(self, content: bytes, **options: Any) -> ImportedTable:
        return self._import(content, "parquet", options)

    def rows(self) -> list[list[Any]]:
        return read_rows(self.stored, 1_000_000, 0)

    def _import(self, content: str | bytes, format: Any, options: dict[str, Any]) -> ImportedTable:
        self.file.write_bytes(content.encode() if isinstance(content, str) else content)
        return import_table(self.file, format, ImportOptions(**options), self.stored)


def types(table: ImportedTable) -> dict[str, str]:
    return {column["name"]: column["type"] for column in table.columns}


def codes(table: ImportedTable) -> Sequence[tuple[str, str]]:
    return [(each["column"], each["code"]) for each in table.warnings]
