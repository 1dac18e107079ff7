"""What there is to find out about a run: its own table again, split as it was, and its networks beside plainer ones."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal, cast

import torch
from torch import Tensor

from learning.assessment import assess
from learning.columns import Table
from learning.experiment import prepare
from learning.fitting import fit
from learning.importance import MOST_ROWS, REPEATS, Shuffling
from learning.keeping import Kept
from learning.model import Model
from learning.specs import columns_of
from learning.unseen import Unseen, without_hidden_layers
from store import weights
from store.analysing import Claim
from store.errors import BlobMissing
from workers.driving import Place

_MOST_SECONDS = 60.0  # that shuffling may be expected to take
_FEWEST_ROWS = 256  # however long these take
_ROW_SECONDS, _VALUE_SECONDS, _WEIGHT_SECONDS = 2e-6, 1e-8, 1e-10  # for a network's answer, as on one slow core


class Gone(Exception):
    """What the analysis is made of is no longer there."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Findings:
    def __init__(self, claim: Claim, place: Place, moved: Callable[[], None]) -> None:
        """`moved` is called now and then, and raises whatever is to end this."""
        self._claim = claim
        self._place = place
        self._moved = moved
        self._kept = self._weights()
        self._experiment = prepare(claim.spec, self._table())
        split = cast("Literal['validation', 'test']", claim.place.split)
        self._unseen = Unseen.of(self._experiment, self._kept.predicts, split)
        moved()

    def make(self) -> dict[str, Any]:
        """As JSON. Raises Gone."""
        return self._evaluation() if self._claim.place.kind == "evaluation" else self._importance()

    def _evaluation(self) -> dict[str, Any]:
        unseen = self._unseen
        encoded = unseen.target.encode(unseen.table)
        answers = self._answers(unseen, unseen.table, self._models)
        if any(member.network.layers for member in unseen.members):
            linear = self._linear()
            plain = None if linear is None else self._answers(unseen, unseen.table, linear)
        else:
            plain = answers  # it is that fit itself
        return assess(unseen.target, answers, encoded, baseline=unseen.baseline(), linear=plain)

    def _importance(self) -> dict[str, Any]:
        features = self._claim.spec["features"]
        unseen = self._unseen.at_most(self._affordable(len(features)))
        shuffling = Shuffling(
            lambda table: self._answers(unseen, table, self._models),
            unseen.target,
            unseen.table,
            features,
            torch.arange(unseen.rows),
        )
        return shuffling.told(list(shuffling.importances(self._claim.spec["seed"])))

    def _affordable(self, features: int) -> int:
        """How many rows can be looked at: every feature is shuffled, and each time all of them are encoded again."""
        together = max(len(share.members) for share in self._unseen.shares)
        parameters = max(sum(map(Tensor.numel, model.tensors.values())) for model in self._models.values())
        answer_seconds = together * (_ROW_SECONDS + features * _VALUE_SECONDS + parameters * _WEIGHT_SECONDS)
        return max(_FEWEST_ROWS, min(MOST_ROWS, int(_MOST_SECONDS / (REPEATS * features * answer_seconds))))

    def _answers(self, unseen: Unseen, table: Table, models: Mapping[int, Model]) -> Tensor:
        found = []
        for block in unseen.answers(table, models):
            found.append(block)
            self._moved()
        return torch.cat(found)

    @cached_property
    def _models(self) -> dict[int, Model]:
        return {index: cast("Model", self._kept.model(index)) for index in self._kept.predicts}

    def _linear(self) -> dict[int, Model] | None:
        """A fit without hidden layers for each member, as long as the run was trained; None if one does not succeed."""
        members = [without_hidden_layers(member) for member in self._unseen.members]
        folds = [self._experiment.fold_of(member) for member in members]
        for pulse in fit(members, [fold.data for fold in folds], threads=self._place.threads):
            self._moved()
            if pulse.epoch >= self._claim.epochs:
                break
        if any(each.status == "failed" or each.best is None for each in pulse.members):
            return None
        trained = pulse.trained()
        return {
            member.index: Model(fold.preprocessing, fold.target, member.network, trained.tensors(member.index))
            for member, fold in zip(members, folds, strict=True)
        }

    def _table(self) -> Table:
        blob = self._claim.dataset.blob
        assert blob is not None, "a dataset that a run has read has a table"
        try:
            path = self._place.blobs.local_path(blob)
        except BlobMissing:
            raise Gone("dataset_missing", "the dataset's table is no longer there") from None
        return self._place.tables.read(path, columns_of(self._claim.spec))

    def _weights(self) -> Kept:
        try:
            arrays, header = weights.unpack(self._place.blobs.get(self._claim.weights_blob))
        except BlobMissing:
            raise Gone("weights_missing", "the run's weights are no longer there") from None
        return Kept({name: torch.from_numpy(array) for name, array in arrays.items()}, header)
