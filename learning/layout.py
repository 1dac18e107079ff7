"""Where each number of a network lies: every layer in one flat row of weights, widths padded to multiples of 16.

Matrix products of other widths round differently in company than alone, so that padding is what makes a member's bits
its own. A padded unit is held at zero by a mask; initial weights, hashes and stored files know true widths only.

    embedding tables | weight, bias, scale, shift of each layer | running mean and var of each layer
    └──────────── trained: what has a gradient ───────────────┘

A layer without normalization has weight and bias only, and only batch normalization has running figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from learning.specs import EmbeddingSpec, LayerSpec, NetworkSpec

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
    dropout: float = 0.0
    normalization: str | None = None
    running: int = 0  # where batch normalization's mean starts, its variance right behind

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
        return self.bias_offset + (3 if self.normalization else 1) * self.padded_units

    def weight(self, flat: Tensor) -> Tensor:
        """The view [K, padded inputs, padded units] of `flat` [K, P]."""
        return flat[:, self.offset : self.bias_offset].view(-1, self.padded_inputs, self.padded_units)

    def bias(self, flat: Tensor) -> Tensor:
        """The view [K, 1, padded units] of `flat` [K, P]; so for the four of normalization."""
        return self._row(flat, self.bias_offset)

    def scale(self, flat: Tensor) -> Tensor:
        return self._row(flat, self.bias_offset + self.padded_units)

    def shift(self, flat: Tensor) -> Tensor:
        return self._row(flat, self.bias_offset + 2 * self.padded_units)

    def mean(self, flat: Tensor) -> Tensor:
        return self._row(flat, self.running)

    def var(self, flat: Tensor) -> Tensor:
        return self._row(flat, self.running + self.padded_units)

    def parts(self, flat: Tensor) -> dict[str, Tensor]:
        """The layer's tensors by the names they are kept under, in the order of the hash."""
        found = {"weight": self.weight(flat), "bias": self.bias(flat)}
        if self.normalization:
            found |= {"scale": self.scale(flat), "shift": self.shift(flat)}
        if self.normalization == "batch":
            found |= {"mean": self.mean(flat), "var": self.var(flat)}
        return found

    def mask(self, like: Tensor) -> Tensor:
        """[padded units]: 1 for a unit, 0 for padding."""
        return unit_mask(self.units, like)

    def _row(self, flat: Tensor, start: int) -> Tensor:
        return flat[:, start : start + self.padded_units].view(-1, 1, self.padded_units)


@dataclass(frozen=True)
class EmbeddingLayout:
    """A table [categories, units] at `offset`: the index in column `column` becomes the inputs from `place` on."""

    categories: int
    units: int
    column: int
    place: int
    offset: int

    @property
    def numbers(self) -> int:
        return self.categories * self.units

    @property
    def end(self) -> int:
        return self.offset + padded(self.numbers)

    def table(self, flat: Tensor) -> Tensor:
        """The view [K, categories, units] of `flat` [K, P]."""
        return flat[:, self.offset : self.offset + self.numbers].view(-1, self.categories, self.units)


@dataclass(frozen=True)
class Layout:
    """The layers of a network between encoded features and `outputs` logits."""

    embeddings: tuple[EmbeddingLayout, ...]
    layers: tuple[LayerLayout, ...]

    @classmethod
    def of(cls, network: NetworkSpec, inputs: int, outputs: int, embeddings: Sequence[EmbeddingSpec] = ()) -> "Layout":
        """`inputs` counts the columns of the encoded features, of which the last are the embeddings' indices."""
        dense = width = inputs - len(embeddings)
        tables: list[EmbeddingLayout] = []
        for index, each in enumerate(embeddings):
            offset = tables[-1].end if tables else 0
            tables.append(EmbeddingLayout(each.categories, each.units, dense + index, width, offset))
            width += each.units
        offset = tables[-1].end if tables else 0
        specs = (*network.layers, LayerSpec(outputs, OUTPUT_ACTIVATION))
        running = offset + sum(_size(below, spec) for below, spec in zip(_widths(width, specs), specs, strict=True))
        layers: list[LayerLayout] = []
        for spec in specs:
            layer = LayerLayout(width, spec.units, spec.activation, offset, spec.dropout, spec.normalization, running)
            layers.append(layer)
            width, offset = spec.units, layer.end
            running += 2 * layer.padded_units if spec.normalization == "batch" else 0
        return cls(tuple(tables), tuple(layers))

    @cached_property
    def trained(self) -> int:
        """How many of a member's numbers have a gradient, padding included."""
        return self.layers[-1].end

    @cached_property
    def stride(self) -> int:
        """P, the numbers of one member with padding: a multiple of 16, since each part is one."""
        last = self.layers[-1]
        return last.running + (2 * last.padded_units if last.normalization == "batch" else 0)

    @cached_property
    def whole_batches(self) -> bool:
        """Whether a batch's rows must stand together, since they meet in batch normalization."""
        return any(layer.normalization == "batch" for layer in self.layers)

    @cached_property
    def inputs(self) -> int:
        """The inputs of the first layer: embeddings count with all their units."""
        return self.layers[0].inputs

    @cached_property
    def outputs(self) -> int:
        return self.layers[-1].units


def _widths(inputs: int, layers: Sequence[LayerSpec]) -> list[int]:
    return [inputs, *(layer.units for layer in layers[:-1])]


def _size(inputs: int, layer: LayerSpec) -> int:
    return LayerLayout(inputs, layer.units, layer.activation, 0, normalization=layer.normalization).end


def unit_mask(units: int, like: Tensor) -> Tensor:
    return (torch.arange(padded(units), device=like.device) < units).to(like.dtype)


def pad_last(values: Tensor, width: int) -> Tensor:
    """`values` [..., n] with zeros behind, [..., width], contiguous."""
    return torch.nn.functional.pad(values, (0, width - values.shape[-1])).contiguous()
