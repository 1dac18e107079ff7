"""A trained network with its own preprocessing, or several that answer together: raw columns in, answers out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from learning.cells import Cells, Row
from learning.columns import Table
from learning.conformal import Calibration
from learning.features import CategoricalFeature
from learning.network import BLOCK_ROWS, Predictor
from learning.preprocessing import Preprocessing
from learning.specs import NetworkSpec
from learning.sums import halving_mean
from learning.targets import Target
from learning.vocabulary import Value

SMALLEST = torch.finfo(torch.float64).tiny
_HELD_NUMBERS = 1 << 20  # of several networks' outputs held at a time: rows are answered in pieces


@dataclass(frozen=True, eq=False)
class Prediction:
    """Of N rows: `outputs` [N, width], logits or scaled values as a network gives them, and what they mean."""

    target: Target
    outputs: Tensor

    def each(self) -> "list[Prediction]":
        """Of the rows one by one."""
        rows = self.outputs.shape[0]
        return [self] if rows == 1 else [Prediction(self.target, self.outputs[row : row + 1]) for row in range(rows)]

    def overflowed(self) -> list[int]:
        """Return the rows that have no answer: inside the network a number was past float32."""
        numbers = self.outputs.numpy()
        if numbers.size and -math.inf < numbers.min() and numbers.max() < math.inf:  # false of NaN
            return []
        rows: list[int] = self.outputs.isfinite().all(1).logical_not().nonzero().flatten().tolist()
        return rows

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
        found = self.answers()
        told: list[Any] = found if isinstance(found, list) else found.tolist()
        return told

    def answers(self) -> Any:
        """The same, several numbers or booleans as numpy has them: what encodes them needs no object for each."""
        if self.target.classes is not None:
            return self.labels()
        if self.target.task == "multilabel":
            found = self.target.choices(self.outputs).bool().numpy()
        elif self.target.link == "log":
            found = self.values().numpy()
        elif self.outputs.numel() == 1 and not self.target.listed:
            (scale,), (shift,) = self.target.scale, self.target.shift
            return [self.outputs.item() * scale + shift]
        else:
            # The same arithmetic as `values`, which of few would be three operations of torch.
            scales, shifts = self.target.units
            found = self.outputs.numpy() * scales + shifts
        return found if self.target.listed else found.reshape(-1)


class Inputs(list[dict[str, Any]]):
    """Of one model, and not to be changed: who reads rows for it may keep what that takes as long as they live."""

    @cached_property
    def are_numbers(self) -> bool:
        return all(each["type"] == "numeric" for each in self)


@dataclass(frozen=True, eq=False)
class Model:
    """One member: `tensors` are its own, `layers.<i>.weight` [in, out] and `layers.<i>.bias` [out]."""

    preprocessing: Preprocessing
    target: Target
    network: NetworkSpec
    tensors: Mapping[str, Tensor]
    calibration: Calibration | None = None  # how far off its answers may be, where that was learned

    @cached_property
    def inputs(self) -> Inputs:
        """Name and type of every feature, in order, with the categories that were known at training."""
        return Inputs(
            {"name": feature.name, "type": feature.type}
            | ({"categories": list(feature.vocabulary.categories)} if isinstance(feature, CategoricalFeature) else {})
            for feature in self.preprocessing.fitted
        )

    @cached_property
    def size(self) -> int:
        """How many numbers its weights are."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    @cached_property
    def widest(self) -> int:
        """How many numbers a row is at most, on its way from the features to the answer."""
        return max(len(self.preprocessing.fitted), self.preprocessing.width, self.target.width)

    @property
    def is_finite(self) -> bool:
        """False of a member that failed before it had weights to keep."""
        return all(bool(tensor.isfinite().all()) for tensor in self.tensors.values())

    def predict(self, columns: Table | Cells | Row) -> Prediction:
        """A row's answer is the same bytes whatever rows come with it. Raises UnusableColumn as `encode` does."""
        if isinstance(columns, Row):
            return self.predict_together([columns])
        return self.answer(self.preprocessing.encode(columns))

    def predict_together(self, rows: Sequence[Row]) -> Prediction:
        """Of at most FEW_ROWS rows."""
        return Prediction(self.target, self._forward([self.preprocessing.encode_row(row) for row in rows]))

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
    def inputs(self) -> Inputs:
        return self.parts[0].inputs

    @cached_property
    def size(self) -> int:
        """How many numbers the weights of all of them are."""
        return sum(part.size for part in self.parts)

    @cached_property
    def widest(self) -> int:
        """How many numbers a row is at most, on its way from the features to the answer."""
        return max(self.target.width * len(self.parts), *(part.widest for part in self.parts))

    @property
    def is_finite(self) -> bool:
        return all(part.is_finite for part in self.parts)

    def predict(self, columns: Table | Cells | Row) -> Prediction:
        """As a `Model` does; rows are encoded once for all networks that share a preprocessing."""
        return self._answer({key: each.encode(columns) for key, each in self._preprocessings.items()})

    def predict_together(self, rows: Sequence[Row]) -> Prediction:
        """Of a few rows."""
        several = {key: torch.cat([each.encode(row) for row in rows]) for key, each in self._preprocessings.items()}
        return self._answer(several)

    @property
    def _preprocessings(self) -> dict[int, Preprocessing]:
        return {id(part.preprocessing): part.preprocessing for part in self.parts}

    def _answer(self, inputs: Mapping[int, Tensor]) -> Prediction:
        """To rows encoded by each preprocessing, by its id."""
        rows = len(next(iter(inputs.values())))
        widest = self.target.width * len(self.parts)
        piece = max(BLOCK_ROWS, _HELD_NUMBERS // widest // BLOCK_ROWS * BLOCK_ROWS)
        found = [
            self._mean({key: each[start : start + piece] for key, each in inputs.items()})
            for start in range(0, max(rows, 1), piece)
        ]
        return found[0] if len(found) == 1 else Prediction(self.target, torch.cat([each.outputs for each in found]))

    def _mean(self, inputs: Mapping[int, Tensor]) -> Prediction:
        """Of rows encoded by each preprocessing, by its id."""
        if len(self._stacks) == 1:
            ((_, predictor),) = self._stacks
            outputs = predictor.each(_stacked(self.parts, inputs))
        else:
            rows = len(next(iter(inputs.values())))
            outputs = torch.empty(len(self.parts), rows, self.target.width)
            for places, predictor in self._stacks:
                outputs[places] = predictor.each(_stacked([self.parts[place] for place in places], inputs))
        return _mean([part.target for part in self.parts], outputs)

    @cached_property
    def _stacks(self) -> list[tuple[list[int], Predictor]]:
        """The parts whose networks are of one shape, computed together."""
        places: dict[NetworkSpec, list[int]] = {}
        for place, part in enumerate(self.parts):
            places.setdefault(part.network, []).append(place)
        return [
            (some, Predictor(network, *(self.parts[place].tensors for place in some)))
            for network, some in places.items()
        ]


def _stacked(parts: Sequence[Model], inputs: Mapping[int, Tensor]) -> Tensor:
    """[N, F] where all have one preprocessing, else [K, N, F]."""
    keys = [id(part.preprocessing) for part in parts]
    return inputs[keys[0]] if len(set(keys)) == 1 else torch.stack([inputs[key] for key in keys])


def mean_prediction(parts: Sequence[Prediction]) -> Prediction:
    """The mean of probabilities, or of values in their own units, as the outputs of the one network that says it.

    Such outputs, in the first one's target, are z = log p of each class, z = log(p / (1 - p)) of a yes or no, and
    (y - shift) / scale of a value y, or its logarithm where that is the link.
    """
    return _mean([each.target for each in parts], torch.stack([each.outputs for each in parts]))


def _mean(targets: Sequence[Target], outputs: Tensor) -> Prediction:
    """Of K networks' targets and outputs [K, N, width]."""
    target = targets[0]
    if target.task == "regression":
        return Prediction(target, target.outputs_of(halving_mean(_each(Target.numbers, targets, outputs), 0)))
    p = _mean_probabilities(targets, outputs)
    if target.task == "multiclass":
        return Prediction(target, p.log())
    if target.task == "binary":
        return Prediction(target, (p[:, 1:] / p[:, :1]).log())
    # 1 - p has its own precision where it is the sigmoid of the negative: near 1 nothing would be left of it.
    return Prediction(target, (p / _mean_probabilities(targets, -outputs)).log())


def _mean_probabilities(targets: Sequence[Target], outputs: Tensor) -> Tensor:
    return halving_mean(_each(Target.probabilities, targets, outputs), 0).clamp_(min=SMALLEST)


def _each(say: Callable[[Target, Tensor], Tensor], targets: Sequence[Target], outputs: Tensor) -> Tensor:
    """[K, N, …] of what each target says to its outputs; those that have one target together."""
    several: dict[int, list[int]] = {}
    for place, target in enumerate(targets):
        several.setdefault(id(target), []).append(place)
    said = []
    for some in several.values():
        own = outputs if len(several) == 1 else outputs[some]
        found = say(targets[some[0]], own.flatten(0, 1))
        said.append(found.view(len(some), -1, found.shape[1]))
    if len(said) == 1:
        return said[0]
    order = torch.tensor([place for some in several.values() for place in some])
    return torch.empty_like(together := torch.cat(said)).index_copy_(0, order, together)
