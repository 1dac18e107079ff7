"""Training as a generator: `fit` computes a little and yields a pulse, and whoever drives it decides whether to go on.

A driver stops a run by no longer asking, keeps a checkpoint by `pulse.snapshot()`, and goes on from one with `state`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import torch
from torch import Tensor

from learning.evaluation import Values
from learning.examples import Data
from learning.groups import Group, groups_of
from learning.schedule import lanes_of, shares_of
from learning.specs import MemberSpec
from learning.stacked import Stacked
from learning.trained import MemberProgress, Trained

PULSE = 25_000.0  # microseconds of estimated work between two pulses, so that a driver can act soon


@dataclass(frozen=True)
class State:
    """All that is needed to go on from here as if nothing had happened; `counters` are plain numbers for JSON."""

    tensors: Mapping[str, Tensor]
    counters: Mapping[str, int]

    def renewed(self) -> "State":
        """As one goes on from who asks for more epochs: whose patience had ended trains again, and it counts anew."""
        tensors = dict(self.tensors)
        for name, tensor in self.tensors.items():
            if name.endswith(".ended"):
                tensors[name] = tensor * self.tensors[name.replace(".ended", ".failed")]
            elif name.endswith(".patience.waited"):
                tensors[name] = torch.zeros_like(tensor)
        return State(tensors, self.counters)


@dataclass(frozen=True)
class EpochReport:
    """`values` by (split, name), each [K] float64 on the CPU; NaN for members that ended in an earlier epoch."""

    epoch: int
    steps: Tensor  # [K] int64: optimizer steps since the start of a member that has trained to the end of this epoch
    values: Values


class Pulse:
    """Where the run stands. What it says is true until the next pulse is asked for."""

    def __init__(self, run: "_Run", epochs: tuple[EpochReport, ...]) -> None:
        self._run = run
        self.epochs = epochs  # those finished since the last pulse
        self.epoch = run.epoch  # finished ones
        self.step = max(stacked.steps(run.epoch) for stacked in run.stacked)
        self.finished = run.finished
        self.fraction = run.fraction

    def state(self) -> State:
        """The engine's own tensors: to be written before the next pulse is asked for."""
        return self._run.state()

    def snapshot(self) -> State:
        """A copy: training may go on while it is written."""
        state = self.state()
        return State({name: tensor.clone() for name, tensor in state.tensors.items()}, state.counters)

    @property
    def members(self) -> tuple[MemberProgress, ...]:
        return self._run.members()

    def trained(self) -> Trained:
        return Trained(tuple(stacked.stack() for stacked in self._run.stacked))


def fit(
    members: Sequence[MemberSpec],
    data: Data | Sequence[Data],
    *,
    state: State | None = None,
    threads: int = 1,
    most_members: int | None = None,
) -> Iterator[Pulse]:
    """Train K networks, from `state` if there is one, and yield a pulse at least once an epoch.

    `data` is one for all members, or one for each: folds are members with rows of their own. Those of one shape are
    stacked and trained together, the others beside them, epoch by epoch. A member that has ended, by failing or by its
    patience, disturbs no other. They run in the dtype and on the device of their rows. `threads` is how many processor
    cores to use, and `most_members` how many may be computed in one go, fewer in less memory; neither changes a bit of
    any result, nor need it be the same when a run goes on. Torch's own number of threads is left as it was. The first
    pulse from a `state` is where that stands; the last one is `finished`.
    """
    every = [data] * len(members) if isinstance(data, Data) else data
    run = _Run(groups_of(members, every), state, threads, most_members)
    with ExitStack() as stack:
        if run.lanes > 1:
            pool = stack.enter_context(ThreadPoolExecutor(run.lanes))
            yield from run.pulses(lambda work: list(pool.map(_call, work)))
        else:
            yield from run.pulses(lambda work: [each() for each in work])


def _call(work: Callable[[], Any]) -> Any:
    return work()


