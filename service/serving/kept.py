"""The weights that a run kept: which member's are meant, and that member's file to take away."""

from typing import Any

import numpy as np
from sqlalchemy import Connection

from service.problems import Clash, Invalid
from store import members, weights
from store.blobs import Blobs
from store.database import Database
from store.errors import NotFound
from store.runs import Run


def blob_of(run: Run) -> str:
    """Raises Clash where the run has kept no weights."""
    if run.weights_blob is None:
        raise Clash(f"The run is {run.status} and has kept no weights; it keeps them when it succeeds.")
    return run.weights_blob


def member_of(database: Database, run: Run, asked: int | None) -> int:
    """The member asked for, or the best. Raises Clash without weights, Invalid for a member that is not there."""
    blob_of(run)
    if asked is None:
        assert run.best is not None, "weights are kept together with the best"
        return int(run.best["member"])
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


def file_of(blobs: Blobs, run: Run, member: int) -> bytes:
    """One member as a safetensors file of its own, its header telling of it alone."""
    tensors, header = read(blobs, blob_of(run), member)
    return weights.pack(tensors, header)


def read(blobs: Blobs, key: str, member: int) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """One member's tensors, and the header with that member alone."""
    stacked, header = weights.unpack(blobs.get(key))
    place = next(place for place, each in enumerate(header["members"]) if each["index"] == member)
    tensors = {name: array[place].copy() for name, array in stacked.items()}
    return tensors, {**header, "members": [header["members"][place]], "best": member}
