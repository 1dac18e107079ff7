"""A trained network with its own preprocessing, or several that answer together: raw columns in, answers out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from learning.columns import Table
from learning.conformal import Calibration
from learning.features import CategoricalFeature
from learning.network import Predictor
from learning.preprocessing import Preprocessing
from learning.specs import NetworkSpec
from learning.sums import halving_mean
from learning.targets import Target
from learning.vocabulary import Value


@dataclass(frozen=True, eq=False)
class Prediction:
    """Of N rows: `outputs` [N, width], logits or scaled values as a network gives them, and what they mean."""

    target: Target
    outputs: Tensor

    def values(self) -> Tensor:
        """[N, T] float64: a regression's numbers, in their own units."""
        return self.target.numbers(self.outputs)

    def labels(self) -> list[Value]:
        """The likeliest class of each row, in the JSON type of its column."""
        classes = self.target.classes
        assert classes is not None, "only a target of classes has labels"
        return [classes[index] for index in self.target.choices(self.outputs).tolist()]

    def probabilities(self) -> Tensor:
        """[N, C] float64, in the order of the target's outcomes; a binary target has two columns."""
        return self.target.probabilities(self.outputs)

    def predictions(self) -> list[Any]:
        """As the API answers: a number (an array where the target is a list), a label, or an array of booleans."""
        if self.target.classes is not None:
            return self.labels()
        values = self.target.choices(self.outputs).bool() if self.target.task == "multilabel" else self.values()
        found: list[Any] = (values if self.target.listed else values[:, 0]).tolist()
        return found


@dataclass(frozen=True, eq=False)
class Model:
    """One member: `tensors` are its own, `layers.<i>.weight` [in, out] and `layers.<i>.bias` [out]."""

    preprocessing: Preprocessing
    target: Target
    network: NetworkSpec
    tensors: Mapping[str, Tensor]
    calibration: Calibration | None = None  # how far off its answers may be, where that was learned

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Name and type of every feature, in order, with the categories that were known at training."""
        return [
            {"name": feature.name, "type": feature.type}
            | ({"categories": list(feature.vocabulary.categories)} if isinstance(feature, CategoricalFeature) else {})
            for feature in self.preprocessing.fitted
        ]

    @property
    def is_finite(self) -> bool:
        """False of a member that failed before it had weights to keep."""
        return all(bool(tensor.isfinite().all()) for tensor in self.tensors.values())

    def predict(self, columns: Table) -> Prediction:
        """A row's answer is the same bytes whatever rows come with it. Raises UnusableColumn as `encode` does."""
        return self.answer(self.preprocessing.encode(columns))

    def answer(self, inputs: Tensor) -> Prediction:
        """To rows that are encoded by its own preprocessing."""
        return Prediction(self.target, self._forward(inputs))

    @cached_property
    def _forward(self) -> Predictor:
        return Predictor(self.network, self.tensors)


@dataclass(frozen=True, eq=False)
class MeanModel:
    """Several networks for one question: the members of an ensemble, or one setting's folds."""

    parts: tuple[Model, ...]
    calibration: Calibration | None = None

    @property
    def target(self) -> Target:
        return self.parts[0].target

    @property
    def inputs(self) -> list[dict[str, Any]]:
        return self.parts[0].inputs

    @property
    def is_finite(self) -> bool:
        return all(part.is_finite for part in self.parts)

    def predict(self, columns: Table) -> Prediction:
        """As a `Model` does; rows are encoded once for all networks that share a preprocessing."""
        every = {id(part.preprocessing): part.preprocessing for part in self.parts}
        inputs = {key: preprocessing.encode(columns) for key, preprocessing in every.items()}
        return mean_prediction([part.answer(inputs[id(part.preprocessing)]) for part in self.parts])


SMALLEST = torch.finfo(torch.float64).tiny


def mean_prediction(parts: Sequence[Prediction]) -> Prediction:
    """The mean of probabilities, or of values in their own units, as the outputs of the one network that says it.

    Such outputs, in the first one's target, are z = log p of each class, z = log(p / (1 - p)) of a yes or no, and
    (y - shift) / scale of a value y, or its logarithm where that is the link.
    """
    target = parts[0].target
    if target.task == "regression":
        return Prediction(target, target.outputs_of(halving_mean(torch.stack([each.values() for each in parts]), 0)))
    p = _mean_probabilities(parts)
    if target.task == "multiclass":
        return Prediction(target, p.log())
    if target.task == "binary":
        return Prediction(target, (p[:, 1:] / p[:, :1]).log())
    # 1 - p has its own precision where it is the sigmoid of the negative: near 1 nothing would be left of it.
    q = _mean_probabilities([Prediction(each.target, -each.outputs) for each in parts])
    return Prediction(target, (p / q).log())


def _mean_probabilities(parts: Sequence[Prediction]) -> Tensor:
    return halving_mean(torch.stack([each.probabilities() for each in parts]), 0).clamp_(min=SMALLEST)
