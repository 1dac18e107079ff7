"""A stored table's columns as the tensors that learning starts from."""

from collections.abc import Sequence
from pathlib import Path

import torch

from learning.columns import CategoricalColumn, Column, NumericColumn, Table
from store.tabular import StoredColumn, read_columns


def read_table(path: Path, names: Sequence[str]) -> Table:
    return {name: _column(stored) for name, stored in read_columns(path, names).items()}


def _column(stored: StoredColumn) -> Column:
    if stored.categories is None:
        return NumericColumn(torch.from_numpy(stored.values))
    return CategoricalColumn(torch.from_numpy(stored.values), stored.categories)
