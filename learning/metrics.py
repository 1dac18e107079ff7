"""How good predictions are: in the target's own units, unweighted, as scikit-learn defines each.

Every sum over rows is of whole numbers or a `halving_sum`, so a member's metrics have the same bits whatever members
stand beside it and however many threads there are.
"""

import torch
from torch import Tensor

from learning.answers import chosen, questions, truth_of
from learning.losses import example_losses, mean_loss
from learning.ranking import Ranking
from learning.sums import halving_mean, halving_sum, in_units
from learning.tally import Tally
from learning.targets import Target

SMALLEST = torch.finfo(torch.float64).eps  # log_loss holds probabilities this far from 0 and 1, as scikit-learn's does


def per_epoch(target: Target, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
    """What is told of each epoch, each [K] float64 as `rounded`, of outputs [K, N, width] and N encoded targets.

    Classes: accuracy, of a multilabel target the share of rows in which every label is right. Regression: rmse, mae and
    r2, of several targets their plain mean.
    """
    if target.task == "regression":
        return {name: rounded(value) for name, value in _regression(target, outputs, encoded).items()}
    hits = target.choices(outputs) == truth_of(target, encoded)
    if target.task == "multilabel":
        hits = hits.all(-1)
    return {"accuracy": rounded(hits.sum(-1).double() / hits.shape[-1])}


def rounded(values: Tensor) -> Tensor:
    """Round float64 numbers to float32, in which metrics are kept; those past its range stay as they are."""
    limits = torch.finfo(torch.float32)
    size = values.abs()
    is_within = (size == 0) | (size >= limits.tiny) & (size <= limits.max)
    return torch.where(is_within, values.float().double(), values)


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
    truth = truth_of(target, encoded)
    return found | _classification(target, target.probabilities(outputs), target.choices(outputs), truth)


def metrics_of(target: Target, answers: Tensor, encoded: Tensor) -> dict[str, float]:
    """The same without the loss, of answers [N, C or T]: one network's, or the mean of several."""
    if target.task == "regression":
        measured = of_numbers(answers, truth_of(target, encoded))
        return {name: halving_mean(value, -1).item() for name, value in measured.items()}
    return _classification(target, answers, chosen(target, answers), truth_of(target, encoded))


def of_numbers(values: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """[..., T] float64 each, of [..., N, T] and [N, T] float64. With e = value - truth and n rows, one target has

        rmse = √(Σe² / n)    mae = Σ|e| / n    r2 = 1 - Σe² / Σ(truth - mean)²

    r2 of a constant truth is 1 where e is zero, else 0; of a single row it is undefined.
    """
    errors, unit = in_units(values - truth)
    squares = halving_sum(errors.square(), -2)
    count = len(truth)
    found = {"rmse": (squares / count).sqrt() * unit, "mae": halving_mean(errors.abs(), -2) * unit}
    if count > 1:
        near, other = in_units(truth)
        ratio = unit / other  # its square may be past float64
        spread = halving_sum((near - halving_mean(near, 0)).square(), 0)  # [T]
        constant = (truth == truth[0]).all(dim=0)
        found["r2"] = torch.where(constant, (squares == 0).double(), 1 - squares / spread * ratio * ratio)
    return found


def _regression(target: Target, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
    """[K] float64 each, of several targets their plain mean."""
    # The truth stays scaled: r2 does not mind, and the others are multiplied back.
    found = of_numbers(target.expected(outputs), encoded.double())
    scale = torch.tensor(target.scale, dtype=torch.float64, device=outputs.device)
    units = {"rmse": scale, "mae": scale}
    return {name: halving_mean(value * units.get(name, 1.0), -1) for name, value in found.items()}


def _classification(target: Target, probabilities: Tensor, choices: Tensor, truth: Tensor) -> dict[str, float]:
    tally = Tally.of(target, choices, truth)
    hits = (choices == truth).all(1) if target.task == "multilabel" else choices == truth
    found = {"accuracy": int(hits.sum()) / len(hits)}
    if (auc := _auc(target, probabilities, truth)) is not None:
        found["auc"] = auc
    found["log_loss"] = _log_loss(target, probabilities, truth)
    found["f1"] = tally.overall(tally.f1)
    return found


def _log_loss(target: Target, probabilities: Tensor, truth: Tensor) -> float:
    """-Σ log p(true class) / n; of labels the mean of what each has alone."""
    if target.task == "multilabel":
        of_truth = torch.where(truth > 0, probabilities, 1.0 - probabilities)
    else:
        of_truth = probabilities.gather(1, truth.unsqueeze(1))
    surprise = -of_truth.clamp(SMALLEST, 1 - SMALLEST).log()
    return halving_mean(halving_mean(surprise, 0), 0).item()


def _auc(target: Target, probabilities: Tensor, truth: Tensor) -> float | None:
    """The area under the ROC curve: of two classes the second's; of more, and of labels, their mean.

    None where one has no row, or all of them.
    """
    areas = []
    for _, scores, positive in questions(target, probabilities, truth):
        if not bool(positive.any()) or bool(positive.all()):
            return None
        areas.append(Ranking.of(scores, positive).area())
    return sum(areas) / len(areas)
