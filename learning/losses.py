"""What is minimised, example by example, and its gradient with respect to the outputs.

    loss                   outputs z            targets t         of one example
    squared_error          scaled values        numbers [.., T]   Σ (z - t)² / T, without a half
    absolute_error         scaled values        numbers [.., T]   Σ |z - t| / T
    huber                  scaled values        numbers [.., T]   Σ e² / 2 where e = |z - t| < 1, else e - 1/2, over T
    poisson                log of the mean      counts [.., T]    Σ e^z - t z, over T: its least is at e^z = t
    binary_cross_entropy   logits               0 or 1 [.., T]    Σ -t log p - (1 - t) log(1 - p), over T
    cross_entropy          a logit per class    class [..]        -log softmax(z)_t

with p = 1 / (1 + e^-z).

Label smoothing ε (Szegedy et al., 2016) compares with targets that are less sure of themselves. Of 0 or 1, t becomes
t (1 - ε) + ε / 2; a class becomes 1 - ε + ε / C, and each other of the C classes ε / C. A weight is of the class that
the row had.

A batch's loss is the mean over its rows, Σwl / Σw: each row comes with its share w / Σw, and padding rows with none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from learning.layout import pad_last, padded, unit_mask
from learning.sums import halving_mean, halving_sum


def example_losses(loss: str, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Outputs [..., N, T] without padding, targets [N, T] (or [N], classes) or of the same leading axes → [..., N]."""
    return loss_of(loss, smoothing).examples(outputs, targets)


def mean_loss(losses: Tensor, weights: Tensor | None) -> Tensor:
    """[..., N] → [...]: Σl / N, or with weights [N] float64 Σwl / Σw in float64."""
    if weights is None:
        return halving_mean(losses, -1)
    return halving_sum(losses * weights, -1) / halving_sum(weights, 0)


@dataclass(frozen=True)
class Loss:
    """`examples` as above. `pad` makes targets into what `gradient` compares with, [..., padded T].

    `gradient(z, t, mask, out)` writes ∂(one example's loss)/∂z for padded z into `out`, zero where `mask.ones` is.
    """

    examples: Callable[[Tensor, Tensor], Tensor]
    pad: Callable[[Tensor, int, torch.dtype], Tensor]
    gradient: Callable[[Tensor, Tensor, "OutputMask", Tensor], None]


def loss_of(name: str, smoothing: float = 0.0) -> Loss:
    """The loss with its labels smoothed. Without smoothing, and where there are no labels, it is the plain one itself,
    so that no bit of it is another.
    """
    plain = LOSSES[name]
    if not smoothing:
        return plain
    match name:
        case "binary_cross_entropy":
            examples, pad = _smoothed_binary_cross_entropies, _pad_smoothed_numbers
        case "cross_entropy":
            examples, pad = _smoothed_cross_entropies, _pad_smoothed_classes
        case _:
            return plain
    return Loss(partial(examples, smoothing=smoothing), partial(pad, smoothing=smoothing), plain.gradient)


class OutputMask:
    """Which of the padded outputs are real: `ones` [padded T] is 1 there and 0 elsewhere, `penalty` 0 and -∞."""

    def __init__(self, units: int, like: Tensor) -> None:
        self.units = units
        self.ones = unit_mask(units, like)
        self.penalty = self.ones.log()


def _squared_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    return halving_mean((outputs - targets).square(), -1)


def _squared_error_gradient(z: Tensor, t: Tensor, mask: OutputMask, out: Tensor) -> None:
    """2 (z - t) / T; padded outputs and targets are both zero."""
    torch.sub(z, t, out=out).mul_(2.0 / mask.units)


def _absolute_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    return halving_mean((outputs - targets).abs_(), -1)


def _absolute_error_gradient(z: Tensor, t: Tensor, mask: OutputMask, out: Tensor) -> None:
    """The sign of z - t, over T; none where they are equal."""
    torch.sub(z, t, out=out).sign_().div_(mask.units)


def _huber_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """With e = |z - t| and c = min(e, 1): c (e - c / 2)."""
    errors = (outputs - targets).abs_()
    near = errors.clamp(max=1.0)
    return halving_mean(errors.sub_(near, alpha=0.5).mul_(near), -1)


def _huber_gradient(z: Tensor, t: Tensor, mask: OutputMask, out: Tensor) -> None:
    """What z - t is between -1 and 1, and these beyond; over T."""
    torch.sub(z, t, out=out).clamp_(-1.0, 1.0).div_(mask.units)


def _poisson_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    return halving_mean(outputs.exp().sub_(outputs * targets), -1)


