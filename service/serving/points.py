"""Rows of a run's dataset to be drawn on its decision surface: where they lie, their target, and their split."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from learning.columns import Table, from_array
from learning.experiment import splits
from service.parts import parts
from store.datasets import Dataset
from store.tabular import StoredColumn, read_columns
from store.tabular.reading import rfc3339

MOST = 500
MOST_ROWS = 200_000  # of a table that is read for this

_SPLITS = ("train", "validation")


def points_of(spec: Mapping[str, Any], fold: int | None, dataset: Dataset | None, x: str, y: str) -> list[list[Any]]:
    """Return at most MOST rows [x, y, target, split], spread evenly over those of train and validation.

    With folds the split is the one that this fold has.
    """
    if dataset is None or dataset.blob is None or (dataset.rows or 0) > MOST_ROWS:
        return []
    target, column = spec["target"], (spec["validation"] or {}).get("column")
    targets = [target] if isinstance(target, str) else target
    names = list(dict.fromkeys([x, y, *targets, *([] if column is None else [column])]))
    stored = read_columns(parts().blobs.local_path(dataset.blob), names)
    table: Table = {name: from_array(each.type, each.values, each.categories) for name, each in stored.items()}
    rows = dict(splits(spec, table))
    own = rows[fold] if fold in rows else next(iter(rows.values()))
    there = torch.cat([own.train, own.validation])
    order = there.argsort()
    if len(order) > MOST:
        order = order[torch.linspace(0, len(order) - 1, MOST, dtype=torch.float64).round().long()]
    return [
        [_value(stored[x], row), _value(stored[y], row), _target(stored, target, row), _SPLITS[place >= len(own.train)]]
        for row, place in zip(there[order].tolist(), order.tolist(), strict=True)
    ]


def _target(stored: Mapping[str, StoredColumn], target: str | Sequence[str], row: int) -> Any:
    return _value(stored[target], row) if isinstance(target, str) else [_value(stored[name], row) for name in target]


def _value(column: StoredColumn, row: int) -> Any:
    value = column.values[row].item()
    if column.categories is not None:
        return column.categories[value] if value >= 0 else None
    if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - NaN is missing
        return None
    if column.type == "datetime":
        return rfc3339(int(value))
    return int(value) if column.integral else value
