"""Answers to rows that are read, encoded and told a slice at a time: the bytes are those of the whole at once."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from learning.answer_columns import answer_columns
from learning.columns import CategoricalColumn, Column, NumericColumn
from learning.conformal import Calibration
from learning.model import Inputs, MeanModel, Model, Prediction
from service import answers
from service.problems import Invalid
from service.serving import csv_rows
from service.serving.slices import Rows, rows_at_once
from service.serving.tables import MOST_ERRORS

MOST_BYTES = 256 << 20  # of an answer
_NO_ANSWER = "values that this network can answer: of these, it computes numbers that are past float32"

# The rows that came, so many at a time, for a model of these inputs; it may be called again.
Reader = Callable[[Inputs, int], Iterator[Rows]]

# Two that are long share the interpreter's lock with all that are short.
_long = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class Options:
    probabilities: bool
    interval: float | None
    member: int | None


def predictions(model: Model | MeanModel, rows: Reader) -> Generator[Prediction, None, None]:
    """One for each slice. Of requests that have several, two are answered at a time."""
    slices = iter(rows(model.inputs, rows_at_once(model)))
    first = _checked(model.predict(next(slices)))
    second = next(slices, None)
    yield first
    if second is None:
        return
    rows_before = len(first.outputs)
    with _long:
        for each in chain((second,), slices):
            found = _checked(model.predict(each), rows_before)
            rows_before += len(found.outputs)
            yield found


def _checked(prediction: Prediction, rows_before: int = 0) -> Prediction:
    """Return the prediction. Raise Invalid for rows that have no answer."""
    rows = prediction.overflowed()
    if rows:
        raise Invalid({f"instances.{rows_before + row}": _NO_ANSWER for row in rows[:MOST_ERRORS]})
    return prediction


def json(model: Model | MeanModel, rows: Reader, options: Options, by: Mapping[str, Any]) -> list[bytes]:
    """The answer, in pieces. `by` are its last members."""
    with closing(predictions(model, rows)) as found:
        return joined((told(each, model.calibration, options) for each in found), by)


def joined(slices: Iterable[Mapping[str, Any]], by: Mapping[str, Any]) -> list[bytes]:
    """What is told of each slice as one object, in pieces: all but `classes` are lists of a value for each row."""
    lists: dict[str, list[bytes]] = {}
    several = iter(slices)
    said = next(several)
    second = next(several, None)
    if second is None:
        return [answers.encoded({**said, **by})]
    bytes_left = MOST_BYTES
    for each in chain((said, second), several):
        for name, values in each.items():
            if name != "classes":
                lists.setdefault(name, []).append(listed(values))
                bytes_left -= len(lists[name][-1])
        check_size(bytes_left)
    pieces = [b"{"]
    for name, value in said.items():
        parts = [answers.encoded_value(value)] if name == "classes" else [b"[", *_commas(lists[name]), b"]"]
        pieces += [answers.encoded_value(name), b":", *parts, b","]
    return [*pieces[:-1], *([b","] if by else []), answers.encoded(by)[1:]]


def listed(values: Any) -> bytes:
    """The values of a list as JSON, without the brackets."""
    return answers.encoded_value(values)[1:-1]


def check_size(bytes_left: int) -> None:
    """Raises Invalid for an answer that is too long."""
    if bytes_left < 0:
        raise Invalid({"instances": f"fewer rows: the answer to these takes over {MOST_BYTES} bytes"})


def _commas(parts: Sequence[bytes]) -> Iterator[bytes]:
    yield parts[0]
    for part in parts[1:]:
        yield b","
        yield part


def csv(model: Model | MeanModel, rows: Reader, options: Options) -> list[bytes]:
    """The answer as CSV with a header, in pieces."""
    pieces: list[bytes] = []
    bytes_left = MOST_BYTES
    with closing(_columns(model, rows, options)) as slices:
        for each in slices:
            pieces.append(csv_rows.written(each, header=not pieces))
            bytes_left -= len(pieces[-1])
            check_size(bytes_left)
    return pieces


def columns(model: Model | MeanModel, rows: Reader, options: Options) -> dict[str, Column]:
    """The answer as whole columns."""
    found: list[dict[str, Column]] = []
    bytes_left = MOST_BYTES
    with closing(_columns(model, rows, options)) as slices:
        for each in slices:
            found.append(each)
            bytes_left -= 8 * sum(column.rows for column in each.values())
            check_size(bytes_left)
    return found[0] if len(found) == 1 else {name: _whole([each[name] for each in found]) for name in found[0]}


def _columns(model: Model | MeanModel, rows: Reader, options: Options) -> Generator[dict[str, Column], None, None]:
    with closing(predictions(model, rows)) as found:
        for each in found:
            yield answer_columns(
                each, probabilities=options.probabilities, interval=options.interval, calibration=model.calibration
            )


def _whole(parts: Sequence[Column]) -> Column:
    first = parts[0]
    if isinstance(first, CategoricalColumn):
        codes = [part.codes for part in parts if isinstance(part, CategoricalColumn)]
        return CategoricalColumn(torch.cat(codes), first.values)
    assert isinstance(first, NumericColumn), "no answer is a time"
    return NumericColumn(torch.cat([part.values for part in parts if isinstance(part, NumericColumn)]))


def told(prediction: Prediction, calibration: Calibration | None, options: Options) -> dict[str, Any]:
    """The answer, all but by which model it is; call `check` before. Raises Invalid for rows that have no answer."""
    _checked(prediction)
    outcomes = prediction.target.outcomes
    found: dict[str, Any] = {"predictions": prediction.answers()}
    if options.probabilities:
        found["probabilities"] = prediction.probabilities().numpy()
    if outcomes is not None:
        found["classes"] = list(outcomes)
    if options.interval is not None:
        found |= _within(calibration, prediction, options.interval)
    return found


def _within(calibration: Calibration | None, prediction: Prediction, level: float) -> dict[str, Any]:
    """Where the truth is, with this probability: of numbers an interval, of classes a set."""
    assert calibration is not None, "refused otherwise"
    if prediction.target.task == "regression":
        return {"intervals": calibration.intervals(prediction.values(), level)}
    return {"sets": calibration.sets(prediction.probabilities(), level)}
