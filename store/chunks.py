"""How metrics are kept: blocks [epochs, members] of a series, never a row per number.

A block is of float32, to which nearly all metrics are rounded before. One in which a number is past it, as an error in
the unit of a huge target, is of float64; a byte behind it tells the two apart.

A worker writes what it has, in chunks of any length; they are merged into blocks that begin at fixed epochs, so an
attempt that starts again overwrites its forerunner's blocks with the same values, however either was flushed. Where an
open block and a sealed one hold the same number, the open one is the newer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, and_, delete, func, select

from store.database import upsert
from store.owned import equals
from store.tables import metric_chunks
from store.tiers import Tier, open_tier, sealed_tier, tiers

Series = tuple[str, str]  # split, name

_UNKNOWN = -1  # the step of an epoch that nobody wrote
_FLOAT, _DOUBLE = 4, 8  # bytes
_OF_DOUBLES = b"\x08"
_table = metric_chunks.c


@dataclass(frozen=True)
class Chunk:
    """The series `split`.`name` from `first_epoch` on: `values` [E, K], `steps` [E, K], or [E, 1] where all are one."""

    split: str
    name: str
    first_epoch: int
    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def epochs(self) -> range:
        return range(self.first_epoch, self.first_epoch + len(self.values))


@dataclass(frozen=True)
class Curves:
    """A series over some epochs and members: `steps` and `values` [E, M], a step below 0 where nothing is known."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """The metrics of a run of so many members, all series or those of a split or a name."""

    tenant: str
    run_id: str
    members: int
    split: str | None = None
    name: str | None = None

    def among(self, tier: Tier) -> list[ColumnElement[bool]]:
        """The conditions of its rows in this tier."""
        where = [_table.run_id == self.run_id, _table.tenant_id == self.tenant, _table.stretch == tier.stretch]
        return where + [equals(_table[key], text) for key in ("split", "name") if (text := getattr(self, key))]


def write(tx: Connection, tenant: str, run_id: str, chunks: Sequence[Chunk]) -> None:
    """Merges the chunks in; what they name is overwritten, writing one again is harmless."""
    if not chunks:
        return
    place = Place(tenant, run_id, chunks[0].values.shape[1])
    for epochs in {chunk.epochs for chunk in chunks}:
        _merge(tx, place, epochs, [chunk for chunk in chunks if chunk.epochs == epochs])
    # A flush moves on at most about as much as it brings: none takes long, and nothing is left behind for good.
    _seal(tx, place, max(chunk.epochs.stop for chunk in chunks), sum(chunk.values.size for chunk in chunks))


def read(
    tx: Connection, place: Place, epochs: range, members: range, among: Sequence[Tier] | None = None
) -> dict[Series, Curves]:
    """What is known of these epochs and members, of every series of which there is anything."""
    found: dict[Series, Curves] = {}
    wanted = [_table[key] for key in ("split", "name", "first_epoch", "first_member", "members", "steps", "values")]
    for tier in among or tiers(place.members):
        query = select(*wanted).where(
            *place.among(tier),
            _table.first_member.in_(tier.first_members(members)),
            _table.first_epoch.between(tier.first_epoch(epochs.start), epochs.stop - 1),
        )
        for split, name, first_epoch, first_member, width, steps, values in tx.execute(query).all():
            if (split, name) not in found:
                found[split, name] = _unknown(epochs, members)
            curves = found[split, name]
            block = _unpacked(values).reshape(-1, width)
            at, rows = _overlap(epochs, range(first_epoch, first_epoch + len(block)))
            to, columns = _overlap(members, range(first_member, first_member + width))
            counted = np.frombuffer(steps, dtype="<i8").reshape(len(block), -1)
            everywhere = bool((counted >= 0).all())
            counted = np.broadcast_to(counted, block.shape)[rows, columns]
            known = everywhere or counted >= 0
            np.copyto(curves.steps[at, to], counted, where=known)
            np.copyto(curves.values[at, to], block[rows, columns], where=known)
    return found


def last_epochs(tx: Connection, place: Place) -> dict[Series, int]:
    """How far each series has come."""
    found: dict[Series, int] = {}
    for tier in tiers(place.members):
        first = [*place.among(tier), _table.first_member == 0]
        newest = (
            select(_table.split, _table.name, func.max(_table.first_epoch).label("first_epoch"))
            .where(*first)
            .group_by(_table.split, _table.name)
            .subquery()
        )
        size = func.length(_table["values"])
        query = select(_table.split, _table.name, _table.first_epoch, _table.members, size).join(
            newest, and_(*(_table[key] == newest.c[key] for key in ("split", "name", "first_epoch")))
        )
        for split, name, first_epoch, width, length in tx.execute(query.where(*first)):
            last = first_epoch + length // ((_DOUBLE if length % _FLOAT else _FLOAT) * width) - 1
            found[split, name] = max(last, found.get((split, name), 0))
    return found


def _merge(tx: Connection, place: Place, epochs: range, chunks: Sequence[Chunk]) -> None:
    tier, everyone = open_tier(place.members), range(place.members)
    whole = tier.whole(epochs)
    known = read(tx, place, whole, everyone, [tier])
    here, _ = _overlap(whole, epochs)
    rows: list[dict[str, Any]] = []
    for chunk in chunks:
        series = (chunk.split, chunk.name)
        curves = known.get(series) or _unknown(whole, everyone)
        curves.steps[here] = chunk.steps
        curves.values[here] = chunk.values
        rows += _rows(place, tier, series, whole, curves)
    _put(tx, rows)


def _seal(tx: Connection, place: Place, before: int, numbers: int) -> None:
    """Moves on complete stretches of the epochs `before`, the oldest first, until they held so many numbers."""
    sealed, tier, everyone = sealed_tier(place.members), open_tier(place.members), range(place.members)
    if sealed is None:
        return
    query = select(_table.first_epoch, _table.split, _table.name).where(
        *place.among(tier), _table.first_epoch < sealed.first_epoch(before)
    )
    rows = tx.execute(query.order_by(_table.first_epoch, _table.split, _table.name))
    for start, *series in dict.fromkeys((sealed.first_epoch(epoch), split, name) for epoch, split, name in rows):
        if numbers <= 0:
            break
        one = replace(place, split=series[0], name=series[1])
        stretch = range(start, start + sealed.stretch)
        curves = read(tx, one, stretch, everyone)[series[0], series[1]]
        _put(tx, _rows(one, sealed, (series[0], series[1]), stretch, curves))
        inside = _table.first_epoch.between(stretch.start, stretch.stop - 1)
        tx.execute(delete(metric_chunks).where(*one.among(tier), inside))
        numbers -= curves.values.size


def _unknown(epochs: range, members: range) -> Curves:
    shape = len(epochs), len(members)
    return Curves(np.full(shape, _UNKNOWN, dtype=np.int64), np.full(shape, np.nan))


def _overlap(one: range, other: range) -> tuple[slice, slice]:
    """Where both of two ranges are, in the one and in the other."""
    start = max(one.start, other.start)
    stop = max(start, min(one.stop, other.stop))
    return slice(start - one.start, stop - one.start), slice(start - other.start, stop - other.start)


def _rows(place: Place, tier: Tier, series: Series, epochs: range, curves: Curves) -> Iterator[dict[str, Any]]:
    """The curves of everyone, from where blocks begin, as blocks that end with the last epoch that is known."""
    known = np.flatnonzero((curves.steps >= 0).any(axis=1))
    for block, members in tier.blocks(range(epochs.start, epochs.start + known[-1] + 1), range(place.members)):
        part = slice(block.start - epochs.start, block.stop - epochs.start), slice(members.start, members.stop)
        steps = curves.steps[part]
        if (steps == steps[:, :1]).all():
            steps = steps[:, :1]
        yield {
            "run_id": place.run_id,
            "stretch": tier.stretch,
            "first_member": members.start,
            "first_epoch": block.start,
            "split": series[0],
            "name": series[1],
            "tenant_id": place.tenant,
            "members": len(members),
            "steps": steps.astype("<i8").tobytes(),
            "values": _packed(curves.values[part]),
        }


def _packed(values: NDArray[np.float64]) -> bytes:
    with np.errstate(over="ignore", under="ignore"):
        narrow = values.astype("<f4")
    is_exact = np.array_equal(narrow.astype(np.float64), values, equal_nan=True)
    return narrow.tobytes() if is_exact else values.astype("<f8").tobytes() + _OF_DOUBLES


def _unpacked(values: bytes) -> NDArray[Any]:
    if len(values) % _FLOAT:
        return np.frombuffer(values, dtype="<f8", count=len(values) // _DOUBLE)
    return np.frombuffer(values, dtype="<f4")


def _put(tx: Connection, rows: Iterable[dict[str, Any]]) -> None:
    insert = upsert(tx, metric_chunks)
    overwritten = {key: insert.excluded[key] for key in ("steps", "values")}
    tx.execute(
        insert.on_conflict_do_update(index_elements=list(metric_chunks.primary_key), set_=overwritten), list(rows)
    )
