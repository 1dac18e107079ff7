"""Training as a generator: `fit` computes a little and yields a pulse, and whoever drives it decides whether to go on.

A driver stops a run by no longer asking, keeps a checkpoint by `pulse.snapshot()`, and goes on from one with `state`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from learning.batches import PaddedExamples, Plan
from learning.evaluation import BlockedExamples, Values
from learning.examples import Examples
from learning.initialization import initial_weights
from learning.layout import Layout
from learning.population import Population
from learning.progress import Progress
from learning.schedule import Share, shares_of, step_cost, validation_cost
from learning.specs import MemberSpec, moments_of
from learning.targets import Target
from learning.weights import member_sha256, slice_member, tensors_of

PULSE = 25_000.0  # microseconds of estimated work between two pulses, so that a driver can act soon


@dataclass(frozen=True)
class State:
    """All that is needed to go on from here as if nothing had happened; `counters` are plain numbers for JSON."""

    tensors: Mapping[str, Tensor]
    counters: Mapping[str, int]


@dataclass(frozen=True)
class EpochReport:
    """`values` by (split, name), each [K] float32 on the CPU; NaN for members that ended in an earlier epoch."""

    epoch: int
    step: int  # optimizer steps since the start, at the end of this epoch
    values: Values


@dataclass(frozen=True)
class MemberProgress:
    index: int
    status: str  # running, succeeded or failed
    epoch: int
    best: dict[str, Any] | None  # {"epoch", "metric", "value"}
    error: str | None


@dataclass(frozen=True)
class Trained:
    """What the members learned: the weights of each one's best epoch, or of the last without validation."""

    members: tuple[MemberSpec, ...]
    layout: Layout
    kept: Tensor  # [K, P], padded

    def stacked(self) -> dict[str, Tensor]:
        """`layers.<i>.weight` [K, in, out] and `layers.<i>.bias` [K, out], unpadded, on the CPU."""
        return tensors_of(self.layout, self.kept.cpu())

    def sha256(self, member: int) -> str:
        return member_sha256(slice_member(tensors_of(self.layout, self.kept[member : member + 1].cpu()), 0))


class Pulse:
    """Where the run stands. What it says is true until the next pulse is asked for."""

    def __init__(self, run: "_Run", epochs: tuple[EpochReport, ...]) -> None:
        self._run = run
        self.epochs = epochs  # those finished since the last pulse
        self.epoch = run.epoch  # finished ones
        self.step = run.epoch * run.plan.steps + run.step
        self.finished = run.finished
        self.fraction = run.fraction

    def snapshot(self) -> State:
        """A copy: training may go on while it is written."""
        for population in self._run.populations:
            population.take_back()
        tensors = {name: tensor.clone() for name, tensor in self._run.progress.tensors().items()}
        return State(tensors, {"epoch": self._run.epoch, "step": self._run.step})

    @property
    def members(self) -> tuple[MemberProgress, ...]:
        return self._run.members()

    def trained(self) -> Trained:
        return Trained(self._run.specs, self._run.layout, self._run.progress.kept.clone())


def fit(
    members: Sequence[MemberSpec],
    target: Target,
    train: Examples,
    validation: Examples | None,
    *,
    state: State | None = None,
    threads: int = 1,
) -> Iterator[Pulse]:
    """Train K networks, from `state` if there is one, and yield a pulse at least once an epoch.

    The members differ in seed, epochs, schedule, early stopping and their optimizers' numbers only; ValueError
    otherwise. One that has ended, by failing or by its patience, disturbs no other. They run in the dtype
    and on the device of `train.inputs`. `threads` is how many processor cores to use, and changes no bit of any result;
    torch's own number of threads is left as it was. The last pulse is `finished`, even if `state` already was.
    """
    run = _Run(tuple(members), target=target, train=train, validation=validation, state=state, threads=threads)
    with ExitStack() as stack:
        if len(run.populations) > 1 and threads > 1:
            pool = stack.enter_context(ThreadPoolExecutor(min(threads, len(run.populations))))
            yield from run.pulses(lambda work: list(pool.map(_call, work)))
        else:
            yield from run.pulses(lambda work: [each() for each in work])


def _call(work: Callable[[], Any]) -> Any:
    return work()


