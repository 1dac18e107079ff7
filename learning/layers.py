"""One layer of K networks at once: h = y W + b, normalized if it is to be, then the activation, then dropout.

A batch comes as blocks of at most 512 rows; all but batch normalization takes them one by one.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from learning.activations import ACTIVATIONS
from learning.batches import Block
from learning.layout import OUTPUT_ACTIVATION, LayerLayout
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
        self.outputs: Sequence[Tensor] = [weights.new_empty(members, rows, layout.padded_units) for _ in range(blocks)]
        # The sums h, in tensors of their own only where the slope is not had from the outputs.
        self.sums: Sequence[Tensor] = (
            [torch.empty_like(y) for y in self.outputs] if self.activation.keeps_sums else self.outputs
        )
        # What the next layer is fed in training: outputs with some dropped, or as they are.
        self.thinned: Sequence[Tensor] = [torch.empty_like(y) for y in self.outputs] if layout.dropout else self.outputs
        self.normalization: Normalization | None = None
        if layout.normalization is not None:
            self.normalization = NORMALIZATIONS[layout.normalization](layout, weights)

    def lay_out(self, rooms: Sequence[Tensor]) -> None:
        """Let the outputs of a plain layer, the last one, go to these tensors from now on."""
        self.outputs = self.sums = self.thinned = rooms

    def forward(self, inputs: Sequence[Tensor], batch: Sequence[Block] | None) -> Sequence[Tensor]:
        """Blocks [K, rows, padded in] → [K, rows, padded units], in tensors that the next call overwrites."""
        for place, y in enumerate(inputs):
            affine(y, self.weight, self.bias, out=self.sums[place])
        if self.normalization is not None:
            self.normalization.forward(self.sums[: len(inputs)], batch)
        for place in range(len(inputs)):
            out = self.outputs[place]
            if self.activation.keeps_sums:
                out.copy_(self.sums[place])
            self.activation.forward(out, self.mask)
            if self.layout.dropout and batch is not None:
                torch.mul(out, batch[place].kept[self.index], out=self.thinned[place])
        fed = self.outputs if batch is None else self.thinned
        return fed if len(fed) == len(inputs) else fed[: len(inputs)]

    def steps(self, y: Tensor) -> Iterator[Callable[[], object]]:
        """What `forward` does to one block without a batch, to be done again whenever `y` has changed."""
        sums, out = self.sums[0], self.outputs[0]
        if y.shape[2] <= CONTRACTION:
            yield partial(torch.baddbmm, self.bias, y, self.weight, out=sums)
        else:
            yield partial(affine, y, self.weight, self.bias, out=sums)
        if self.normalization is not None:
            yield partial(self.normalization.forward, [sums], None)
        if self.activation.keeps_sums:
            yield partial(out.copy_, sums)
        if self.layout.activation != OUTPUT_ACTIVATION:
            yield partial(self.activation.forward, out, self.mask)

    def backward(self, deltas: Sequence[Tensor], batch: Sequence[Block]) -> tuple[Tensor, Tensor] | None:
        """Turn ∂E/∂(what the next layer was fed) into ∂E/∂h in place; ∂E/∂scale and ∂E/∂shift where there are such."""
        for place, block in enumerate(batch):
            if self.layout.dropout:
                deltas[place].mul_(block.kept[self.index])
            self.activation.backward(deltas[place], self.sums[place])
        return None if self.normalization is None else self.normalization.backward(deltas[: len(batch)], batch)


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
