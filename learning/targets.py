"""What is to be predicted: raw target columns to what the loss compares with, and the network's outputs back again.

    task         encoded target           outputs [N, width]              width
    regression   [N, T] float32, scaled   scaled values                   T, the number of targets
    binary       [N, 1] float32, 0 or 1   one logit                       1
    multiclass   [N] int64, the class     a logit for each class          C, the number of classes
    multilabel   [N, T] float32, 0 or 1   a logit for each target         T, the number of targets

The scale of a regression target is fitted on the train rows. Counts, as the poisson loss takes them, are not scaled,
and the outputs are their logarithms: the link says so. The classes of a target are the column's own, all of them: which
classes there are belongs to the question, not to what was learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from learning.columns import Table, as_classes, as_numbers, column_of, present, recode, take, type_of
from learning.errors import UnusableColumn
from learning.scaling import moments
from learning.sums import halving_sum
from learning.vocabulary import Value

Task = Literal["regression", "binary", "multiclass", "multilabel"]
Link = Literal["identity", "log"]  # what a regression's output is of the (scaled) value that is predicted

LARGEST_EXPONENT = 709.0  # e to this is the last power that a float64 holds


@dataclass(frozen=True)
class Target:
    task: Task
    names: tuple[str, ...]
    listed: bool  # whether the target was named in a list; then a prediction is an array, of one number or more
    classes: tuple[Value, ...] | None  # of the one target of binary and multiclass
    shift: tuple[float, ...]  # a value in its own unit is output * scale + shift
    scale: tuple[float, ...]
    link: Link = "identity"

    @classmethod
    def fit(
        cls, columns: Table, names: str | Sequence[str], task: Task, rows: Tensor, link: Link = "identity"
    ) -> "Target":
        """Raises UnusableColumn for a target that is not in the table, or does not suit the task."""
        listed = not isinstance(names, str)
        several = tuple(names) if listed else (str(names),)
        if task == "regression" and link == "log":
            for name in several:
                _check_counts(name, _numbers(columns, name)[rows])
            return cls(task, several, listed, None, (0.0,) * len(several), (1.0,) * len(several), link)
        if task == "regression":
            found = [moments(_numbers(columns, name)[rows]) for name in several]
            shift = tuple(mean for mean, _ in found)
            return cls(task, several, listed, None, shift, tuple(deviation or 1.0 for _, deviation in found))
        if task == "multilabel":
            for name in several:
                _check_label(columns, name, rows_with_target(columns, several))
            return cls(task, several, listed, None, (), ())
        (name,) = several
        classes = as_classes(column_of(columns, name)).values
        if len(classes) < 2 or (task == "binary" and len(classes) > 2):
            raise UnusableColumn(name, f"has {len(classes)} classes, which is no {task} target")
        return cls(task, several, listed, classes, (), ())

    @property
    def width(self) -> int:
        """The number of output units."""
        if self.classes is None:
            return len(self.names)
        return 1 if self.task == "binary" else len(self.classes)

    @property
    def outcomes(self) -> tuple[Value, ...] | None:
        """What the columns of `probabilities` stand for: the classes, or the targets of a multilabel run, by name."""
        return self.names if self.task == "multilabel" else self.classes

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Name and type of every target, in order, with the classes that a prediction may be."""
        if self.task == "multilabel":
            return [{"name": name, "type": "boolean"} for name in self.names]
        if self.classes is None:
            return [{"name": name, "type": "numeric"} for name in self.names]
        boolean = all(isinstance(value, bool) for value in self.classes)
        kind = "boolean" if boolean else "categorical"
        return [{"name": self.names[0], "type": kind, "classes": list(self.classes)}]

    def encode(self, columns: Table, rows: Tensor | None = None) -> Tensor:
        """What the loss compares with: the table's rows, or the given ones in their order.

        Raises UnusableColumn where a row has no target, or a class that was not there at training.
        """
        if self.classes is None:
            values = torch.stack([_numbers(columns, name) for name in self.names], dim=1)
            values = values if rows is None else values[rows]
            if self.task == "multilabel":
                return self._encoded_labels(values)
            return ((values - self._shift) / self._scale).float()
        column = column_of(columns, self.names[0])
        found = as_classes(column if rows is None else take(column, rows))
        place = {value: index for index, value in enumerate(self.classes)}
        codes = recode(found, [place.get(value, -1) for value in found.values], missing=-1)
        if bool((codes < 0).any()):
            raise UnusableColumn(self.names[0], "is missing in a row, or has a class that was not there at training")
        return codes if self.task == "multiclass" else codes.float().unsqueeze(1)

    def _encoded_labels(self, values: Tensor) -> Tensor:
        for name, column in zip(self.names, values.unbind(1), strict=True):
            if not bool(((column == 0) | (column == 1)).all()):
                raise UnusableColumn(name, "is missing in a row, or neither true nor false")
        return values.float()

    def expected(self, outputs: Tensor) -> Tensor:
        """What outputs [..., T] of a regression predict of the encoded target, float64."""
        numbers = outputs.double()
        return numbers.clamp(max=LARGEST_EXPONENT).exp_() if self.link == "log" else numbers

    def numbers(self, outputs: Tensor) -> Tensor:
        """The same in the targets' own units."""
        return self.expected(outputs) * self._scale + self._shift

    def outputs_of(self, numbers: Tensor) -> Tensor:
        """The outputs [..., T] float64 that predict these numbers: the way back.

        A count that is not above zero, as a mean with other losses may be, is the least that has a logarithm.
        """
        scaled = (numbers - self._shift) / self._scale
        return scaled.clamp(min=torch.finfo(scaled.dtype).tiny).log() if self.link == "log" else scaled

    def choices(self, outputs: Tensor) -> Tensor:
        """[...] int64: the likeliest class of logits [..., width], the first where several are; of a multilabel target
        [..., T], 1 for each that is likelier true than not.
        """
        if self.task == "multilabel":
            return (outputs > 0).long()
        return (outputs[..., 0] > 0).long() if self.task == "binary" else outputs.argmax(-1)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """[N, C] float64: of logits [N, width], the sigmoid of one and of its negative, or the softmax of several; of a
        multilabel target [N, T], the sigmoid of each.

        Written so that exp never overflows, and each of the two columns of a binary target keeps its own precision.
        """
        logits = outputs.double()
        if self.task == "multilabel":
            return _logistic(logits)
        if self.task == "binary":
            return _logistic(torch.cat([-logits, logits], dim=1))
        # In place: of thousands of classes each copy is gigabytes.
        if logits is outputs:
            logits = logits.clone()
        powers = logits.sub_(logits.amax(dim=1, keepdim=True)).exp_()
        return powers.div_(halving_sum(powers, 1).unsqueeze(1))

    @cached_property
    def units(self) -> tuple[Any, Any]:
        """Scale and shift as numpy has them."""
        return self._scale.numpy(), self._shift.numpy()

    @cached_property
    def _shift(self) -> Tensor:
        return torch.tensor(self.shift, dtype=torch.float64)

    @cached_property
    def _scale(self) -> Tensor:
        return torch.tensor(self.scale, dtype=torch.float64)

    def to_json(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "names": list(self.names) if self.listed else self.names[0],
            "classes": None if self.classes is None else list(self.classes),
            "shift": list(self.shift),
            "scale": list(self.scale),
            "link": self.link,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Target":
        names, classes = found["names"], found["classes"]
        listed = not isinstance(names, str)
        return cls(
            task=found["task"],
            names=tuple(names) if listed else (names,),
            listed=listed,
            classes=None if classes is None else tuple(classes),
            shift=tuple(found["shift"]),
            scale=tuple(found["scale"]),
            link=found.get("link", "identity"),  # weights of before there were two have none
        )


def rows_with_target(columns: Table, names: str | Sequence[str]) -> Tensor:
    """[n] int64: the rows that have every target, in order."""
    several = (names,) if isinstance(names, str) else names
    there = torch.stack([present(column_of(columns, name)) for name in several])
    return there.all(dim=0).nonzero().squeeze(1)


def _logistic(logits: Tensor) -> Tensor:
    small = torch.exp(-logits.abs())
    return torch.where(logits >= 0, 1.0, small) / (1.0 + small)


def _check_label(columns: Table, name: str, rows: Tensor) -> None:
    column = take(column_of(columns, name), rows)
    if type_of(column) != "boolean":
        raise UnusableColumn(name, "is not of true and false, as each target of a multilabel run is")
    if len(as_classes(column).values) < 2:
        raise UnusableColumn(name, "is the same in every row that has all targets")


def _check_counts(name: str, numbers: Tensor) -> None:
    if not bool(((numbers >= 0) & (numbers == numbers.trunc())).all()):
        raise UnusableColumn(name, "holds numbers that are no counts, which the poisson loss needs")


def _numbers(columns: Table, name: str) -> Tensor:
    try:
        return as_numbers(column_of(columns, name)).values
    except TypeError:
        raise UnusableColumn(name, "holds text, which is no regression target") from None
