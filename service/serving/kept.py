"""The weights that a run kept: which member's are meant, and that member's file to take away."""

from collections.abc import Callable
from typing import TypeVar

import torch
from sqlalchemy import Connection

from learning.keeping import Kept
from service.parts import parts
from service.problems import Clash, Invalid
from store import members, runs, weights
from store.blobs import Blobs
from store.database import Database
from store.errors import BlobMissing, NotFound
from store.runs import Run

Answer = TypeVar("Answer")


def with_weights(run: Run, use: Callable[[Run], Answer]) -> Answer:
    """What `use` makes of the run; once more where it came to have other weights meanwhile, for its old ones go."""
    try:
        return use(run)
    except BlobMissing:
        with parts().database.read() as tx:
            now = runs.get(tx, run.tenant, run.id)
        if now.weights_blob == run.weights_blob:
            raise
        return use(now)


def blob_of(run: Run) -> str:
    """Raises Clash where the run has kept no weights."""
    if run.weights_blob is None:
        raise Clash(f"The run is {run.status} and has kept no weights; it keeps them when it succeeds.")
    return run.weights_blob


def member_of(database: Database, run: Run, asked: int | None) -> int | None:
    """The member asked for, or the best; None where several answer together.

    Raises Clash without weights, Invalid for a member that is not there.
    """
    blob = blob_of(run)
    if asked is None:
        if run.status != "succeeded":  # it was extended: who is best by now has not the weights that are kept
            told = parts().models.predicts(blob)
            return told[0] if len(told) == 1 else None
        assert run.best is not None, "weights are kept together with the best"
        best: int | None = run.best["member"]
        return best
    with database.read() as tx:
        member = existing(tx, run, asked)
    if member.best is None:  # in the file stand the weights that it began with
        raise Clash(f"Member {asked} failed in its first epoch, and has kept no weights.")
    return asked


def existing(tx: Connection, run: Run, asked: int) -> members.Member:
    """Raises Invalid for a member that is not there."""
    try:
        return members.get(tx, run.tenant, run.id, asked)
    except NotFound:
        last = members.count(tx, run.tenant, run.id) - 1
        raise Invalid({"member": f"a whole number from 0 to {last}"}) from None


def file_of(blobs: Blobs, key: str, member: int) -> bytes:
    """One member of these weights as a safetensors file of its own, its header telling of it alone."""
    tensors, header = read(blobs, key).member(member)
    return weights.pack({name: tensor.numpy() for name, tensor in tensors.items()}, header)


def read(blobs: Blobs, key: str) -> Kept:
    arrays, header = weights.unpack(blobs.get(key))
    return Kept({name: torch.from_numpy(array) for name, array in arrays.items()}, header)
