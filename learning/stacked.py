"""A group in training: how far it has come, and the chunks of it that are computed one by one."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from learning.evaluation import Values
from learning.groups import Group
from learning.initialization import initial_weights
from learning.population import Population
from learning.progress import Progress
from learning.schedule import Share, step_cost
from learning.specs import moments_of
from learning.trained import MemberProgress, Stack


class Stacked:
    """A group, how far it has come, and the chunks of it that are computed one by one."""

    def __init__(
        self,
        group: Group,
        shares: Sequence[Share],
        epoch: int,
        tensors: Mapping[str, Tensor] | None,
        *,
        holds: bool,
    ) -> None:
        """`tensors` are those of its progress so far; chunks that `holds` keep their room while others compute."""
        self.group = group
        self.step = 0  # of the epoch that is not finished
        device, dtype = group.train.inputs.device, group.train.inputs.dtype
        if tensors is None:
            seeds = [spec.seed for spec in group.specs]
            weights = initial_weights(group.layout, seeds, group.specs[0].initialization, dtype).to(device)
            self.progress = Progress.start(weights, group.layout.trained, moments_of(group.specs))
        else:
            self.progress = Progress.of({name: tensor.to(device, copy=True) for name, tensor in tensors.items()})
        self.shares = shares
        self.populations = [
            Population(group, share, self.progress.members(share.first, share.last), epoch, holds=holds)
            for share in shares
        ]
        self.epochs = torch.tensor([spec.epochs for spec in group.specs], dtype=torch.float64)
        # µs of one step in all chunks
        chunks = [share.last - share.first for share in shares]
        block_rows, blocks = group.plan.block_rows, group.plan.blocks(0)
        self.step_cost = blocks * sum(step_cost(group.layout, chunk, block_rows) for chunk in chunks)

    @property
    def resting(self) -> bool:
        return all(population.resting for population in self.populations)

    def steps(self, epoch: int) -> int:
        """Taken since the start, with `epoch` epochs finished."""
        return epoch * self.group.plan.steps + self.step

    def fractions(self, epoch: int) -> Tensor:
        """[K] float64: how much of what is asked of each member is done."""
        done = (self.steps(epoch) / self.group.plan.steps / self.epochs).clamp_(max=1.0)
        return done.masked_fill_(self.progress.ended.cpu() > 0, 1.0)

    def close(self, parts: Sequence[Values]) -> Values:
        """What its chunks told at an epoch's end, together; a chunk whose members had all ended has told nothing."""
        resting = [torch.full((share.last - share.first,), torch.nan) for share in self.shares]
        names = next((part for part in parts if part), {})
        return {
            name: torch.cat([part.get(name, rest) for part, rest in zip(parts, resting, strict=True)]) for name in names
        }

    def members(self, epoch: int) -> Iterator[MemberProgress]:
        metric = "train.loss" if self.group.measured[0] is None else "validation.loss"
        progress = self.progress
        columns = (progress.best_epoch, progress.best_value, progress.failed, progress.ended)
        for spec, best, value, failed, ended in zip(
            self.group.specs, *(each.tolist() for each in columns), strict=True
        ):
            yield MemberProgress(
                index=spec.index,
                status="failed" if failed else "succeeded" if ended or epoch >= spec.epochs else "running",
                epoch=ended or min(epoch, spec.epochs),
                best={"epoch": best, "metric": metric, "value": value} if best else None,
                error="non_finite_loss" if failed else None,
            )

    def stack(self) -> Stack:
        return Stack(self.group.specs, self.group.layout, self.progress.kept.clone())
