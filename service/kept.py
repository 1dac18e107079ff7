"""The weights that a run kept: which member's are meant, and that member's file to take away."""

from typing import Any

import numpy as np

from learning.specs import overrides_of
from service.problems import Clash, Invalid
from store import weights
from store.blobs import Blobs
from store.runs import Run


def blob_of(run: Run) -> str:
    """Raises Clash where the run has kept no weights."""
    if run.weights_blob is None:
        raise Clash(f"The run is {run.status} and has kept no weights; it keeps them when it succeeds.")
    return run.weights_blob


def member_of(run: Run, asked: int | None) -> int:
    """The member asked for, or the best. Raises Clash without weights, Invalid for a member that is not there."""
    blob_of(run)
    if asked is None:
        assert run.best is not None, "weights are kept together with the best"
        return int(run.best["member"])
    count = len(overrides_of(run.spec))
    if asked >= count:
        raise Invalid({"member": f"a whole number from 0 to {count - 1}"})
    return asked


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
