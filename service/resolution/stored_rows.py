"""Whether a stored dataset has what a model asks of a row: every feature, as the type that it had at training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.problems import Invalid
from store.datasets import Dataset
from store.tabular.blocks import suits

_MOST = 20  # columns named in one refusal


def check_columns(inputs: Sequence[Mapping[str, Any]], dataset: Dataset, model: str) -> None:
    """Raises Invalid at `dataset`, with every column that is missing or of another type. One without any value suits
    every feature.
    """
    if dataset.status != "ready":
        raise Invalid({"dataset": f"a dataset that is ready; {dataset.id} is {dataset.status}"})
    wrong = list(_wrong(inputs, dataset))
    if wrong:
        more = [f"and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else []
        allowed = f"a dataset with every feature of {model} as it was at training"
        raise Invalid({"dataset": [allowed, *wrong[:_MOST], *more]}, f"dataset: {allowed}; {wrong[0]}")


def _wrong(inputs: Sequence[Mapping[str, Any]], dataset: Dataset) -> Iterator[str]:
    columns = {column["name"]: column for column in dataset.columns}
    for feature in inputs:
        name, wanted = feature["name"], feature["type"]
        column = columns.get(name)
        if column is None:
            yield f"there is no column {name!r}, which was {wanted} at training"
        elif not suits(column["type"], wanted) and column["missing"] != dataset.rows:
            hint = f'types={{"{name}":"{wanted}"}}'
            yield f"the column {name!r} is {column['type']}, and was {wanted} at training; {hint} may read it so"
