"""What a unit does with its sum h, and how the slope is had from what came out.

Only operations stand here whose every element is the same number wherever it lies in a tensor: torch's own sigmoid, for
one, computes the last few elements otherwise than the rest. `tests/learning/test_arithmetic.py` guards them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """`forward(h, mask)` turns sums h [K, B, units] into outputs in place, zero where `mask` [units] is zero.

    `backward(delta, y)` multiplies `delta` by the slope at the outputs y, in place: ∂E/∂y becomes ∂E/∂h.
    """

    forward: Callable[[Tensor, Tensor], None]
    backward: Callable[[Tensor, Tensor], None]


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


ACTIVATIONS = {
    "identity": Activation(_identity, _identity_slope),
    "sigmoid": Activation(_sigmoid, _sigmoid_slope),
    "tanh": Activation(_tanh, _tanh_slope),
    "relu": Activation(_relu, _relu_slope),
}
