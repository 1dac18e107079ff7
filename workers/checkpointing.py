"""Saving how far an attempt has come, and finding what an earlier one saved: whoever goes on from it ends alike.

All that training needs is in one file: the engine's tensors and counters, and what has been told at each member's best
epoch. There is no random state in it, for random numbers are computed from the seed, the epoch and the step.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
import torch
from torch import Tensor

from learning.fitting import Pulse, State
from store import weights
from store.blobs import BlobBroken, Blobs
from store.checkpoints import Checkpoint
from store.claims import Claim
from store.errors import BlobMissing
from store.weights import BrokenWeights
from workers.reporting import Figures

log = structlog.get_logger(__name__)

FORMAT = "learnd.checkpoint/1"
_TIMES_ITS_COST = 20  # at most about a twentieth of the time goes into saving


@dataclass(frozen=True)
class Saved:
    """Where training stands. `legs` counts the ends of earlier generations that lie behind it, patience renewed;
    `exactness` are the classes it has been trained in so far, mostly one; `seconds` are those it took.
    """

    state: State | None = None
    figures: Figures = field(default_factory=Figures)
    legs: int = 0
    exactness: tuple[str, ...] = ()
    seconds: float = 0.0


class Checkpointing:
    """Of one attempt; `seconds` are the least between two, but for a cost that asks for more."""

    def __init__(
        self,
        blobs: Blobs,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        put: Callable[[Iterable[memoryview]], str] | None = None,
    ) -> None:
        """`put` stores bytes and returns their key: that of `blobs`, where none is given."""
        self._blobs = blobs
        self._put = put
        self._seconds = seconds
        self._clock = clock
        self._cost = 0.0
        self._at = clock()

    def is_due(self) -> bool:
        return self._clock() - self._at >= max(self._seconds, _TIMES_ITS_COST * self._cost)

    def newest(self, claim: Claim) -> Saved:
        """The newest of the run's checkpoints that is whole; a beginning if there is none. Raises BlobsAway."""
        for checkpoint in claim.checkpoints:
            try:
                return _unpacked(self._blobs.get(checkpoint.blob))
            except (BlobMissing, BlobBroken, BrokenWeights) as reason:
                log.warning("a checkpoint cannot be used", run=claim.run_id, epoch=checkpoint.epoch, reason=str(reason))
        return Saved()

    def put(self, pulse: Pulse, saved: Saved) -> Checkpoint:
        """Writes where the pulse stands, with the rest of `saved`. Raises Full, BlobsAway; then all is as before."""
        began = self._clock()
        try:
            state = pulse.state()
            put = self._put or self._blobs.put
            blob = put(weights.stream(_tensors(state, saved.figures), _header(state, saved)))
        finally:
            self._at = self._clock()
            self._cost = self._at - began
        return Checkpoint(pulse.epoch, pulse.step, blob)


def _header(state: State, saved: Saved) -> dict[str, Any]:
    counters = dict(state.counters)
    return {
        "format": FORMAT,
        "counters": counters,
        "legs": saved.legs,
        "exactness": list(saved.exactness),
        "seconds": saved.seconds,
    }


def _tensors(state: State, figures: Figures) -> dict[str, np.ndarray]:
    named = {f"state/{name}": tensor for name, tensor in state.tensors.items()}
    for part in ("best", "last"):
        named |= {f"{part}/{split}/{name}": tensor for (split, name), tensor in getattr(figures, part).items()}
    return {name: tensor.cpu().numpy() for name, tensor in named.items()}


def _unpacked(content: bytes) -> Saved:
    """Raises BrokenWeights for what this version cannot go on from."""
    arrays, header = weights.unpack(content)
    if header.get("format") != FORMAT:
        raise BrokenWeights(f"a checkpoint of the format {header.get('format')}")
    parts: dict[str, dict[str, Tensor]] = {"state": {}, "best": {}, "last": {}}
    for place, array in arrays.items():
        part, _, name = place.partition("/")
        parts[part][name] = torch.from_numpy(array)
    return Saved(
        state=State(parts["state"], header["counters"]),
        figures=Figures(best=_by_series(parts["best"]), last=_by_series(parts["last"])),
        legs=header["legs"],
        exactness=tuple(header["exactness"]),
        seconds=header.get("seconds", 0.0),  # none in those of before
    )


def _by_series(named: Mapping[str, Tensor]) -> dict[tuple[str, str], Tensor]:
    found = {}
    for place, tensor in named.items():
        split, _, name = place.partition("/")
        found[split, name] = tensor
    return found
