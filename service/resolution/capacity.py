"""What a run would need against what there is: a run that eats the machine is refused before it is queued."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from learning.categorical import UNITS
from learning.datetimes import COURSES
from learning.estimate import NORMALIZING, Rows, TableSize, memory_bytes
from learning.specs import EmbeddingSpec, NetworkSpec, columns_of, members_of
from learning.vocabulary import LIMIT, MOST
from service.problems import Invalid
from store.datasets import Dataset
from store.memory import limit
from store.settings import Settings

_WRITTEN_A_SECOND = 100 << 20  # bytes, which any disk that one would train on takes
_FLOAT, _DOUBLE, _CODE = 4, 8, 4  # bytes
_TEXT = 80  # bytes of a text beside those of its letters, where it stands in a tuple and a dictionary
_COMMON, _SPARE = 8, 6  # a category of so many rows is among the train rows, for all but so many


def check(spec: Mapping[str, Any], dataset: Dataset, rows: Mapping[str, int], outputs: int, settings: Settings) -> int:
    """The run's memory estimate in bytes. Raises Invalid where weights or memory would be too many, or its state too
    large to be written while a worker that shuts down may still take its time.
    """
    columns, embeddings = encoded_columns(dataset, spec["features"])
    inputs = columns + sum(each.units - 1 for each in embeddings)
    tables = sum(each.categories * each.units for each in embeddings)
    kinds = Counter((member.network, len(member.optimizer.moments)) for member in members_of(spec))
    weights = {kind: count * (tables + _parameters(kind[0], inputs, outputs)) for kind, count in kinds.items()}
    parameters = sum(weights.values())
    where = next((field for field in ("members", "sweep") if spec[field]), "network")
    if parameters > settings.max_parameters:
        raise Invalid({where: f"at most {settings.max_parameters} weights in all; this needs {parameters}"})
    # As a checkpoint has it: the weights, the best ones, and what the optimizer remembers of each.
    state = sum(_FLOAT * (2 + moments) * count for (_, moments), count in weights.items())
    writable = int(settings.drain_seconds * _WRITTEN_A_SECOND)
    if state > writable:
        told = f"{settings.drain_seconds:g} s, {writable} bytes; this one's is {state}"
        raise Invalid({where: f"a run whose state of training can be written in {told}"})
    parts = Rows(rows["train"], rows["validation"], rows["test"])
    needed = memory_bytes(spec, parts, columns, outputs, embeddings, table=_table_size(spec, dataset))
    # Each slot has its share of what the machine has, or the container and all groups around it allow.
    there = settings.max_memory_bytes or limit() // settings.slots
    if needed > there:
        raise Invalid({where: f"a run that fits in {there} bytes of memory; this is estimated to need {needed}"})
    return needed


def _table_size(spec: Mapping[str, Any], dataset: Dataset) -> TableSize:
    """Return how large the columns are that the run reads."""
    columns = {column["name"]: column for column in dataset.columns}
    read = [columns[name] for name in columns_of(spec)]
    number = {"numeric": _DOUBLE, "datetime": _DOUBLE}
    cells = sum(number.get(column["type"], _CODE) for column in read)
    texts = sum(_text_bytes(column) for column in read if column["type"] == "categorical")
    return TableSize(len(read), cells * (dataset.rows or 0), texts)


def _text_bytes(column: Mapping[str, Any]) -> int:
    """Return how much memory a column's categories take as texts."""
    listed = column["categories"]
    # Datasets of before that was counted have the commonest texts alone.
    mean = sum(len(each["value"].encode()) for each in listed) / max(1, len(listed))
    return int(column.get("text_bytes", mean * column["distinct"])) + _TEXT * int(column["distinct"])


def encoded_columns(dataset: Dataset, features: list[str]) -> tuple[int, tuple[EmbeddingSpec, ...]]:
    """At most how many columns these features become, and the embeddings they get, before the train rows are known.

    The columns count as `Preprocessing.width` does: one for the index of each embedding, behind all the others.
    """
    columns = {column["name"]: column for column in dataset.columns}
    found = [_encoded(columns[name]) for name in features]
    embeddings = tuple(embedding for _, embedding in found if embedding)
    return sum(width for width, _ in found) + len(embeddings), embeddings


def _encoded(column: Mapping[str, Any]) -> tuple[int, EmbeddingSpec | None]:
    """The inputs of one column without the index of its embedding, and that."""
    missing = int(column["missing"] > 0)
    if column["type"] == "datetime":
        return 1 + len(COURSES) + missing, None
    if column["type"] != "categorical":
        return 1 + missing, None
    distinct = int(column["distinct"])
    one_hot = min(distinct, LIMIT) + 1 + missing
    if distinct <= LIMIT:
        return one_hot, None
    # The train rows of a small table may have so few of them that they become one-hot after all.
    common = sum(each["count"] >= _COMMON for each in column["categories"])
    is_sure = distinct > 2 * LIMIT or common > LIMIT + _SPARE
    return 0 if is_sure else one_hot, EmbeddingSpec(min(distinct, MOST) + 1 + missing, UNITS)


def _parameters(network: NetworkSpec, inputs: int, outputs: int) -> int:
    """Of one member: weights and biases, and where a layer is normalized its scale and shift, mean and variance."""
    widths = [inputs, *(layer.units for layer in network.layers), outputs]
    normalizing = sum(NORMALIZING[layer.normalization] * layer.units for layer in network.layers)
    return sum((below + 1) * units for below, units in pairwise(widths)) + normalizing
