"""What an attempt has to tell: gathered from the engine's pulses, and put into the words of the API."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, from_numpy

from learning.fitting import EpochReport, Pulse
from learning.trained import MemberProgress
from store.chunks import Chunk
from store.leases import Report
from store.members import MemberReport
from workers.ranking import Metrics, Ranking, Standing

Values = Mapping[tuple[str, str], Tensor]  # by split and name, a number for each member


@dataclass(frozen=True)
class Figures:
    """What was told of each member at its best epoch, and at its last."""

    best: Values = field(default_factory=dict)
    last: Values = field(default_factory=dict)


_LOOK_SECONDS = 0.25
_WRITE_SECONDS = 1.0  # within an epoch that takes long
_MEMBERS_A_SECOND = 1_000  # rows written: a large population's members are told of less often
_TIMES = 40  # what a report took is followed by so many times that of training
_QUIET_SECONDS = 10.0  # at most


class Reporter:
    """Keeps the epochs that are not written yet, and each member's metrics at its best epoch."""

    def __init__(
        self,
        epochs: int,
        members: int,
        ranking: Ranking,
        clock: Callable[[], float] = time.monotonic,
        *,
        figures: Figures | None = None,
    ) -> None:
        """`figures` are those of the attempt that this one goes on from."""
        self._epochs = epochs
        self._ranking = ranking
        self._members_seconds = members / _MEMBERS_A_SECOND
        self._clock = clock
        self._began_at = clock()
        self._looked_at = self._written_at = self._began_at
        self._members_at = float("-inf")
        self._asked_at: float | None = None
        self._took = 0.0  # seconds, to put the last report together and write it
        self._waiting: list[EpochReport] = []
        # Those that were saved by a version before this one are float32.
        self._last: Values = {series: values.double() for series, values in figures.last.items()} if figures else {}
        self._at_best = {series: values.double().clone() for series, values in figures.best.items()} if figures else {}
        self._begun = None if self._last else 0.0  # the share that was done before

    @property
    def figures(self) -> Figures:
        """Up to what was last reported."""
        return Figures(self._at_best, self._last)

    def take(self, pulse: Pulse) -> None:
        self._waiting += pulse.epochs
        if self._begun is None:
            self._begun = pulse.fraction

    def is_due(self) -> bool:
        """Whether to turn to the database: for the first epoch at once, then at most four times a second."""
        first = bool(self._waiting) and not self._last
        return first or self._clock() - self._looked_at >= _LOOK_SECONDS

    def has_news(self) -> bool:
        """Whether there is something to write, and writing takes no more than its share of the time."""
        since = self._clock() - self._written_at
        rested = since >= min(_QUIET_SECONDS, _TIMES * self._took)
        return rested and (bool(self._waiting) or since >= _WRITE_SECONDS)

    def report(self, pulse: Pulse, *, whole: bool = False) -> Report:
        """All that is new since it was last `written`; `whole` leaves no member out."""
        self._asked_at = None if whole else self._clock()
        members = pulse.members
        chunks = _chunks(self._waiting)
        self._remember_best(members, chunks)
        first = self.first(members)
        told = None
        self._last = dict(self._last) | {
            (chunk.split, chunk.name): _latest(chunk, self._last.get((chunk.split, chunk.name))) for chunk in chunks
        }
        if self._waiting:
            now = first and self._ranking.metrics_of(first, members, lambda each: _metrics(self._last, each))
            told = {"epoch": self._waiting[-1].epoch, "metrics": now or {}}
        named = whole or self._clock() - self._members_at >= self._members_seconds
        return Report(
            progress=self._progress(pulse),
            metrics=first.metrics if first else {},
            best=first.best if first else None,
            chunks=chunks,
            members=[self.member(each) for each in members] if named else (),
            told=told,
        )

    def looked(self, *, postponed: float = 0.0) -> None:
        self._looked_at = self._clock() + postponed

    def written(self, report: Report) -> None:
        self._written_at = self._looked_at = self._clock()
        if self._asked_at is not None:
            self._took = self._written_at - self._asked_at
        if report.members:
            self._members_at = self._written_at
        self._waiting = []

    def first(self, members: Sequence[MemberProgress]) -> Standing | None:
        """Who stands first by what has been reported, with their metrics at their best epochs."""
        return self._ranking.first(members, lambda each: _metrics(self._at_best, each))

    def member(self, progress: MemberProgress, **more: Any) -> MemberReport:
        said: dict[str, Any] = {
            "index": progress.index,
            "status": progress.status,
            "epoch": progress.epoch,
            "best": progress.best,
            "last": _metrics(self._last, progress),
            "error": progress.error,
        }
        return MemberReport(**said | more)

    def _remember_best(self, members: Sequence[MemberProgress], chunks: Sequence[Chunk]) -> None:
        epochs = np.array([each.best["epoch"] if each.best else 0 for each in members])
        for chunk in chunks:
            here = np.flatnonzero((epochs >= chunk.first_epoch) & (epochs < chunk.first_epoch + len(chunk.values)))
            values = from_numpy(chunk.values[epochs[here] - chunk.first_epoch, here])
            nothing = torch.full((len(epochs),), torch.nan, dtype=torch.float64)
            kept = self._at_best.setdefault((chunk.split, chunk.name), nothing)
            kept[from_numpy(here)] = values

    def _progress(self, pulse: Pulse) -> dict[str, Any]:
        elapsed = self._clock() - self._began_at
        done = pulse.fraction - (self._begun or 0.0)
        eta = elapsed * (1 - pulse.fraction) / done if done > 0 else None
        return {
            "epoch": pulse.epoch,
            "epochs": self._epochs,
            "fraction": pulse.fraction,
            "eta_seconds": None if eta is None else round(eta, 3),
        }


def _latest(chunk: Chunk, before: Tensor | None) -> Tensor:
    """The latest figures; of a member that had ended, those it ended with."""
    known = ~np.isnan(chunk.values)
    last = len(known) - 1 - known[::-1].argmax(axis=0)
    latest = from_numpy(np.take_along_axis(chunk.values, last[None], axis=0)[0])
    return latest if before is None else latest.where(from_numpy(known.any(axis=0)), before)


def _metrics(values: Values, member: MemberProgress) -> Metrics:
    found: Metrics = {}
    for (split, name), numbers in values.items():
        found.setdefault(split, {})[name] = float(numbers[member.index])
    return found


def _chunks(reports: Sequence[EpochReport]) -> list[Chunk]:
    if not reports:
        return []
    steps = np.stack([each.steps.numpy() for each in reports])
    if (steps == steps[:, :1]).all():
        steps = steps[:, :1]
    # A series ends before the run where all who have it do: of folds, those of one row have no r2.
    every = dict.fromkeys(series for each in reports for series in each.values)
    nothing = np.full(reports[0].steps.shape, np.nan)
    return [
        Chunk(
            *series,
            reports[0].epoch,
            steps,
            np.stack([each.values[series].double().numpy() if series in each.values else nothing for each in reports]),
        )
        for series in every
    ]
