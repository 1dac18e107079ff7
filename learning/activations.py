"""What a unit does with its sum h, and how the slope is had from what came out.

Only operations stand here whose every element is the same number wherever it lies in a tensor: torch's own sigmoid, for
one, computes the last few elements otherwise than the rest. `tests/learning/test_arithmetic.py` guards them.

    identity     h                              tanh         (e^h - e^-h) / (e^h + e^-h)
    sigmoid      s(h) = 1 / (1 + e^-h)          relu         max(0, h)
    softplus     log(1 + e^h)                   leaky_relu   h where h > 0, else h / 100
    silu         h s(h)                         elu          h where h > 0, else e^h - 1
    gelu         h Φ(h), Φ the normal distribution's cumulative function
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LEAK = 0.01

_aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """`forward(h, mask)` turns sums h [K, B, units] into outputs in place, zero where `mask` [units] is zero.

    `backward(delta, y)` multiplies `delta` by the slope at the outputs y, in place: ∂E/∂y becomes ∂E/∂h. Of a function
    that falls and rises, y does not tell h: its `backward` has the sums instead, and they must be kept.
    """

    forward: Callable[[Tensor, Tensor], None]
    backward: Callable[[Tensor, Tensor], None]
    keeps_sums: bool = False


def _identity(_h: Tensor, _mask: Tensor) -> None:
    """Output y = h."""


def _identity_slope(_delta: Tensor, _y: Tensor) -> None:
    """dy/dh = 1."""


def _sigmoid(h: Tensor, mask: Tensor) -> None:
    """Output y = 1 / (1 + e^-h), the lecture's e^(h-t) / (1 + e^(h-t)) with a threshold t as bias -t."""
    torch.div(mask, h.neg_().exp_().add_(1.0), out=h)


def _sigmoid_slope(delta: Tensor, y: Tensor) -> None:
    """dy/dh = (1 - y) y."""
    _aten.sigmoid_backward.grad_input(delta, y, grad_input=delta)


def _tanh(h: Tensor, _mask: Tensor) -> None:
    h.tanh_()


def _tanh_slope(delta: Tensor, y: Tensor) -> None:
    """dy/dh = 1 - y²."""
    _aten.tanh_backward.grad_input(delta, y, grad_input=delta)


def _relu(h: Tensor, _mask: Tensor) -> None:
    """Output y = max(0, h)."""
    h.relu_()


def _relu_slope(delta: Tensor, y: Tensor) -> None:
    """dy/dh = 1 where y > 0, else 0."""
    _aten.threshold_backward.grad_input(delta, y, 0.0, grad_input=delta)


def _leaky_relu(h: Tensor, _mask: Tensor) -> None:
    _aten.leaky_relu_(h, LEAK)


def _leaky_relu_slope(delta: Tensor, y: Tensor) -> None:
    """dy/dh = 1 where y > 0, else 1 / 100."""
    _aten.leaky_relu_backward.grad_input(delta, y, LEAK, True, grad_input=delta)


def _elu(h: Tensor, _mask: Tensor) -> None:
    """Output y = max(0, h) + e^min(0, h) - 1, of which one term is always zero."""
    below = h.clamp(max=0.0).expm1_()
    h.clamp_(min=0.0).add_(below)


def _elu_slope(delta: Tensor, y: Tensor) -> None:
    """dy/dh = 1 where y > 0, else e^h = y + 1."""
    delta.mul_(y.clamp(max=0.0).add_(1.0))


def _softplus(h: Tensor, mask: Tensor) -> None:
    """Output y = max(0, h) + log(1 + e^-|h|), which never overflows."""
    rest = h.abs().neg_().exp_().log1p_()
    h.clamp_(min=0.0).add_(rest).mul_(mask)


def _softplus_slope(delta: Tensor, y: Tensor) -> None:
    """dy/dh = s(h) = 1 - e^-y."""
    delta.mul_(y.neg().expm1_().neg_())


def _logistic(h: Tensor) -> Tensor:
    return h.neg().exp_().add_(1.0).reciprocal_()


def _silu(h: Tensor, _mask: Tensor) -> None:
    h.mul_(_logistic(h))


def _silu_slope(delta: Tensor, h: Tensor) -> None:
    """dy/dh = s + h s (1 - s)."""
    s = _logistic(h)
    delta.mul_((1.0 - s).mul_(h).add_(1.0).mul_(s))


def _normal_cumulative(h: Tensor) -> Tensor:
    """Φ(h) = (1 + erf(h / √2)) / 2"""
    return (h * math.sqrt(0.5)).erf_().add_(1.0).mul_(0.5)


def _gelu(h: Tensor, _mask: Tensor) -> None:
    h.mul_(_normal_cumulative(h))


def _gelu_slope(delta: Tensor, h: Tensor) -> None:
    """dy/dh = Φ(h) + h φ(h), with the normal density φ(h) = e^(-h²/2) / √(2π)."""
    density = (h * h).mul_(-0.5).exp_().mul_(1.0 / math.sqrt(2.0 * math.pi))
    delta.mul_(density.mul_(h).add_(_normal_cumulative(h)))


ACTIVATIONS = {
    "identity": Activation(_identity, _identity_slope),
    "sigmoid": Activation(_sigmoid, _sigmoid_slope),
    "tanh": Activation(_tanh, _tanh_slope),
    "relu": Activation(_relu, _relu_slope),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_slope),
    "elu": Activation(_elu, _elu_slope),
    "gelu": Activation(_gelu, _gelu_slope, keeps_sums=True),
    "silu": Activation(_silu, _silu_slope, keeps_sums=True),
    "softplus": Activation(_softplus, _softplus_slope),
}
