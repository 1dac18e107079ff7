"""Where each number of a network lies: every layer in one flat row of weights, widths padded to multiples of 16.

Matrix products of other widths round differently in company than alone, so that padding is what makes a member's bits
its own. A padded unit is held at zero by a mask; initial weights, hashes and stored files know true widths only.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from learning.specs import NetworkSpec

TILE = 16
OUTPUT_ACTIVATION = "identity"  # an un-activated last layer gives logits; the loss knows what they mean


def padded(count: int) -> int:
    """The next multiple of 16, and 16 where there is nothing."""
    return max(TILE, -(-count // TILE) * TILE)


@dataclass(frozen=True)
class LayerLayout:
    """A layer from `inputs` to `units` whose weight starts at `offset` in a member's row, its bias right behind."""

    inputs: int
    units: int
    activation: str
    offset: int

    @property
    def padded_inputs(self) -> int:
        return padded(self.inputs)

    @property
    def padded_units(self) -> int:
        return padded(self.units)

    @property
    def bias_offset(self) -> int:
        return self.offset + self.padded_inputs * self.padded_units

    @property
    def end(self) -> int:
        return self.bias_offset + self.padded_units

    def weight(self, flat: Tensor) -> Tensor:
        """The view [K, padded inputs, padded units] of `flat` [K, P]."""
        return flat[:, self.offset : self.bias_offset].view(-1, self.padded_inputs, self.padded_units)

    def bias(self, flat: Tensor) -> Tensor:
        """The view [K, 1, padded units] of `flat` [K, P]."""
        return flat[:, self.bias_offset : self.end].view(-1, 1, self.padded_units)

    def mask(self, like: Tensor) -> Tensor:
        """[padded units]: 1 for a unit, 0 for padding."""
        return unit_mask(self.units, like)


@dataclass(frozen=True)
class Layout:
    """The layers of a network between `inputs` encoded features and `outputs` logits."""

    layers: tuple[LayerLayout, ...]

    @classmethod
    def of(cls, network: NetworkSpec, inputs: int, outputs: int) -> "Layout":
        layers: list[LayerLayout] = []
        width, offset = inputs, 0
        for units, activation in (
            *((layer.units, layer.activation) for layer in network.layers),
            (outputs, OUTPUT_ACTIVATION),
        ):
            layers.append(LayerLayout(width, units, activation, offset))
            width, offset = units, layers[-1].end
        return cls(tuple(layers))

    @cached_property
    def stride(self) -> int:
        """P, the numbers of one member with padding: a multiple of 16, since each part is one."""
        return self.layers[-1].end

    @cached_property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @cached_property
    def outputs(self) -> int:
        return self.layers[-1].units


def unit_mask(units: int, like: Tensor) -> Tensor:
    return (torch.arange(padded(units), device=like.device) < units).to(like.dtype)


def pad_last(values: Tensor, width: int) -> Tensor:
    """`values` [..., n] with zeros behind, [..., width], contiguous."""
    return torch.nn.functional.pad(values, (0, width - values.shape[-1])).contiguous()
