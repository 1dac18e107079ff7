"""A model's answers to a stored table, block by block in the order of its rows, made by several threads.

Of the table only a few blocks are in memory, and encoded and answered it is in slices that stay in a core's cache. What
a row is answered depends on neither.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import cast

import numpy as np

from learning.answer_columns import answer_columns
from learning.columns import CategoricalColumn, Column, DatetimeColumn, NumericColumn, Table
from learning.model import MeanModel, Model
from learning.threads import torch_threads
from store.tabular import StoredColumn
from store.tabular.answers import Answers
from store.tabular.blocks import Blocks, Wanted, rows_at_once
from workers.reading import column_of

_LOOK_SECONDS = 0.25  # how often who waits for a block looks up
_WORK = 20e9  # multiplications of a block at most, some seconds: one that is stopped is lost
_SLICE_NUMBERS = 1 << 19  # float64 of a slice's inputs, 4 MiB
_MOST_ROWS, _FEWEST_ROWS = 16_384, 64  # of a slice


class _Enough(Exception):
    """No error: nobody waits for the block any more."""


class Answering:
    """`rows` are those answered so far, of whatever block, since this began."""

    def __init__(
        self, model: Model | MeanModel, path: Path, *, probabilities: bool, interval: float | None, threads: int
    ) -> None:
        self.rows = 0
        self._model = model
        self._path = path
        self._probabilities = probabilities
        self._interval = interval
        self._threads = threads
        self._wanted = [
            Wanted(each["name"], each["type"], tuple(each.get("categories", ()))) for each in self._model.inputs
        ]
        self._over = threading.Event()
        self._lock = threading.Lock()

    def blocks(self, first: int, total: int, look: Callable[[], None]) -> Generator[Answers, None, None]:
        """The answers to the rows from `first` up to `total`, in order; `look` is called while one waits for them, and
        ends this by whatever it raises. To be closed by whoever wants no more: its threads end then.
        """
        size = self._block_rows
        starts = iter(range(first, total, size))
        with Blocks(self._path, self._wanted) as table, ThreadPoolExecutor(self._threads, "answering") as pool:
            going: deque[Future[Answers]] = deque()
            try:
                while True:
                    # One more than there are threads: while a block is taken from here, none of them waits.
                    while len(going) <= self._threads and (start := next(starts, None)) is not None:
                        going.append(pool.submit(self._answered, table, start, min(size, total - start)))
                    if not going:
                        return
                    while not going[0].done():
                        wait([going[0]], _LOOK_SECONDS)
                        look()
                    yield going.popleft().result()
            finally:
                self._over.set()
                pool.shutdown(wait=True, cancel_futures=True)

    def _answered(self, table: Blocks, first: int, rows: int) -> Answers:
        stored = table.read(first, rows)
        columns = {each.name: _column(each, stored[each.name]) for each in self._wanted}
        size = self._slice_rows
        found: list[Mapping[str, Column]] = []
        with torch_threads(1):
            for start in range(0, rows, size):
                if self._over.is_set():
                    raise _Enough
                found.append(self._answer({name: _part(each, start, size) for name, each in columns.items()}))
                with self._lock:
                    self.rows += min(size, rows - start)
        return stored_answers(found)

    def _answer(self, columns: Table) -> Mapping[str, Column]:
        return answer_columns(
            self._model.predict(columns),
            probabilities=self._probabilities,
            interval=self._interval,
            calibration=self._model.calibration,
        )

    @property
    def _block_rows(self) -> int:
        target = self._model.target
        outcomes = len(target.outcomes or target.names)
        answers = len(target.names) + outcomes * (self._probabilities + 2 * (self._interval is not None))
        rows = rows_at_once(len(self._wanted) + answers)
        weights = sum(tensor.numel() for part in self._parts for tensor in part.tensors.values())
        while rows > _FEWEST_ROWS and rows * weights > _WORK:
            rows //= 2
        return rows

    @property
    def _slice_rows(self) -> int:
        widest = max(part.preprocessing.width + part.target.width for part in self._parts)
        rows = _SLICE_NUMBERS // widest // _FEWEST_ROWS * _FEWEST_ROWS
        return min(_MOST_ROWS, max(_FEWEST_ROWS, rows))

    @property
    def _parts(self) -> Sequence[Model]:
        return self._model.parts if isinstance(self._model, MeanModel) else [self._model]


def stored_answers(slices: Sequence[Mapping[str, Column]]) -> Answers:
    """Answers, one slice behind the other, as they are written."""
    return {name: _stored([each[name] for each in slices]) for name in slices[0]}


def _column(wanted: Wanted, stored: StoredColumn) -> Column:
    if wanted.type != "categorical":
        return column_of(stored)
    # What no category is called stands for all that are not known.
    other = max(wanted.categories, key=len, default="") + "…"
    return column_of(StoredColumn("categorical", stored.values, (*wanted.categories, other)))


def _part(column: Column, start: int, rows: int) -> Column:
    """A view of it."""
    end = start + rows
    if isinstance(column, CategoricalColumn):
        return CategoricalColumn(column.codes[start:end], column.values)
    kind = DatetimeColumn if isinstance(column, DatetimeColumn) else NumericColumn
    return kind(column.values[start:end])


def _stored(parts: Sequence[Column]) -> StoredColumn:
    first = parts[0]
    if isinstance(first, NumericColumn):
        numbers = [cast("NumericColumn", part).values.numpy() for part in parts]
        return StoredColumn("numeric", np.concatenate(numbers))
    assert isinstance(first, CategoricalColumn), "no answer is a time"
    codes = np.concatenate([cast("CategoricalColumn", part).codes.numpy() for part in parts]).astype(np.int32)
    if all(isinstance(value, bool) for value in first.values):
        return StoredColumn("boolean", codes, (False, True))
    if any(isinstance(value, str) for value in first.values):
        return StoredColumn("categorical", codes, tuple(map(str, first.values)))
    whole = all(isinstance(value, int) for value in first.values)
    numbers_of_classes = np.array([*first.values, np.nan], dtype=np.float64)  # a missing one's code, -1, takes the last
    return StoredColumn("numeric", numbers_of_classes[codes], integral=whole)
