"""The best answer that looks at no feature: what a model must beat to have learned anything.

task                    the answer for every row, of the train rows
regression              the mean of each target; with absolute_error the median, which is the least there
binary, multiclass      each class's share of them, so the commonest is chosen
multilabel              of each target, the share that is true
"""

import torch
from torch import Tensor

from learning.answers import truth_of
from learning.quantiles import quantiles
from learning.sums import halving_mean, in_units
from learning.targets import Target


def baseline(target: Target, loss: str, train: Tensor, rows: int) -> Tensor:
    """Answers [rows, C or T] fitted on the encoded targets of the train rows."""
    truth = truth_of(target, train)
    match target.task:
        case "regression":
            near, unit = in_units(truth)  # a sum of numbers near the largest float64 is past it
            answer = quantiles(truth, [0.5])[0] if loss == "absolute_error" else halving_mean(near, 0) * unit
            answer = torch.where((truth == truth[0]).all(0), truth[0], answer)  # a mean of equal numbers may be rounded
        case "multilabel":
            answer = truth.sum(0).double() / len(truth)
        case _:
            answer = torch.bincount(truth, minlength=len(target.classes or ())).double() / len(truth)
    return answer.expand(rows, -1)
