"""Metrics as the contract shows them: a row for each member, epoch and series, rendered from the blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, func, select

from store import pages
from store.chunks import Chunk, read
from store.owned import equals
from store.pages import Page
from store.tables import members, metric_chunks
from store.thinning import extremes

Row = dict[str, Any]
_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class _Curves:
    """One series of some members: `shown` [E, K] says which of its values are rows."""

    split: str
    name: str
    epochs: NDArray[np.int64]
    members: NDArray[np.int64]
    steps: NDArray[np.int64]
    values: NDArray[np.float32]
    shown: NDArray[np.bool_]


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
    beyond = (0, -1, "", "") if after is None else pages.decode(after, int, int, str, str)
    wanted = _wanted(tenant, run_id, split, name)
    ended = _ended(tx, tenant, run_id)
    groups = _by_block(tx, wanted, beyond[0]) if points is None else _all(tx, wanted)
    rows: list[Row] = []
    for group in groups:
        rows += _rows([_curves(series, member, ended, points) for series in group], beyond, limit + 1 - len(rows))
        if len(rows) > limit:
            break
    return pages.of(rows, limit, lambda row: (row["epoch"], row["member"], row["split"], row["name"]))


def _wanted(tenant: str, run_id: str, split: str | None, name: str | None) -> list[ColumnElement[bool]]:
    table = metric_chunks.c
    wanted = [table.tenant_id == tenant, table.run_id == run_id]
    return wanted + [equals(column, text) for column, text in ((table.split, split), (table.name, name)) if text]


def _ended(tx: Connection, tenant: str, run_id: str) -> dict[int, int]:
    """After which epoch members have stopped, those that have: their column goes on, filled with nothing."""
    query = select(members.c.index.label("member"), members.c.epoch).where(
        members.c.tenant_id == tenant, members.c.run_id == run_id, members.c.status.is_not(None)
    )
    return {row.member: row.epoch for row in tx.execute(query)}


def _by_block(tx: Connection, wanted: list[ColumnElement[bool]], epoch: int) -> Iterator[list[list[Chunk]]]:
    """The series of one stretch of epochs after another, from the one that holds `epoch` on."""
    start = metric_chunks.c.first_epoch
    at = tx.execute(select(func.max(start)).where(*wanted, start <= max(1, epoch))).scalar()
    if at is None:
        at = tx.execute(select(func.min(start)).where(*wanted)).scalar()
    while at is not None:
        yield [[read(row)] for row in tx.execute(select(metric_chunks).where(*wanted, start == at)).mappings()]
        at = tx.execute(select(func.min(start)).where(*wanted, start > at)).scalar()


def _all(tx: Connection, wanted: list[ColumnElement[bool]]) -> Iterator[list[list[Chunk]]]:
    """Every series whole: what an extreme is shows only over its length."""
    whole: dict[tuple[str, str], list[Chunk]] = {}
    query = select(metric_chunks).where(*wanted).order_by(metric_chunks.c.first_epoch)
    for chunk in map(read, tx.execute(query).mappings()):
        whole.setdefault((chunk.split, chunk.name), []).append(chunk)
    yield list(whole.values())


def _curves(series: list[Chunk], member: int | None, ended: dict[int, int], points: int | None) -> _Curves:
    count = series[0].values.shape[1]
    indices = np.arange(count) if member is None else np.arange(count)[member : member + 1]
    epochs = np.concatenate([chunk.epochs for chunk in series])
    steps = np.concatenate([chunk.steps for chunk in series])
    steps = np.broadcast_to(steps, (len(steps), count))[:, indices]
    values = np.concatenate([chunk.values[:, indices] for chunk in series])
    last = np.array([ended.get(int(index), _FOREVER) for index in indices], dtype=np.int64)
    shown = (steps >= 0) & (epochs[:, None] <= last)
    if points is not None and shown.size:
        shown = extremes(values, shown, points)
    return _Curves(series[0].split, series[0].name, epochs, indices, steps, values, shown)


def _rows(group: Sequence[_Curves], beyond: tuple[Any, ...], limit: int) -> list[Row]:
    """The first `limit` rows of the group after the place `beyond`."""
    ordered = sorted(group, key=lambda curves: (curves.split, curves.name))
    found = []
    for number, curves in enumerate(ordered):
        at, column = np.nonzero(curves.shown & (curves.epochs >= beyond[0])[:, None])
        found.append(np.stack([curves.epochs[at], curves.members[column], np.full(len(at), number), at, column]))
    if not found:
        return []
    places = np.concatenate(found, axis=1)
    places = places[:, np.lexsort((places[2], places[1], places[0]))]
    rows: list[Row] = []
    for epoch, member, number, at, column in places.T:
        curves = ordered[number]
        if (epoch, member, curves.split, curves.name) > beyond:
            rows.append(
                _row(curves, int(epoch), int(member), int(curves.steps[at, column]), float(curves.values[at, column]))
            )
            if len(rows) == limit:
                break
    return rows


def _row(curves: _Curves, epoch: int, member: int, step: int, value: float) -> Row:
    row: Row = {"member": member, "epoch": epoch, "step": step, "split": curves.split, "name": curves.name}
    return row | ({"value": value} if np.isfinite(value) else {"value": None, "finite": False})
