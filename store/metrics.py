"""Metrics as the contract shows them: a row for each member, epoch and series, rendered from the blocks."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from store import members as population
from store import pages, thinning
from store.chunks import Place, Series, last_epochs, read
from store.pages import Page
from store.tables import members

Row = dict[str, Any]
Beyond = tuple[int, int, str, str]  # the epoch, member, split and name of the row before the page
Points = NDArray[np.void]

_POINT = np.dtype([("epoch", "i8"), ("member", "i8"), ("series", "i8"), ("step", "i8"), ("value", "f8")])
_AT_ONCE = 1_000_000  # numbers read before they are thinned


@dataclass(frozen=True)
class _Run:
    """What a page needs to know before it reads a number."""

    place: Place
    series: dict[Series, int]  # in order, with the last epoch of each
    ended: dict[int, int]  # the last epochs of members that ended earlier: their columns go on, filled with nothing
    stretch: int | None  # epochs of which only the extremes are shown; None where all is

    @property
    def last(self) -> int:
        return max(self.series.values(), default=0)


def page(
    tx: Connection,
    tenant: str,
    run_id: str,
    *,
    member: int | None = None,
    split: str | None = None,
    name: str | None = None,
    limit: int = 50,
    after: str | None = None,
    points: int | None = None,
) -> Page[Row]:
    """By epoch, member, split, name; with `points` (at least 4) only so many of each series, every extreme among them.

    A value that is not finite is None, with `"finite": False`.
    """
    beyond: Any = (0, -1, "", "") if after is None else pages.decode_of(run_id, after, int, int, str, str)
    everyone = range(population.count(tx, tenant, run_id))
    wanted = everyone if member is None else everyone[member : member + 1]
    rows: list[Row] = []
    if wanted:
        run = _look(tx, Place(tenant, run_id, len(everyone), split, name), points)
        for epochs, parts in _windows(run, wanted, beyond, limit + 1):
            found = np.concatenate([_points(tx, run, epochs, part) for part in parts])
            rows += _rows(run, found, beyond, limit + 1 - len(rows))
            if len(rows) > limit:
                break
    return pages.of(rows, limit, lambda row: (run_id, row["epoch"], row["member"], row["split"], row["name"]))


def _look(tx: Connection, place: Place, points: int | None) -> _Run:
    series = dict(sorted(last_epochs(tx, place).items()))
    last = max(series.values(), default=0)
    ended = select(members.c.index, members.c.epoch).where(
        members.c.tenant_id == place.tenant,
        members.c.run_id == place.run_id,
        members.c.status.is_not(None),
        members.c.epoch < last,
    )
    stretch = thinning.stretch(last, points) if points is not None and last > points else None
    return _Run(place, series, dict(tuple(row) for row in tx.execute(ended)), stretch)


def _windows(run: _Run, wanted: range, beyond: Beyond, limit: int) -> Iterator[tuple[range, list[range]]]:
    """Epochs and members from the row `beyond` on, each about as much as `limit` rows are found in.

    The points of one are all before those of the next; its members come in parts that are not too much to hold.
    """
    rows = len(wanted) * max(1, len(run.series))
    if run.stretch is None:
        height = -(-limit // rows)
        for start in range(max(1, beyond[0]), run.last + 1, height):
            at = max(wanted.start, beyond[1]) if start == beyond[0] and height == 1 else wanted.start
            for first in range(at, wanted.stop, limit):
                yield range(start, min(start + height, run.last + 1)), [range(first, min(first + limit, wanted.stop))]
        return
    height = run.stretch * -(-limit // (2 * rows))
    begin = max(1, beyond[0])
    width = max(1, _AT_ONCE // (height * max(1, len(run.series))))
    parts = [range(first, min(first + width, wanted.stop)) for first in range(wanted.start, wanted.stop, width)]
    for start in range(begin - (begin - 1) % run.stretch, run.last + 1, height):
        yield range(start, min(start + height, run.last + 1)), parts


def _points(tx: Connection, run: _Run, epochs: range, part: range) -> Points:
    """All that is shown of these epochs and members, in no order."""
    numbers = {series: number for number, series in enumerate(run.series)}
    at = np.array(epochs)[:, None]
    found = [np.empty(0, dtype=_POINT)]
    for series, curves in read(tx, run.place, epochs, part).items():
        ends = np.array([min(run.series[series], run.ended.get(member, run.last)) for member in part])
        shown = (curves.steps >= 0) & (at <= ends)
        if run.stretch is not None:
            kept = thinning.extremes(curves.values, shown, run.stretch)
            shown = kept | (shown & ((at == 1) | (at == ends)))
        row, column = np.nonzero(shown)
        points = np.empty(len(row), dtype=_POINT)
        points["epoch"], points["member"], points["series"] = row + epochs.start, column + part.start, numbers[series]
        points["step"], points["value"] = curves.steps[row, column], curves.values[row, column]
        found.append(points)
    return np.concatenate(found)


def _rows(run: _Run, points: Points, beyond: Beyond, limit: int) -> list[Row]:
    """The first `limit` rows of these points after the place `beyond`."""
    names = list(run.series)
    epoch, member, *series = beyond
    # A series that the cursor names and a filter leaves out stands between two others: half a number.
    number = bisect_left(names, tuple(series)) - (0 if tuple(series) in run.series else 0.5)
    later = points["epoch"] > epoch
    same = points["epoch"] == epoch
    later |= same & (points["member"] > member)
    later |= same & (points["member"] == member) & (points["series"] > number)
    points = points[later]
    order = np.lexsort((points["series"], points["member"], points["epoch"]))[:limit]
    return [_row(names[point[2]], point) for point in points[order].tolist()]


def _row(series: Series, point: tuple[int, int, int, int, float]) -> Row:
    epoch, member, _, step, value = point
    row: Row = {"member": member, "epoch": epoch, "step": step, "split": series[0], "name": series[1]}
    return row | ({"value": value} if isfinite(value) else {"value": None, "finite": False})
