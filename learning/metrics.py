"""How good predictions are: in the target's own units, unweighted, as scikit-learn defines each.

Every sum over rows is of whole numbers or a `halving_sum`, so a member's metrics have the same bits whatever members
stand beside it and however many threads there are.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from learning.losses import example_losses, mean_loss
from learning.sums import halving_mean, halving_sum
from learning.targets import Target

SMALLEST = torch.finfo(torch.float64).eps  # log_loss holds probabilities this far from 0 and 1, as scikit-learn's does


def per_epoch(target: Target, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
    """What is told of each epoch, each [K] float32, of outputs [K, N, width] and N encoded targets.

    Classes: accuracy, of a multilabel target the share of rows in which every label is right. Regression: rmse, mae and
    r2, of several targets their plain mean.
    """
    if target.task == "regression":
        return {name: value.float() for name, value in _regression(target, outputs, encoded).items()}
    hits = target.choices(outputs) == _codes(target, encoded)
    if target.task == "multilabel":
        hits = hits.all(-1)
    return {"accuracy": (hits.sum(-1).double() / hits.shape[-1]).float()}


def measure(
    target: Target,
    loss: str,
    outputs: Tensor,
    encoded: Tensor,
    weights: Tensor | None = None,
    *,
    smoothing: float = 0.0,
) -> dict[str, float]:
    """The loss and every metric of one member's outputs [N, width]. A metric that is undefined here has no key.

    `weights` [N] and `smoothing` are those of the loss, and of nothing else.
    """
    found = {"loss": mean_loss(example_losses(loss, outputs, encoded, smoothing), weights).item()}
    if target.task == "regression":
        measured = _regression(target, outputs.unsqueeze(0), encoded)
        return found | {name: value.item() for name, value in measured.items()}
    if target.task == "multilabel":
        return found | _multilabel(target, outputs, encoded)
    codes, choices = _codes(target, encoded), target.choices(outputs)
    found["accuracy"] = int((codes == choices).sum()) / len(codes)
    probabilities = target.probabilities(outputs)
    if (auc := _auc(probabilities, codes)) is not None:
        found["auc"] = auc
    found["log_loss"] = _log_loss(probabilities, codes)
    found["f1"] = _f1(target, choices, codes)
    return found


def _codes(target: Target, encoded: Tensor) -> Tensor:
    """[N] int64, the true classes; of a multilabel target [N, T], 0 or 1."""
    if target.task == "multilabel":
        return encoded.long()
    return encoded[:, 0].long() if target.task == "binary" else encoded


def _multilabel(target: Target, outputs: Tensor, encoded: Tensor) -> dict[str, float]:
    """Accuracy of whole rows; auc, log_loss and f1 are the plain mean over the labels of what each has alone."""
    truth, choices = encoded.long(), target.choices(outputs)
    found = {"accuracy": int((choices == truth).all(1).sum()) / len(truth)}
    there = truth.sum(0)
    if bool(((there > 0) & (there < len(truth))).all()):
        columns = zip(target.probabilities(outputs).unbind(1), truth.bool().unbind(1), strict=True)
        found["auc"] = _mean([_area(scores, positive) for scores, positive in columns])
    of_truth = target.probabilities(torch.where(truth > 0, outputs, -outputs))
    found["log_loss"] = _mean([_mean_surprise(column) for column in of_truth.unbind(1)])
    hits, either = (choices * truth).sum(0), choices.sum(0) + there
    found["f1"] = halving_mean(2 * hits.double() / either.clamp(min=1), 0).item()
    return found


def _regression(target: Target, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
    """[K] float64 each. With e = prediction - truth and a target's rows n, one target has

        rmse = √(Σe² / n)    mae = Σ|e| / n    r2 = 1 - Σe² / Σ(truth - mean)²

    r2 of a constant truth is 1 where e is zero, else 0; of a single row it is undefined.
    """
    scale = torch.tensor(target.scale, dtype=torch.float64, device=outputs.device)
    truth = encoded.double()  # [N, T], still scaled: r2 does not mind, and the others are multiplied back
    errors = target.expected(outputs) - truth  # [K, N, T]
    squares = halving_sum(errors.square(), 1)  # [K, T]
    count = len(truth)
    found = {
        "rmse": (squares / count).sqrt() * scale,
        "mae": halving_mean(errors.abs(), 1) * scale,
    }
    if count > 1:
        spread = halving_sum((truth - halving_mean(truth, 0)).square(), 0)  # [T]
        constant = (truth == truth[0]).all(dim=0)
        found["r2"] = torch.where(constant, (squares == 0).double(), 1 - squares / spread)
    return {name: halving_mean(value, -1) for name, value in found.items()}


def _log_loss(probabilities: Tensor, codes: Tensor) -> float:
    """-Σ log p(true class) / n"""
    return _mean_surprise(probabilities.gather(1, codes.unsqueeze(1)).squeeze(1))


def _mean_surprise(probabilities: Tensor) -> float:
    return -halving_mean(probabilities.clamp(SMALLEST, 1 - SMALLEST).log(), 0).item()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _auc(probabilities: Tensor, codes: Tensor) -> float | None:
    """The area under the ROC curve: of two classes, that of the second; of more, the mean of each against the rest.

    None where a class has no row, or all of them.
    """
    classes = probabilities.shape[1]
    if len(torch.unique(codes)) < classes:
        return None
    first = 1 if classes == 2 else 0
    areas = [_area(probabilities[:, index], codes == index) for index in range(first, classes)]
    return _mean(areas)


def _area(scores: Tensor, positive: Tensor) -> float:
    """The share of pairs (positive, negative) in which the positive has the higher score, a tie counted as half.

    Counted in whole numbers (twice the pairs, so that the half is whole), group by group of equal scores.
    """
    groups, group = torch.unique(scores, return_inverse=True)
    positives = torch.bincount(group[positive], minlength=len(groups))
    negatives = torch.bincount(group[~positive], minlength=len(groups))
    below = negatives.cumsum(0) - negatives
    twice = int((positives * (2 * below + negatives)).sum())
    return twice / (2 * int(positives.sum()) * int(negatives.sum()))


def _f1(target: Target, choices: Tensor, codes: Tensor) -> float:
    """2·hits / (chosen + true): of two classes, that of the second; of more, the mean over those chosen or true."""

    def count(chosen: Tensor) -> Tensor:
        return torch.bincount(chosen, minlength=len(target.classes or ()))

    hits, either = count(codes[codes == choices]), count(codes) + count(choices)
    if target.task == "binary":
        return 2 * int(hits[1]) / max(int(either[1]), 1)
    seen = either > 0
    return halving_mean(2 * hits[seen].double() / either[seen], 0).item()
