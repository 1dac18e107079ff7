"""Tables from outside: read strictly, typed, profiled, stored as Parquet, and read back as arrays or rows.

Nothing here guesses past a mistake: a file is a table, or is refused with the line and the column that say why.
DuckDB does the reading, shut in (`sandbox`); no caller's text ever becomes SQL, for columns are `c0`, `c1`, … in there.
"""

from store.tabular.declarations import ImportedTable, ImportOptions, StoredColumn
from store.tabular.importing import import_table
from store.tabular.profiling import cut_categories
from store.tabular.reading import read_columns, read_rows

__all__ = [
    "ImportOptions",
    "ImportedTable",
    "StoredColumn",
    "cut_categories",
    "import_table",
    "read_columns",
    "read_rows",
]