def _poisson_gradient(z: Tensor, t: Tensor, mask: OutputMask, out: Tensor) -> None:
    """(e^z - t) / T"""
    torch.exp(z, out=out).mul_(mask.ones).sub_(t).div_(mask.units)


def _binary_cross_entropies(outputs: Tensor, targets: Tensor) -> Tensor:
    """max(z, 0) - z t + log(1 + e^-|z|), which never overflows."""
    return halving_mean(outputs.clamp(min=0.0) - outputs * targets + outputs.abs().neg_().exp_().log1p_(), -1)


def _binary_cross_entropy_gradient(z: Tensor, t: Tensor, mask: OutputMask, out: Tensor) -> None:
    """(p - t) / T, with p = 1 / (1 + e^-z)."""
    torch.neg(z, out=out).exp_().add_(1.0)
    torch.div(mask.ones, out, out=out).sub_(t)
    if mask.units > 1:
        out.div_(mask.units)


def _cross_entropies(outputs: Tensor, targets: Tensor) -> Tensor:
    """Stable: log Σ e^(z - z_max) - (z_t - z_max)."""
    centred = outputs - outputs.amax(-1, keepdim=True)
    chosen = centred.gather(-1, targets.expand(centred.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    return halving_sum(centred.exp_(), -1).log_().sub_(chosen)


def _smoothed_cross_entropies(outputs: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
    """With c = z - z_max: log Σ e^c - (1 - ε) c_t - ε Σ c / C."""
    centred = outputs - outputs.amax(-1, keepdim=True)
    chosen = centred.gather(-1, targets.expand(centred.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    certain, shared = chosen.mul_(1.0 - smoothing), halving_mean(centred, -1).mul_(smoothing)
    return halving_sum(centred.exp_(), -1).log_().sub_(certain).sub_(shared)


def _smoothed_binary_cross_entropies(outputs: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
    return _binary_cross_entropies(outputs, _smoothed(targets, smoothing))


def _smoothed(targets: Tensor, smoothing: float) -> Tensor:
    return (targets * (1.0 - smoothing)).add_(smoothing / 2.0)


def _cross_entropy_gradient(z: Tensor, t: Tensor, mask: OutputMask, out: Tensor) -> None:
    """softmax(z) - t, t being 1 at the class and 0 elsewhere; e^-∞ = 0 keeps padding out."""
    torch.add(z, mask.penalty, out=out)
    torch.softmax(out, -1, out=out).sub_(t)


def _pad_numbers(targets: Tensor, units: int, dtype: torch.dtype) -> Tensor:
    return pad_last(targets.to(dtype), padded(units))


# What stands for a target of 0, so that the gradient p - t of a network that is sure is no subnormal number: products
# with those take a hundred times as long. It changes no p above 1e-13.
FAINT = -1e-20


def _pad_classes(targets: Tensor, units: int, dtype: torch.dtype) -> Tensor:
    one_hot = torch.zeros(*targets.shape, padded(units), dtype=dtype, device=targets.device)
    one_hot[..., :units] = FAINT
    return one_hot.scatter_(-1, targets.unsqueeze(-1), 1.0)


def _pad_labels(targets: Tensor, units: int, dtype: torch.dtype) -> Tensor:
    return _pad_numbers(targets.to(dtype).masked_fill(targets == 0, FAINT), units, dtype)


def _pad_smoothed_numbers(targets: Tensor, units: int, dtype: torch.dtype, *, smoothing: float) -> Tensor:
    return _pad_numbers(_smoothed(targets.to(dtype), smoothing), units, dtype)


def _pad_smoothed_classes(targets: Tensor, units: int, dtype: torch.dtype, *, smoothing: float) -> Tensor:
    shares = torch.zeros(*targets.shape, padded(units), dtype=dtype, device=targets.device)
    shares[..., :units] = smoothing / units
    return shares.scatter_(-1, targets.unsqueeze(-1), 1.0 - smoothing + smoothing / units)


LOSSES = {
    "squared_error": Loss(_squared_errors, _pad_numbers, _squared_error_gradient),
    "absolute_error": Loss(_absolute_errors, _pad_numbers, _absolute_error_gradient),
    "huber": Loss(_huber_errors, _pad_numbers, _huber_gradient),
    "poisson": Loss(_poisson_errors, _pad_numbers, _poisson_gradient),
    "binary_cross_entropy": Loss(_binary_cross_entropies, _pad_labels, _binary_cross_entropy_gradient),
    "cross_entropy": Loss(_cross_entropies, _pad_classes, _cross_entropy_gradient),
}
