"""Members trained side by side on one thread: a whole small population, or a chunk of a large one.

What a member computes is the same to the bit in every chunk, so how many there are is a matter of speed alone.
"""

import torch
from torch import Tensor

from learning.batches import Batches, Gathered
from learning.evaluation import Evaluation, Values
from learning.groups import Group
from learning.losses import OutputMask
from learning.network import Gradient, Network
from learning.optimizers import OPTIMIZERS
from learning.patience import Judge
from learning.progress import Progress
from learning.rates import Rates
from learning.schedule import Share, member_cost, validation_cost
from learning.sums import halving_sum
from learning.threads import torch_threads


class Population:
    """Members `first` … `last - 1` of a group, whose `progress` this is.

    Only members that go on after `epoch` are computed. Once one has ended, those that go on are copies in tensors of
    their own, `live`, and come back to `progress` at each epoch's end; until then `live` is `progress` itself.
    """

    def __init__(self, group: Group, share: Share, progress: Progress, epoch: int, *, holds: bool) -> None:
        """`holds`: keep the room that a step needs from one stretch of steps to the next."""
        self.group = group
        self.layout, self.plan = group.layout, group.plan
        self.specs = group.specs[share.first : share.last]
        self.sources = group.sources[share.first : share.last]
        self.measured = group.measured[share.first : share.last]
        self.progress = progress
        self.threads = share.threads
        members = share.last - share.first
        self.step_cost = members * member_cost(self.layout, self.plan.block_rows)
        self.piece_cost = validation_cost(self.layout, members)
        self.holds = holds
        self.gradient: Gradient | None = None
        self.mask = OutputMask(self.layout.outputs, progress.weights)
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
        first, weights, group = self.living[0], self.live.weights, self.group
        orders = [(self.specs[place].seed, self.sources[place]) for place in going]
        self.batches = Batches(group.train, self.plan, orders, group.loss, self.layout)
        self.gradient = None
        self.trained = weights[:, : self.layout.trained]
        optimizers = [spec.optimizer for spec in self.living]
        self.optimizer = OPTIMIZERS[first.optimizer.name](optimizers, self.live.moments, weights.new_empty(0))
        self.rates = Rates(self.living, self.plan.steps, self.live.patience.slowed)
        self.judge = Judge(self.living, self.live.patience)
        measured = [by for by in (self.measured[place] for place in going) if by is not None]
        self.evaluation = Evaluation(self.layout, weights, group.loss, measured) if measured else None

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
            gradient = self.gradient or self._furnished()
            for gathered in self.batches.gather(first, last):
                self._steps(gathered, gradient, first)
        if not self.holds:
            self.gradient, self.optimizer.room = None, self.optimizer.room.new_empty(0)

    def _furnished(self) -> Gradient:
        """With room for a step: for its outputs, their gradients, and those of the weights."""
        blocks = self.plan.blocks(0) if self.layout.whole_batches else 1
        self.gradient = Gradient(Network(self.layout, self.live.weights, self.plan.block_rows, blocks))
        self.optimizer.room = self.gradient.room
        return self.gradient

    def _steps(self, gathered: Gathered, gradient: Gradient, first: int) -> None:
        network, optimizer, loss = gradient.network, self.optimizer, self.group.loss
        outputs = self.live.weights.new_empty(len(gathered.blocks), *gradient.deltas[-1][0].shape)
        rooms = outputs.unbind()
        for place, batch in gathered.passes(whole=self.layout.whole_batches):
            inputs = [block.inputs for block in batch]
            found = network.forward(inputs, rooms[place : place + len(batch)], batch)
            for z, block, delta in zip(found, batch, gradient.deltas[-1], strict=False):
                loss.gradient(z, block.targets, self.mask, delta)
                delta.mul_(block.shares)
            gradient.backward(inputs, batch, add=not batch[0].first)
            if batch[-1].last:
                optimizer.step(self.trained, gradient.collect(), batch[-1].step - first)
        losses = loss.examples(outputs[..., : self.layout.outputs], gathered.targets)  # [blocks, K, B]
        sums = halving_sum(losses.mul_(gathered.shares), -1) * gathered.step_rows  # [blocks, K] float64
        # One after the other, so that the sum is the same wherever the run was interrupted.
        self.live.loss_sum.copy_(torch.cat([self.live.loss_sum.unsqueeze(0), sums]).cumsum(0)[-1])

    def evaluate(self, first: int, last: int) -> None:
        """Pieces `first` … `last - 1` of the validation, those that there are."""
        if self.evaluation is not None:
            with torch_threads(self.threads), torch.inference_mode():
                for piece in range(first, min(last, self.pieces)):
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
