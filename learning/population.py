"""Members trained side by side on one thread: a whole small population, or a chunk of a large one.

What a member computes is the same to the bit in every chunk, so how many there are is a matter of speed alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from learning.batches import Batches, Gathered, PaddedExamples, Plan
from learning.evaluation import BlockedExamples, Evaluation, Values
from learning.layout import Layout
from learning.losses import LOSSES, OutputMask
from learning.network import Gradient, Network
from learning.optimizers import OPTIMIZERS
from learning.patience import Judge
from learning.progress import Progress
from learning.rates import Rates
from learning.specs import MemberSpec
from learning.sums import halving_sum
from learning.targets import Target
from learning.threads import torch_threads


class Population:
    """`specs` share everything but what may differ from member to member (`fitting.fit` says what).

    Only members that go on after `epoch` are computed. Once one has ended, those that go on are copies in tensors of
    their own, `live`, and come back to `progress` at each epoch's end; until then `live` is `progress` itself.
    """

    def __init__(
        self,
        specs: Sequence[MemberSpec],
        layout: Layout,
        progress: Progress,
        epoch: int,
        *,
        target: Target,
        plan: Plan,
        train: PaddedExamples,
        validation: BlockedExamples | None,
        threads: int,
    ) -> None:
        self.specs = specs
        self.layout = layout
        self.progress = progress
        self.target = target
        self.plan = plan
        self.examples = train
        self.validation = validation
        self.threads = threads
        self.loss = LOSSES[specs[0].loss]
        self.mask = OutputMask(layout.outputs, progress.weights)
        self._settle(epoch)

    def _settle(self, epoch: int) -> None:
        """Make what computes the members that go on after this epoch."""
        ended = self.progress.ended.tolist()
        going = [place for place, spec in enumerate(self.specs) if not ended[place] and epoch < spec.epochs]
        self.going = torch.tensor(going, dtype=torch.int64, device=self.progress.weights.device)
        self.live = self.progress if len(going) == len(self.specs) else self.progress.copies(self.going)
        self.living = [self.specs[place] for place in going]
        if not going:
            self.evaluation = None
            return
        first, weights = self.living[0], self.live.weights
        self.batches = Batches(
            self.examples, self.plan, [spec.seed for spec in self.living], self.loss, self.layout.outputs
        )
        self.network = Network(self.layout, weights, self.plan.block_rows)
        self.gradient = Gradient(self.network, torch.empty_like(weights))
        optimizers = [spec.optimizer for spec in self.living]
        self.optimizer = OPTIMIZERS[first.optimizer.name](optimizers, self.live.moments, weights)
        self.rates = Rates(self.living, self.plan.steps, self.live.patience.slowed)
        self.judge = Judge(self.living, self.live.patience)
        self.evaluation = (
            None
            if self.validation is None
            else Evaluation(self.layout, weights, self.target, first.loss, self.validation)
        )

    @property
    def resting(self) -> bool:
        return not self.living

    def train(self, epoch: int, first: int, last: int) -> None:
        """Steps `first` … `last - 1` (from 0) of `epoch` (from 1)."""
        if self.resting:
            return
        with torch_threads(self.threads), torch.inference_mode():
            self.batches.begin(epoch)
            begun = (epoch - 1) * self.plan.steps + first
            self.optimizer.plan(begun + 1, last - first, self.rates.factors(epoch, first, last))
            for gathered in self.batches.gather(first, last):
                self._steps(gathered, first)

    def _steps(self, gathered: Gathered, first: int) -> None:
        weights, gradient, optimizer, network = self.live.weights, self.gradient, self.optimizer, self.network
        delta = gradient.deltas[-1]
        outputs = delta.new_empty(len(gathered.blocks), *delta.shape)
        for block, room in zip(gathered.blocks, outputs.unbind(), strict=True):
            inputs = block.inputs.expand(len(self.living), -1, -1)
            self.loss.gradient(network.forward(inputs, room), block.targets, self.mask, delta)
            delta.mul_(block.shares)
            gradient.backward(inputs, add=not block.first)
            if block.last:
                optimizer.step(weights, gradient.collect(), block.step - first)
        losses = self.loss.examples(outputs[..., : self.layout.outputs], gathered.targets)  # [blocks, K, B]
        sums = halving_sum(losses.mul_(gathered.shares), -1) * gathered.step_rows  # [blocks, K] float64
        # One after the other, so that the sum is the same wherever the run was interrupted.
        self.live.loss_sum.copy_(torch.cat([self.live.loss_sum.unsqueeze(0), sums]).cumsum(0)[-1])

    def evaluate(self, piece: int) -> None:
        if self.evaluation is not None and piece < len(self.evaluation.pieces):
            with torch_threads(self.threads), torch.inference_mode():
                self.evaluation.run(piece)

    @property
    def pieces(self) -> int:
        return 0 if self.evaluation is None else len(self.evaluation.pieces)

    def close(self, epoch: int) -> Values:
        """End an epoch: its values, the weights kept if they are the best, and who has ended laid to rest.

        Values are NaN for members that had ended before; there are none at all where all of them had.
        """
        if self.resting:
            return {}
        with torch_threads(self.threads), torch.inference_mode():
            live = self.live
            values: Values = {("train", "loss"): (live.loss_sum / self.plan.rows).float()}
            if self.evaluation is not None:
                values |= self.evaluation.values()
            judged = values.get(("validation", "loss"), values["train", "loss"])
            alive = values["train", "loss"].isfinite() & judged.isfinite() & live.weights.isfinite().all(1)
            better = alive if self.evaluation is None else alive & (judged < live.best_value)
            torch.where(better.unsqueeze(1), live.weights, live.kept, out=live.kept)
            torch.where(better, judged, live.best_value, out=live.best_value)
            live.best_epoch.masked_fill_(better, epoch)
            live.loss_sum.zero_()
            stopped = self.judge.ended(judged)
            ending = ~alive if stopped is None else stopped | ~alive
            changed = bool(ending.any())
            if changed:
                live.ended.masked_fill_(ending, epoch)
                live.failed.copy_(~alive)
                for tensor in (live.weights, *live.moments.values()):
                    tensor.masked_fill_(~alive.unsqueeze(1), 0.0)
        self.take_back()
        told = {name: self._of_all(value).cpu().clone() for name, value in values.items()}
        if changed or any(spec.epochs == epoch for spec in self.living):
            self._settle(epoch)
        return told

    def take_back(self) -> None:
        """Bring `progress` up to date."""
        if self.live is not self.progress:
            self.progress.take_back(self.live, self.going)

    def _of_all(self, values: Tensor) -> Tensor:
        if self.live is self.progress:
            return values
        return values.new_full((len(self.specs),), torch.nan).index_copy_(0, self.going, values)
