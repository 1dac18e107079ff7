"""One layer of K networks at once: h = y W + b, normalized if it is to be, then the activation, then dropout.

A batch comes as blocks of at most 512 rows; all but batch normalization takes them one by one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from learning.activations import ACTIVATIONS
from learning.batches import Block
from learning.layout import LayerLayout
from learning.normalization import NORMALIZATIONS, Normalization

CONTRACTION = 512  # the longest sum inside one matrix product; from about 800 on, MKL cuts it up by thread


class Layer:
    """With room for the outputs of `blocks` blocks of `rows` rows."""

    def __init__(self, index: int, layout: LayerLayout, weights: Tensor, rows: int, blocks: int) -> None:
        members = weights.shape[0]
        self.index = index
        self.layout = layout
        self.weight, self.bias = layout.weight(weights), layout.bias(weights)
        self.activation = ACTIVATIONS[layout.activation]
        self.mask = layout.mask(weights)
        self.outputs = [weights.new_empty(members, rows, layout.padded_units) for _ in range(blocks)]
        # The sums h, in tensors of their own only where the slope is not had from the outputs.
        self.sums = [torch.empty_like(y) for y in self.outputs] if self.activation.keeps_sums else self.outputs
        # What the next layer is fed: outputs with some dropped, or as they are.
        self.thinned = [torch.empty_like(y) for y in self.outputs] if layout.dropout else self.outputs
        self.normalization: Normalization | None = None
        if layout.normalization is not None:
            self.normalization = NORMALIZATIONS[layout.normalization](layout, weights)

    def forward(self, inputs: Sequence[Tensor], batch: Sequence[Block] | None) -> Sequence[Tensor]:
        """Blocks [K, rows, padded in] → [K, rows, padded units], in tensors that the next call overwrites."""
        count = len(inputs)
        sums, outputs = self.sums[:count], self.outputs[:count]
        for y, h in zip(inputs, sums, strict=True):
            affine(y, self.weight, self.bias, out=h)
        if self.normalization is not None:
            self.normalization.forward(sums, batch)
        for h, out in zip(sums, outputs, strict=True):
            if h is not out:
                out.copy_(h)
            self.activation.forward(out, self.mask)
        if batch is None or not self.layout.dropout:
            return outputs
        for out, block, thinned in zip(outputs, batch, self.thinned, strict=False):
            torch.mul(out, block.kept[self.index], out=thinned)
        return self.thinned[:count]

    def backward(self, deltas: Sequence[Tensor], batch: Sequence[Block]) -> tuple[Tensor, Tensor] | None:
        """Turn ∂E/∂(what the next layer was fed) into ∂E/∂h in place; ∂E/∂scale and ∂E/∂shift where there are such."""
        for delta, block, h in zip(deltas, batch, self.sums, strict=False):
            if self.layout.dropout:
                delta.mul_(block.kept[self.index])
            self.activation.backward(delta, h)
        return None if self.normalization is None else self.normalization.backward(deltas, batch)


def affine(y: Tensor, weight: Tensor, bias: Tensor | None, *, out: Tensor) -> None:
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
