"""The decision surface of a model: its predictions on a grid over two features, all others held at one value.

The grid's rows are put together as tensors, and a cell has the same bits as a prediction of that row alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np

from learning.cells import Cells, Row
from learning.datetimes import YEAR
from learning.features import DatetimeFeature, Feature, NumericFeature
from learning.model import MeanModel, Model
from service.problems import Invalid
from service.serving.instances import LARGEST, columns_of

USUAL_SIZE = 64
MOST_NAMED = 20  # features, in a refusal

_MOST_WORK = 2e10  # multiplications of one answer: about a second of a core
_MOST_ANSWER_BYTES = 8 << 20
_BLOCK_NUMBERS = 4 << 20  # of the rows that are encoded at a time
_SPREADS = 2.0  # around the middle, where the dataset is gone
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Column = Mapping[str, Any]  # as a dataset tells of it


@dataclass(frozen=True)
class Surface:
    x: dict[str, Any]  # {"name", "values"}
    y: dict[str, Any]
    fixed: dict[str, Any]
    grid: list[list[Any]]


def axes_of(model: Model | MeanModel, x: str | None, y: str | None) -> tuple[str, str]:
    """Return the two features that are meant. Raise Invalid for one that is none, for one twice, and without two."""
    names = [each["name"] for each in model.inputs]
    told = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
    for axis, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            raise Invalid({axis: f"a feature of the run: {told}"})
    if x is not None and x == y:
        raise Invalid({"y": f"another feature than x: {told}"})
    if len(names) < 2:
        raise Invalid({"y": f"a second feature, and the run has only {told}"})
    x = x if x is not None else next(name for name in names if name != y)
    return x, y if y is not None else next(name for name in names if name != x)


def size_of(model: Model | MeanModel, asked: int | None) -> int:
    """Return how many values an axis has. Raise Invalid where that would cost too much."""
    work = sum(part.size + 16 * (len(part.inputs) + part.preprocessing.width) for part in _parts(model))
    classes = model.target.classes
    cell = 24 * len(model.target.names) if classes is None else 4 + max(len(str(each).encode()) for each in classes)
    most = max(2, int(min(_MOST_WORK / work, _MOST_ANSWER_BYTES / cell) ** 0.5))
    if asked is not None and asked > most:
        raise Invalid({"size": f"a whole number from 2 to {most}, for a network and a target of this size"})
    return asked or min(USUAL_SIZE, most)


def surface(model: Model | MeanModel, x: str, y: str, size: int, columns: Mapping[str, Column]) -> Surface:
    """Return the predictions over `x` and `y`; `columns` are the dataset's, none where it is gone."""
    features = {feature.name: feature for feature in _parts(model)[0].preprocessing.fitted}
    categories = {each["name"]: each.get("categories", ()) for each in model.inputs}
    fixed = {name: _middle(each, columns.get(name), categories[name]) for name, each in features.items()}
    along = {name: _values(features[name], columns.get(name), categories[name], size) for name in (x, y)}
    cells = {name: _cells(model, [{**fixed, name: value} for value in along[name]]) for name in (x, y)}
    grid = _grid(model, x, cells[x], cells[y])
    others = {name: value for name, value in fixed.items() if name not in (x, y)}
    return Surface({"name": x, "values": along[x]}, {"name": y, "values": along[y]}, others, grid)


def _grid(model: Model | MeanModel, x: str, across: Cells, down: Cells) -> list[list[Any]]:
    """Return the predictions for each row of `down` with the value of `x` that each row of `across` has."""
    coded = [each["type"] == "categorical" for each in model.inputs]
    at = [each["name"] for each in model.inputs].index(x)
    place = sum(each == coded[at] for each in coded[:at])  # among those of its kind
    own = (across.codes if coded[at] else across.numbers)[:, place]
    widest = len(coded) + max(part.preprocessing.width for part in _parts(model))
    rows_at_once = max(1, _BLOCK_NUMBERS // (widest * across.rows))
    lines: list[list[Any]] = []
    for start in range(0, down.rows, rows_at_once):
        numbers, codes = (
            each[start : start + rows_at_once].repeat_interleave(across.rows, 0) for each in (down.numbers, down.codes)
        )
        (codes if coded[at] else numbers)[:, place] = own.repeat(len(numbers) // across.rows)
        answers = model.predict(Cells(numbers, codes)).predictions()
        lines += [answers[row : row + across.rows] for row in range(0, len(answers), across.rows)]
    return lines


def _parts(model: Model | MeanModel) -> tuple[Model, ...]:
    return model.parts if isinstance(model, MeanModel) else (model,)


def _cells(model: Model | MeanModel, records: Sequence[Mapping[str, Any]]) -> Cells:
    found = columns_of(records, model.inputs)
    return found.cells if isinstance(found, Row) else found


def _middle(feature: Feature, column: Column | None, known: Sequence[Any]) -> Any:
    """Return what stands for a feature that is no axis; None, a missing value, where nothing is known of it."""
    if isinstance(feature, DatetimeFeature):
        return _time(feature.years.fill * YEAR)
    if feature.type == "numeric":
        mean = None if column is None else column.get("mean")
        if mean is None:
            mean = feature.number.fill if isinstance(feature, NumericFeature) else None
        return None if mean is None else _within(mean)
    counted = [] if column is None else column.get("categories") or []
    if counted:
        return max(counted, key=lambda each: each["count"])["value"]
    return next(iter(known), None)


def _values(feature: Feature, column: Column | None, known: Sequence[Any], size: int) -> list[Any]:
    if feature.type == "boolean":
        return [False, True]
    if feature.type == "categorical":
        commonest = [each["value"] for each in (column or {}).get("categories") or []]
        kept = dict.fromkeys(chain((each for each in commonest if each in set(known)), known))
        return list(kept)[:size] or commonest[:size] or [None]
    ends = _ends(feature, column)
    if ends is None:
        return [None]
    spaced = np.linspace(*ends, size) if ends[0] < ends[1] else np.array(ends[:1])
    return [_time(each) for each in spaced.tolist()] if feature.type == "datetime" else spaced.tolist()


def _ends(feature: Feature, column: Column | None) -> tuple[float, float] | None:
    """Return the least and the largest value, of times in microseconds; None where there is none."""
    if column is not None and column.get("min") is not None:
        least, most = column["min"], column["max"]
        if feature.type == "datetime":
            return _microseconds(least), _microseconds(most)
        return _within(least), _within(most)
    if isinstance(feature, DatetimeFeature):
        number, unit = feature.years, YEAR
    elif isinstance(feature, NumericFeature):
        number, unit = feature.number, 1.0
    else:
        return None
    around = _SPREADS * number.scale
    return _within((number.shift - around) * unit), _within((number.shift + around) * unit)


def _within(number: float) -> float:
    return min(max(float(number), -LARGEST), LARGEST)


def _microseconds(text: str) -> float:
    return (datetime.fromisoformat(text) - _EPOCH) / timedelta(microseconds=1)


def _time(microseconds: float) -> str:
    time = _EPOCH + timedelta(microseconds=round(microseconds))
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