class _Run:
    """The population as a whole: its chunks kept in step, its epoch and step counted."""

    def __init__(
        self,
        specs: tuple[MemberSpec, ...],
        *,
        target: Target,
        train: Examples,
        validation: Examples | None,
        state: State | None,
        threads: int,
    ) -> None:
        _check_alike(specs)
        first = specs[0]
        self.specs = specs
        self.epochs = torch.tensor([spec.epochs for spec in specs], dtype=torch.float64)
        self.layout = Layout.of(first.network, train.inputs.shape[1], target.width)
        self.plan = Plan.of(train.rows, first.batch_size)
        self.validated = validation is not None
        self.epoch = state.counters["epoch"] if state else 0
        self.step = state.counters["step"] if state else 0
        if state is None:
            seeds = [spec.seed for spec in specs]
            weights = initial_weights(self.layout, seeds, first.initialization, train.inputs.dtype)
            self.progress = Progress.start(weights.to(train.inputs.device), moments_of(specs))
        else:
            device = train.inputs.device
            self.progress = Progress.of({name: t.to(device, copy=True) for name, t in state.tensors.items()})
        self.shares: list[Share] = shares_of(len(specs), self.layout, self.plan.block_rows, threads)
        padded, blocked = PaddedExamples.of(train), BlockedExamples.of(validation) if validation else None
        self.populations = [
            Population(
                specs[share.first : share.last],
                self.layout,
                self.progress.members(share.first, share.last),
                self.epoch,
                target=target,
                plan=self.plan,
                train=padded,
                validation=blocked,
                threads=share.threads,
            )
            for share in self.shares
        ]

    @property
    def finished(self) -> bool:
        return all(population.resting for population in self.populations)

    @property
    def fraction(self) -> float:
        done = ((self.epoch + self.step / self.plan.steps) / self.epochs).clamp_(max=1.0)
        return done.masked_fill_(self.progress.ended.cpu() > 0, 1.0).mean().item()

    def pulses(self, together: Callable[[Sequence[Callable[[], Any]]], list[Any]]) -> Iterator[Pulse]:
        if self.finished:
            yield Pulse(self, ())
        while not self.finished:
            spent = 0.0
            for cost, work, step in self._epoch():
                together(work)
                self.step = step
                spent += cost
                if spent >= PULSE:
                    spent = 0.0
                    yield Pulse(self, ())
            parts = together([partial(population.close, self.epoch + 1) for population in self.populations])
            self.epoch, self.step = self.epoch + 1, 0
            values = self._together(parts)
            yield Pulse(self, (EpochReport(self.epoch, self.epoch * self.plan.steps, values),))

    def _together(self, parts: Sequence[Values]) -> Values:
        """One tensor of all members for each name; a chunk whose members had all ended has told nothing."""
        names = next(part for part in parts if part)
        resting = [torch.full((share.last - share.first,), torch.nan) for share in self.shares]
        return {
            name: torch.cat([part.get(name, rest) for part, rest in zip(parts, resting, strict=True)]) for name in names
        }

    def _epoch(self) -> Iterator[tuple[float, Sequence[Callable[[], None]], int]]:
        """(estimated microseconds, what the chunks do at the same time, steps of this epoch done then)."""
        waves = self.shares[-1].wave + 1
        members = max(share.last - share.first for share in self.shares)
        cost = waves * step_cost(self.layout, members, self.plan.block_rows) * self.plan.blocks(0)
        stride = max(1, int(PULSE / cost))
        for first in range(self.step, self.plan.steps, stride):
            last = min(first + stride, self.plan.steps)
            yield cost * (last - first), self._each("train", self.epoch + 1, first, last), last
        for piece in range(max(population.pieces for population in self.populations)):
            yield waves * validation_cost(self.layout, members), self._each("evaluate", piece), self.plan.steps

    def _each(self, name: str, *arguments: int) -> list[Callable[[], None]]:
        return [partial(getattr(population, name), *arguments) for population in self.populations]

    def members(self) -> tuple[MemberProgress, ...]:
        metric = "validation.loss" if self.validated else "train.loss"
        progress = self.progress
        columns = (progress.best_epoch, progress.best_value, progress.failed, progress.ended)
        return tuple(
            MemberProgress(
                index=spec.index,
                status="failed" if failed else "succeeded" if ended or self.epoch >= spec.epochs else "running",
                epoch=ended or min(self.epoch, spec.epochs),
                best={"epoch": epoch, "metric": metric, "value": value} if epoch else None,
                error="non_finite_loss" if failed else None,
            )
            for spec, epoch, value, failed, ended in zip(self.specs, *(each.tolist() for each in columns), strict=True)
        )


def _check_alike(specs: Sequence[MemberSpec]) -> None:
    """Raise ValueError unless the members differ in nothing but what the engine takes from each one."""
    first = specs[0]
    for spec in specs:
        optimizer = replace(first.optimizer, name=spec.optimizer.name, nesterov=spec.optimizer.nesterov)
        same = {"index", "seed", "epochs", "schedule", "early_stopping", "overrides"}
        alike = replace(spec, optimizer=optimizer, **{name: getattr(first, name) for name in same})
        if alike != first:
            raise ValueError(f"member {spec.index} has another shape than member {first.index}")
