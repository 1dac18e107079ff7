"""What is said of rows that nobody was trained on: by a run's networks, by plainer ones, and by a rule without any.

The networks that a run predicts as answer together for its test rows, and for its validation rows too. Only where there
are folds, each has validation rows of its own, and is alone with those: the others were trained on them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from learning.answers import answers_of
from learning.baseline import baseline
from learning.columns import Table, take
from learning.experiment import Experiment
from learning.model import MeanModel, Model
from learning.randomness import key, permutations
from learning.specs import MemberSpec, NetworkSpec
from learning.sums import halving_mean
from learning.targets import Target

BLOCK = 1_024  # rows answered for at a time: between two blocks whoever drives can act


@dataclass(frozen=True, eq=False)
class Share:
    """Rows of the table [n] int64, and the members whose mean answers for them."""

    rows: Tensor
    members: tuple[MemberSpec, ...]

    def model(self, models: Mapping[int, Model]) -> Model | MeanModel:
        """The members' one, of theirs by index."""
        parts = tuple(models[member.index] for member in self.members)
        return parts[0] if len(parts) == 1 else MeanModel(parts)


@dataclass(frozen=True, eq=False)
class Unseen:
    """The rows of a split, in shares."""

    experiment: Experiment
    shares: tuple[Share, ...]

    @classmethod
    def of(cls, experiment: Experiment, predicts: Sequence[int], split: Literal["validation", "test"]) -> "Unseen":
        """`predicts` are the members that the run answers by."""
        members = tuple(experiment.members[index] for index in predicts)
        if split == "validation" and members[0].fold is not None:
            together = [tuple(each for each in members if each.fold == fold.index) for fold in experiment.folds]
        else:
            together = [members]
        shares = [Share(getattr(experiment.fold_of(each[0]).rows, split), each) for each in together if each]
        return cls(experiment, tuple(shares))

    @property
    def members(self) -> tuple[MemberSpec, ...]:
        return tuple(member for share in self.shares for member in share.members)

    @property
    def rows(self) -> int:
        return sum(len(share.rows) for share in self.shares)

    @cached_property
    def table(self) -> Table:
        """The rows themselves, share by share: the order of all that is said of them."""
        rows = torch.cat([share.rows for share in self.shares])
        return {name: take(column, rows) for name, column in self.experiment.table.items()}

    @property
    def target(self) -> Target:
        """The first member's: of folds each has scaled it by its own rows, and in its own unit all are the same."""
        return self.experiment.fold_of(self.members[0]).target

    def at_most(self, rows: int) -> "Unseen":
        """So many rows of all shares, drawn, each share with its part."""
        if self.rows <= rows:
            return self
        thinned = []
        for place, share in enumerate(self.shares):
            (order,) = permutations([key("unseen rows", place)], len(share.rows))
            drawn = order[: max(1, len(order) * rows // self.rows)].sort().values
            thinned.append(Share(share.rows[drawn.long()], share.members))
        return Unseen(self.experiment, tuple(thinned))

    def answers(self, table: Table, models: Mapping[int, Model]) -> Iterator[Tensor]:
        """[n, C or T] float64, block by block, of a table like `table`: its rows are answered share by share."""
        start = 0
        for share in self.shares:
            model, end = share.model(models), start + len(share.rows)
            for first in range(start, end, BLOCK):
                block = slice(first, min(first + BLOCK, end))
                prediction = model.predict({name: take(column, block) for name, column in table.items()})
                yield answers_of(prediction.target, prediction.outputs)
            start = end

    def baseline(self) -> Tensor:
        """[N, C or T]: the best answer that looks at no feature, as the train rows of each share's members give it."""
        found = [self._baseline(share).expand(len(share.rows), -1) for share in self.shares]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _baseline(self, share: Share) -> Tensor:
        """[1, C or T]"""
        folds = [(self.experiment.fold_of(member), member.loss) for member in share.members]
        parts = [baseline(fold.target, loss, fold.train.targets, 1) for fold, loss in folds]
        return halving_mean(torch.stack(parts), 0)


def without_hidden_layers(member: MemberSpec) -> MemberSpec:
    """The same member as linear or logistic regression, trained as it was."""
    return replace(member, network=NetworkSpec())