class _Run:
    """The groups kept in step: all finish an epoch before any begins the next."""

    def __init__(self, groups: Sequence[Group], state: State | None, threads: int, most: int | None) -> None:
        self.resumed = state is not None
        self.epoch = state.counters["epoch"] if state else 0
        self.stacked = []
        alone = len(groups) == 1
        # Of many groups each one is a chunk: there is enough to do side by side.
        spread = threads if alone or len(groups) < 2 * threads else 1
        shares = [
            shares_of(len(group.specs), group.layout, group.plan.block_rows, spread, inside=alone, most=most)
            for group in groups
        ]
        holds = sum(map(len, shares)) <= threads  # else a few chunks at a time are computed, in one another's room
        for index, group in enumerate(groups):
            stacked = Stacked(group, shares[index], self.epoch, _part_of(state, index), holds=holds)
            stacked.step = state.counters[f"{index}.step"] if state else 0
            self.stacked.append(stacked)
        self.populations = [population for stacked in self.stacked for population in stacked.populations]
        self.lanes = lanes_of([population.step_cost for population in self.populations], threads)
        self.members_count = sum(len(group.specs) for group in groups)

    @property
    def finished(self) -> bool:
        return all(stacked.resting for stacked in self.stacked)

    @property
    def fraction(self) -> float:
        return torch.cat([stacked.fractions(self.epoch) for stacked in self.stacked]).mean().item()

    def state(self) -> State:
        for population in self.populations:
            population.take_back()
        tensors = {
            f"{index}.{name}": tensor
            for index, stacked in enumerate(self.stacked)
            for name, tensor in stacked.progress.tensors().items()
        }
        steps = {f"{index}.step": stacked.step for index, stacked in enumerate(self.stacked)}
        return State(tensors, {"epoch": self.epoch, **steps})

    def members(self) -> tuple[MemberProgress, ...]:
        found = (member for stacked in self.stacked for member in stacked.members(self.epoch))
        return tuple(sorted(found, key=lambda member: member.index))

    def pulses(self, together: Callable[[Sequence[Callable[[], Any]]], list[Any]]) -> Iterator[Pulse]:
        if self.resumed or self.finished:
            yield Pulse(self, ())
        while not self.finished:
            spent = 0.0
            for cost, work, reached in self._epoch():
                together(work)
                for stacked, step in reached:
                    stacked.step = step
                spent += cost
                if spent >= PULSE:
                    spent = 0.0
                    yield Pulse(self, ())
            parts = iter(together([partial(population.close, self.epoch + 1) for population in self.populations]))
            told = [stacked.close([next(parts) for _ in stacked.populations]) for stacked in self.stacked]
            self.epoch += 1
            for stacked in self.stacked:
                stacked.step = 0
            yield Pulse(self, (self._report(told),))

    def _epoch(self) -> Iterator[tuple[float, list[Callable[[], None]], list[tuple[Stacked, int]]]]:
        """(estimated microseconds, what is done at the same time, whose step has come how far then)."""
        going = [stacked for stacked in self.stacked if not stacked.resting]
        begun = [stacked.step for stacked in going]
        left = [stacked.group.plan.steps - stacked.step for stacked in going]
        cost = sum(count * stacked.step_cost for count, stacked in zip(left, going, strict=True)) / self.lanes
        most = max(left)
        slices = max(1, min(most, ceil(cost / PULSE)))
        before = begun
        for turn in range(1, slices + 1):
            reached = [first + count * turn // slices for first, count in zip(begun, left, strict=True)]
            work: list[Callable[[], None]] = [
                partial(population.train, self.epoch + 1, first, last)
                for stacked, first, last in zip(going, before, reached, strict=True)
                if last > first
                for population in stacked.populations
            ]
            yield cost / slices, work, list(zip(going, reached, strict=True))
            before = reached
        # Whoever is measured holds its outputs until it is done, so that no more are begun than there are threads.
        every = [population for stacked in going for population in stacked.populations if population.pieces]
        for place in range(0, len(every), self.lanes):
            measured = every[place : place + self.lanes]
            pieces, dearest = max(each.pieces for each in measured), max(each.piece_cost for each in measured)
            together = max(1, int(PULSE / dearest))
            for piece in range(0, pieces, together):
                last = min(piece + together, pieces)
                yield (last - piece) * dearest, [partial(each.evaluate, piece, last) for each in measured], []

    def _report(self, told: Sequence[Values]) -> EpochReport:
        """In the order of the run's members."""
        steps = torch.zeros(self.members_count, dtype=torch.int64)
        values: Values = {}
        for stacked, own in zip(self.stacked, told, strict=True):
            places = torch.tensor(stacked.group.places)
            steps[places] = stacked.steps(self.epoch)
            for name, numbers in own.items():
                values.setdefault(name, torch.full((self.members_count,), torch.nan, dtype=torch.float64))
                values[name][places] = numbers.double()
        return EpochReport(self.epoch, steps, values)


def _part_of(state: State | None, index: int) -> dict[str, Tensor] | None:
    if state is None:
        return None
    prefix = f"{index}."
    return {name.removeprefix(prefix): t for name, t in state.tensors.items() if name.startswith(prefix)}
