"""How metrics are kept: one float32 block [epochs, members] per series and stretch of epochs, never a row per number.

A worker writes what it has, in chunks of any length; they are merged into blocks that begin at fixed epochs, so an
attempt that starts again overwrites its forerunner's blocks with the same values, however either was flushed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, select

from store.database import upsert
from store.tables import metric_chunks

_NUMBERS = 16_384  # in a block, about: 64 KiB of values to rewrite when an epoch is added
_EPOCHS = 1_024  # in a block at most


@dataclass(frozen=True)
class Chunk:
    """The series `split`.`name` from `first_epoch` on: `values` [E, K], `steps` [E, K], or [E, 1] where all are one."""

    split: str
    name: str
    first_epoch: int
    steps: NDArray[np.int64]
    values: NDArray[np.float32]

    @property
    def epochs(self) -> NDArray[np.int64]:
        return np.arange(self.first_epoch, self.first_epoch + len(self.steps))


def write(tx: Connection, tenant: str, run_id: str, chunks: Sequence[Chunk]) -> None:
    """Merges the chunks in; what they name is overwritten, writing one again is harmless."""
    if not chunks:
        return
    pieces = [piece for chunk in chunks for piece in _aligned(chunk)]
    table = metric_chunks.c
    starts = {_start(piece) for piece in pieces}
    query = select(metric_chunks).where(table.run_id == run_id, table.first_epoch.in_(starts))
    blocks = {(block.split, block.name, block.first_epoch): block for block in map(read, tx.execute(query).mappings())}
    written = set()
    for piece in pieces:
        place = (piece.split, piece.name, _start(piece))
        blocks[place] = _merged(blocks.get(place), piece)
        written.add(place)
    rows = [_row(tenant, run_id, blocks[place]) for place in sorted(written)]
    insert = upsert(tx, metric_chunks)
    tx.execute(
        insert.on_conflict_do_update(
            index_elements=[table.run_id, table.first_epoch, table.split, table.name],
            set_={"steps": insert.excluded.steps, "values": insert.excluded["values"]},
        ),
        rows,
    )


def read(row: RowMapping) -> Chunk:
    values = np.frombuffer(row["values"], dtype="<f4").reshape(-1, row["members"])
    steps = np.frombuffer(row["steps"], dtype="<i8").reshape(len(values), -1)
    return Chunk(row["split"], row["name"], row["first_epoch"], steps, values)


def _stretch(chunk: Chunk) -> int:
    """How many epochs a block of this many members holds."""
    members: int = chunk.values.shape[1]
    return max(1, min(_EPOCHS, _NUMBERS // max(1, members)))


def _start(chunk: Chunk) -> int:
    return chunk.first_epoch - (chunk.first_epoch - 1) % _stretch(chunk)


def _aligned(chunk: Chunk) -> Iterable[Chunk]:
    """The chunk cut where blocks begin."""
    stretch, total = _stretch(chunk), len(chunk.steps)
    begin = 0
    while begin < total:
        end = min(total, begin + stretch - (chunk.first_epoch + begin - 1) % stretch)
        yield Chunk(chunk.split, chunk.name, chunk.first_epoch + begin, chunk.steps[begin:end], chunk.values[begin:end])
        begin = end


def _merged(block: Chunk | None, piece: Chunk) -> Chunk:
    start, members = _start(piece), piece.values.shape[1]
    begin, end = piece.first_epoch - start, piece.first_epoch - start + len(piece.steps)
    length = max(end, 0 if block is None else len(block.steps))
    steps = np.full((length, piece.steps.shape[1]), -1, dtype=np.int64)
    values = np.full((length, members), np.nan, dtype=np.float32)
    if block is not None:
        steps[: len(block.steps)] = block.steps
        values[: len(block.steps)] = block.values
    steps[begin:end] = piece.steps
    values[begin:end] = piece.values
    return Chunk(piece.split, piece.name, start, steps, values)


def _row(tenant: str, run_id: str, block: Chunk) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "first_epoch": block.first_epoch,
        "split": block.split,
        "name": block.name,
        "tenant_id": tenant,
        "members": block.values.shape[1],
        "steps": block.steps.astype("<i8").tobytes(),
        "values": block.values.astype("<f4").tobytes(),
    }
