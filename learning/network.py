"""K networks of one layout at once: the forward pass, and the lecture's back-propagation written out.

With y⁰ the inputs [K, B, in] and, for layer l, weight Wˡ [K, in, out] and bias bˡ [K, 1, out]:

    forward     hˡ = yˡ⁻¹ Wˡ + bˡ          yˡ = g(hˡ)
    backward    δˡ = ∂E/∂hˡ                ∂E/∂Wˡ = (yˡ⁻¹)ᵀ δˡ      ∂E/∂bˡ = Σ over rows of δˡ
                δˡ⁻¹ = (δˡ (Wˡ)ᵀ) g'(hˡ⁻¹)

All widths are padded (see `layout`), and B is a multiple of 16.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from learning.activations import ACTIVATIONS
from learning.layout import Layout, padded
from learning.specs import NetworkSpec
from learning.threads import torch_threads
from learning.weights import flat_of

BLOCK_ROWS = 64
CONTRACTION = 512  # the longest sum inside one matrix product; from about 800 on, MKL cuts it up by thread


class Network:
    """The layers of `weights` [K, P], seen through views, with room for the outputs of `rows` rows at a time."""

    def __init__(self, layout: Layout, weights: Tensor, rows: int) -> None:
        members = weights.shape[0]
        self.layout = layout
        self.weights = [layer.weight(weights) for layer in layout.layers]
        self.biases = [layer.bias(weights) for layer in layout.layers]
        self.activations = [ACTIVATIONS[layer.activation] for layer in layout.layers]
        self.masks = [layer.mask(weights) for layer in layout.layers]
        self.outputs = [weights.new_empty(members, rows, layer.padded_units) for layer in layout.layers]
        # The sums h, in tensors of their own only where the slope is not had from the outputs.
        self.sums = [
            torch.empty_like(y) if activation.keeps_sums else y
            for y, activation in zip(self.outputs, self.activations, strict=True)
        ]

    def forward(self, inputs: Tensor, last: Tensor | None = None) -> Tensor:
        """[K, rows, padded in] → outputs [K, rows, padded out], in `last` or a tensor that the next call overwrites."""
        y = inputs
        if last is not None:
            self.outputs[-1] = self.sums[-1] = last
        for weight, bias, activation, mask, h, out in zip(
            self.weights, self.biases, self.activations, self.masks, self.sums, self.outputs, strict=True
        ):
            _affine(y, weight, bias, out=h)
            if h is not out:
                out.copy_(h)
            activation.forward(out, mask)
            y = out
        return y


class Gradient:
    """∂E/∂weights of a network: `flat` [K, P] after `backward` and `collect`."""

    def __init__(self, network: Network, flat: Tensor) -> None:
        self.network = network
        self.flat = flat
        self.weights = [torch.empty_like(weight, memory_format=torch.contiguous_format) for weight in network.weights]
        self.biases = [bias.new_empty(bias.shape[0], bias.shape[2]) for bias in network.biases]
        self.transposed = [weight.transpose(1, 2) for weight in network.weights]
        self.deltas = [torch.empty_like(y) for y in network.outputs]
        # Matrix products go to tensors of their own first: written into views of `flat`, torch would take another
        # path for many members than for one.
        self.parts = [
            part.view(part.shape[0], -1) for pair in zip(self.weights, self.biases, strict=True) for part in pair
        ]

    def backward(self, inputs: Tensor, *, add: bool) -> None:
        """From `deltas[-1]`, which the loss has written, down to the first layer; `add`s to what is there, or replaces.

        Call after `forward` of the same `inputs`, whose outputs are still in place.
        """
        for index in reversed(range(len(self.weights))):
            delta = self.deltas[index]
            below = self.network.outputs[index - 1] if index else inputs
            if add:
                self.weights[index].baddbmm_(below.transpose(1, 2), delta)
                self.biases[index].add_(delta.sum(1))
            else:
                torch.bmm(below.transpose(1, 2), delta, out=self.weights[index])
                torch.sum(delta, 1, out=self.biases[index])
            if index:
                _affine(delta, self.transposed[index], None, out=self.deltas[index - 1])
                self.network.activations[index - 1].backward(self.deltas[index - 1], self.network.sums[index - 1])

    def collect(self) -> Tensor:
        return torch.cat(self.parts, 1, out=self.flat)


def _affine(y: Tensor, weight: Tensor, bias: Tensor | None, *, out: Tensor) -> None:
    """Write y weight (+ bias) into `out`, the sum over `in` taken 512 at a time: so no thread count changes it."""
    width = y.shape[2]
    if width <= CONTRACTION:
        first, rest = (y, weight), range(0)
    else:
        first, rest = (y[:, :, :CONTRACTION], weight[:, :CONTRACTION]), range(CONTRACTION, width, CONTRACTION)
    if bias is None:
        torch.bmm(*first, out=out)
    else:
        torch.baddbmm(bias, *first, out=out)
    for start in rest:
        out.baddbmm_(y[:, :, start : start + CONTRACTION], weight[:, start : start + CONTRACTION])


def in_blocks(inputs: Tensor) -> Tensor:
    """[N, F] → [blocks, 64, padded F]: the blocks of rows in which outputs are computed, the last filled with zeros."""
    rows, width = inputs.shape
    blocks = -(-rows // BLOCK_ROWS)
    room = inputs.new_zeros(blocks * BLOCK_ROWS, padded(width))
    room[:rows, :width] = inputs
    return room.view(blocks, BLOCK_ROWS, padded(width))


def predict_blocks(network: NetworkSpec, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """One network's outputs [N, out] for encoded inputs [N, F]; `tensors` are its weights by name, unpadded.

    A row's outputs are the same bytes in whatever company, and on however many threads: every block is 64 rows of
    padded width, computed on one thread.
    """
    return Predictor(network, tensors)(inputs)


class Predictor:
    """`predict_blocks` for one network, its weights padded once. May be called from several threads at a time."""

    def __init__(self, network: NetworkSpec, tensors: Mapping[str, Tensor]) -> None:
        last = tensors[f"layers.{len(network.layers)}.weight"]
        self.layout = Layout.of(network, tensors["layers.0.weight"].shape[0], last.shape[1])
        self.weights = flat_of(self.layout, {name: tensor.unsqueeze(0) for name, tensor in tensors.items()})

    def __call__(self, inputs: Tensor) -> Tensor:
        rows = inputs.shape[0]
        found = inputs.new_empty(rows, self.layout.outputs)
        with torch_threads(1), torch.no_grad():
            network = Network(self.layout, self.weights, BLOCK_ROWS)
            for index, block in enumerate(in_blocks(inputs)):
                start = index * BLOCK_ROWS
                outputs = network.forward(block.unsqueeze(0))[0, :, : self.layout.outputs]
                found[start : start + BLOCK_ROWS] = outputs[: rows - start]
        return found
