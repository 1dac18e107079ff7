"""Members trained side by side on one thread: a whole small population, or a chunk of a large one.

What a member computes is the same to the bit in every chunk, so how many there are is a matter of speed alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from learning.batches import Batches, Gathered, PaddedExamples, Plan
from learning.evaluation import BlockedExamples, Evaluation, Values
from learning.layout import Layout
from learning.losses import LOSSES, OutputMask
from learning.network import Gradient, Network
from learning.optimizers import OPTIMIZERS, Optimizer
from learning.specs import MemberSpec
from learning.sums import halving_sum
from learning.targets import Target
from learning.threads import torch_threads


@dataclass(frozen=True)
class Progress:
    """What must be kept to go on exactly: K members' tensors, each with K as its first axis, changed in place.

    `kept` are the weights of the best epoch so far; `failed` members rest, their weights and moments at zero.
    """

    weights: Tensor  # [K, P]
    moments: dict[str, Tensor]  # each [K, P]
    kept: Tensor  # [K, P]
    loss_sum: Tensor  # [K] float64: of this epoch's batch losses so far, each times its rows
    best_value: Tensor  # [K] float32
    best_epoch: Tensor  # [K] int64, 0 before the first
    failed: Tensor  # [K] bool

    @classmethod
    def start(cls, weights: Tensor, moments: Sequence[str]) -> "Progress":
        members, device = weights.shape[0], weights.device
        return cls(
            weights=weights,
            moments={name: torch.zeros_like(weights) for name in moments},
            kept=weights.clone(),
            loss_sum=torch.zeros(members, dtype=torch.float64, device=device),
            best_value=torch.full((members,), torch.inf, device=device),
            best_epoch=torch.zeros(members, dtype=torch.int64, device=device),
            failed=torch.zeros(members, dtype=torch.bool, device=device),
        )

    def tensors(self) -> dict[str, Tensor]:
        named = {name: tensor for name, tensor in vars(self).items() if name != "moments"}
        return named | {f"moments.{name}": tensor for name, tensor in self.moments.items()}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Progress":
        moments = {name.removeprefix("moments."): t for name, t in tensors.items() if name.startswith("moments.")}
        return cls(moments=moments, **{name: t for name, t in tensors.items() if not name.startswith("moments.")})

    def members(self, first: int, last: int) -> "Progress":
        """Views of some members: what is done to them is done here."""
        return self.of({name: tensor[first:last] for name, tensor in self.tensors().items()})


class Population:
    """`specs` share everything but what may differ from member to member: the seed, the optimizer's numbers."""

    def __init__(
        self,
        specs: Sequence[MemberSpec],
        layout: Layout,
        progress: Progress,
        *,
        target: Target,
        plan: Plan,
        train: PaddedExamples,
        validation: BlockedExamples | None,
        threads: int,
    ) -> None:
        first = specs[0]
        self.specs = specs
        self.layout = layout
        self.progress = progress
        self.threads = threads
        self.loss = LOSSES[first.loss]
        self.batches = Batches(train, plan, [spec.seed for spec in specs], self.loss, layout.outputs)
        self.network = Network(layout, progress.weights, plan.block_rows)
        self.gradient = Gradient(self.network, torch.empty_like(progress.weights))
        self.mask = OutputMask(layout.outputs, progress.weights)
        self.optimizer = self._optimizer()
        self.evaluation = (
            None if validation is None else Evaluation(layout, progress.weights, target, first.loss, validation)
        )

    def _optimizer(self) -> Optimizer:
        """With a learning rate of zero for members that failed: their weights are zero and stay it."""
        optimizers = [
            replace(spec.optimizer, learning_rate=0.0) if failed else spec.optimizer
            for spec, failed in zip(self.specs, self.progress.failed.tolist(), strict=True)
        ]
        return OPTIMIZERS[self.specs[0].optimizer.name](optimizers, self.progress.moments, self.progress.weights)

    @property
    def resting(self) -> bool:
        return bool(self.progress.failed.all())

    def train(self, epoch: int, first: int, last: int) -> None:
        """Steps `first` … `last - 1` (from 0) of `epoch` (from 1)."""
        with torch_threads(self.threads), torch.inference_mode():
            self.batches.begin(epoch)
            self.optimizer.plan((epoch - 1) * self.batches.plan.steps + first + 1, last - first)
            for gathered in self.batches.gather(first, last):
                self._steps(gathered, first)

    def _steps(self, gathered: Gathered, first: int) -> None:
        weights, gradient, optimizer, network = self.progress.weights, self.gradient, self.optimizer, self.network
        delta = gradient.deltas[-1]
        outputs = delta.new_empty(len(gathered.blocks), *delta.shape)
        for block, room in zip(gathered.blocks, outputs.unbind(), strict=True):
            inputs = block.inputs.expand(len(self.specs), -1, -1)
            self.loss.gradient(network.forward(inputs, room), block.targets, self.mask, delta)
            delta.mul_(block.shares)
            gradient.backward(inputs, add=not block.first)
            if block.last:
                optimizer.step(weights, gradient.collect(), block.step - first)
        losses = self.loss.examples(outputs[..., : self.layout.outputs], gathered.targets)  # [blocks, K, B]
        sums = halving_sum(losses.mul_(gathered.shares), -1) * gathered.step_rows  # [blocks, K] float64
        # One after the other, so that the sum is the same wherever the run was interrupted.
        self.progress.loss_sum.copy_(torch.cat([self.progress.loss_sum.unsqueeze(0), sums]).cumsum(0)[-1])

    def evaluate(self, piece: int) -> None:
        if self.evaluation is not None and piece < len(self.evaluation.pieces):
            with torch_threads(self.threads), torch.inference_mode():
                self.evaluation.run(piece)

    @property
    def pieces(self) -> int:
        return 0 if self.evaluation is None else len(self.evaluation.pieces)

    def close(self, epoch: int) -> Values:
        """End an epoch: its values, the weights kept if they are the best, members that failed laid to rest."""
        with torch_threads(self.threads), torch.inference_mode():
            progress = self.progress
            values: Values = {("train", "loss"): (progress.loss_sum / self.batches.plan.rows).float()}
            if self.evaluation is not None:
                values |= self.evaluation.values()
            judged = values.get(("validation", "loss"), values["train", "loss"])
            finite = values["train", "loss"].isfinite() & judged.isfinite() & progress.weights.isfinite().all(1)
            alive = finite & ~progress.failed
            better = alive if self.evaluation is None else alive & (judged < progress.best_value)
            torch.where(better.unsqueeze(1), progress.weights, progress.kept, out=progress.kept)
            torch.where(better, judged, progress.best_value, out=progress.best_value)
            progress.best_epoch.masked_fill_(better, epoch)
            values = {name: value.masked_fill(progress.failed, torch.nan) for name, value in values.items()}
            progress.loss_sum.zero_()
            if not bool((alive | progress.failed).all()):
                self._rest(~alive)
        return {name: value.cpu().clone() for name, value in values.items()}

    def _rest(self, failed: Tensor) -> None:
        self.progress.failed.copy_(failed)
        for tensor in (self.progress.weights, *self.progress.moments.values()):
            tensor.masked_fill_(failed.unsqueeze(1), 0.0)
        self.optimizer = self._optimizer()
