"""K networks of one layout at once: the forward pass, and the lecture's back-propagation written out.

With y⁰ the inputs [K, B, in] and, for layer l, weight Wˡ [K, in, out] and bias bˡ [K, 1, out]:

    forward     hˡ = yˡ⁻¹ Wˡ + bˡ          yˡ = g(hˡ)
    backward    δˡ = ∂E/∂hˡ                ∂E/∂Wˡ = (yˡ⁻¹)ᵀ δˡ      ∂E/∂bˡ = Σ over rows of δˡ
                δˡ⁻¹ = (δˡ (Wˡ)ᵀ) g'(hˡ⁻¹)

with normalization and dropout, where a layer has them, as parts of g (see `layers`). All widths are padded (see
`layout`), and B is a multiple of 16.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from learning.batches import Block
from learning.cells import Encoded
from learning.embeddings import Embeddings
from learning.layers import Layer, affine
from learning.layout import Layout, padded
from learning.specs import EmbeddingSpec, NetworkSpec
from learning.threads import torch_threads
from learning.weights import flat_of

BLOCK_ROWS = 64
# Rows go through the processor's registers a handful at a time, and where a last handful is short it may be added up in
# another order. It is as short of 16 rows as of 64: with AVX2, which takes 6 at a time, 4 of them. Of 32 it is not.
FEW_ROWS = 16
TWO_BLOCKS = 2 * BLOCK_ROWS

_HELD_NUMBERS = 1 << 18  # of a layer's outputs at a time: more members than that are computed one lot after another
_EVERYONE = slice(None)
_IDLE = 2  # rooms kept of each size: a small request costs half as much if it finds one


class Network:
    """The layers of `weights` [K, P], seen through views, with room for `blocks` blocks of `rows` rows."""

    def __init__(self, layout: Layout, weights: Tensor, rows: int, blocks: int = 1) -> None:
        self.layout = layout
        self.members = weights.shape[0]
        self.embeddings = Embeddings(layout, weights, rows, blocks) if layout.embeddings else None
        self.layers = [Layer(index, each, weights, rows, blocks) for index, each in enumerate(layout.layers)]
        self.fed: list[Sequence[Tensor]] = []  # what each layer got in the last pass

    def forward(
        self, inputs: Sequence[Tensor], last: Sequence[Tensor] | None = None, batch: Sequence[Block] | None = None
    ) -> Sequence[Tensor]:
        """Blocks [K or 1, rows, padded in] → outputs [K, rows, padded out], in `last` or tensors to be overwritten.

        With a `batch` as in a training step, whose blocks these are: with dropout, normalized by the batch itself.
        """
        if last is not None:
            self.layers[-1].lay_out(last)
        if self.embeddings is None:
            y = inputs if self.members == 1 else [each.expand(self.members, -1, -1) for each in inputs]
        else:
            y = self.embeddings.forward(inputs)
        self.fed = []
        for layer in self.layers:
            self.fed.append(y)
            y = layer.forward(y, batch)
        return y

    def steps(self, y: Tensor) -> Iterator[Callable[[], object]]:
        """What `forward` does to one block, to be done again whenever `y` has changed.

        Of a small block the work takes less time than finding out what is to be done.
        """
        if self.embeddings is not None or self.members > len(y):
            yield partial(self.forward, [y])
            return
        for layer in self.layers:
            yield from layer.steps(y)
            (y,) = layer.outputs


class Gradient:
    """∂E/∂weights of a network: `flat` [K, trained] after `backward` and `collect`.

    Matrix products go to tensors of their own first: written into views of `flat`, torch would take another path for
    many members than for one. These lie one behind the other in one stretch of memory; once collected they are room
    for whatever comes next.
    """

    def __init__(self, network: Network) -> None:
        layout, members = network.layout, network.members
        like = network.layers[0].weight
        self.network = network
        self.flat = like.new_empty(members, layout.trained)
        self.room = torch.empty_like(self.flat)
        self.parts: list[Tensor] = []
        self.tables = [self._part(padded(each.numbers)) for each in layout.embeddings]
        self.weights: list[Tensor] = []
        self.rows: list[list[Tensor]] = []  # of the bias, and of scale and shift
        for layer in layout.layers:
            self.weights.append(
                self._part(layer.padded_inputs * layer.padded_units).view(-1, layer.padded_inputs, layer.padded_units)
            )
            self.rows.append([self._part(layer.padded_units) for _ in range(3 if layer.normalization else 1)])
        self.transposed = [layer.weight.transpose(1, 2) for layer in network.layers]
        self.deltas = [[torch.empty_like(y) for y in layer.outputs] for layer in network.layers]
        self.input_deltas: list[Tensor] = []
        if network.embeddings is not None:
            self.input_deltas = [torch.empty_like(x) for x in network.embeddings.inputs]

    def _part(self, numbers: int) -> Tensor:
        """The next [K, numbers] of the room."""
        members = self.room.shape[0]
        start = sum(part.numel() for part in self.parts)
        self.parts.append(self.room.view(-1)[start : start + members * numbers].view(members, numbers))
        return self.parts[-1]

    def backward(self, inputs: Sequence[Tensor], batch: Sequence[Block], *, add: bool) -> None:
        """From `deltas[-1]`, which the loss has written, down to the first layer; `add`s to what is there, or replaces.

        Call after `forward` of the same `inputs` and `batch`, whose outputs are still in place.
        """
        network, fed = self.network, self.network.fed
        last = len(self.weights) - 1
        for index in range(last, -1, -1):
            deltas, weight, bias = self.deltas[index], self.weights[index], self.rows[index][0]
            if index < last:
                normalizing = network.layers[index].backward(deltas, batch)
                if normalizing is not None:
                    for part, gradient in zip(self.rows[index][1:], normalizing, strict=True):
                        torch.add(part, gradient, out=part) if add else part.copy_(gradient)
            below_deltas = self.deltas[index - 1] if index else self.input_deltas
            for place, below in enumerate(fed[index]):
                delta = deltas[place]
                if add or place:
                    weight.baddbmm_(below.transpose(1, 2), delta)
                    bias.add_(delta.sum(1))
                else:
                    torch.bmm(below.transpose(1, 2), delta, out=weight)
                    torch.sum(delta, 1, out=bias)
                if below_deltas:
                    affine(delta, self.transposed[index], None, out=below_deltas[place])
        if network.embeddings is not None:
            if not add:
                for table in self.tables:
                    table.zero_()
            network.embeddings.backward(inputs, self.input_deltas[: len(inputs)], self.tables)

    def collect(self) -> Tensor:
        return torch.cat(self.parts, 1, out=self.flat)


def in_blocks(inputs: Tensor) -> Tensor:
    """[N, F] → [blocks, 64, padded F]: the blocks of rows in which outputs are computed, the last filled with zeros."""
    rows, width = inputs.shape
    blocks = -(-rows // BLOCK_ROWS)
    room = inputs.new_zeros(blocks * BLOCK_ROWS, padded(width))
    room[:rows, :width] = inputs
    return room.view(blocks, BLOCK_ROWS, padded(width))


def predict_blocks(network: NetworkSpec, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """One network's outputs [N, out] for encoded inputs [N, F]; `tensors` are its weights by name, unpadded.

    A row's outputs are the same bytes in whatever company, and on however many threads: every block is 64 rows, or 16,
    of padded width, computed on one thread.
    """
    return Predictor(network, tensors)(inputs)


class Predictor:
    """`predict_blocks` for one network, or for several of one shape, their weights padded once.

    May be called from several threads at a time.
    """

    def __init__(self, network: NetworkSpec, *members: Mapping[str, Tensor]) -> None:
        """`members` are the networks' tensors by name, one or more."""
        first = members[0]
        last = first[f"layers.{len(network.layers)}.weight"]
        tables = [first[f"embeddings.{i}"] for i in range(sum(name.startswith("embeddings.") for name in first))]
        embeddings = [EmbeddingSpec(*table.shape) for table in tables]
        inputs = first["layers.0.weight"].shape[0] - sum(each.units - 1 for each in embeddings)
        self.layout = Layout.of(network, inputs, last.shape[1], embeddings)
        self.weights = last.new_empty(len(members), self.layout.stride)
        for row, tensors in zip(self.weights, members, strict=True):
            row.copy_(flat_of(self.layout, {name: tensor.unsqueeze(0) for name, tensor in tensors.items()})[0])
        widest = max(padded(inputs), *(layer.padded_units for layer in self.layout.layers))
        self._members, self._width = len(members), inputs
        self._together = max(1, _HELD_NUMBERS // (BLOCK_ROWS * widest))  # members
        # Of one network two blocks are computed in one go, unless its tables have to be looked up in one after another.
        self._most_rows = TWO_BLOCKS if len(members) == 1 and not embeddings else BLOCK_ROWS
        self._idle: dict[int, list[_Room]] = {FEW_ROWS: [], self._most_rows: []}

    def __call__(self, inputs: Tensor | list[Encoded]) -> Tensor:
        """One network's outputs [N, out] for [N, F], or for a list of at most FEW_ROWS rows."""
        if len(inputs) > self._most_rows:
            assert isinstance(inputs, Tensor), "a list is of few"
            return self.each(inputs)[0]
        room = self._room(len(inputs), _EVERYONE)
        with torch_threads(1):
            found = room.compute_alone(inputs)
        self._give_back(room)
        return found

    def each(self, inputs: Tensor) -> Tensor:
        """Every network's outputs [K, N, out] for [N, F], or for inputs of each [K, N, F]."""
        given = inputs.unsqueeze(0) if inputs.dim() == 2 else inputs
        members, rows = self._members, given.shape[1]
        found = inputs.new_empty(members, rows, self.layout.outputs)
        with torch_threads(1):
            if members <= self._together and rows <= self._most_rows:
                self._compute(given, _EVERYONE, found)
                return found
            for first in range(0, members, self._together):
                some = slice(first, first + self._together)
                own, outputs = given if len(given) == 1 else given[some], found[some]
                for start in range(0, rows, self._most_rows):
                    block = slice(start, start + self._most_rows)
                    self._compute(own[:, block], some, outputs[:, block])
        return found

    def _compute(self, inputs: Tensor, members: slice, outputs: Tensor) -> None:
        """As many rows as one room may have, for these members."""
        room = self._room(inputs.shape[1], members)
        room.compute(inputs, outputs)
        self._give_back(room)

    def _room(self, rows: int, members: slice) -> "_Room":
        """For so many, or more."""
        size = FEW_ROWS if rows <= FEW_ROWS else self._most_rows
        try:
            return self._idle[size].pop()
        except IndexError:
            return _Room(self.layout, self.weights[members], self._width, size)

    def _give_back(self, room: "_Room") -> None:
        """For the next who asks, unless that one may be about other members."""
        idle = self._idle[room.rows]
        if self._members <= self._together and len(idle) < _IDLE:
            idle.append(room)


class _Room:
    """Where a block of rows is computed for some networks; or two for one network, which is then there twice.

    Rows go in and outputs come out by numpy: torch lets go of Python's lock for each operation, and where other threads
    wait for that lock, this takes longer than all the rest.
    """

    def __init__(self, layout: Layout, weights: Tensor, width: int, rows: int) -> None:
        """`width` is that of encoded rows, in which an embedding is one number."""
        self.rows = rows
        blocks = max(1, rows // BLOCK_ROWS)
        self.network = Network(layout, weights.expand(blocks * len(weights), -1), rows // blocks)
        outputs = self.network.layers[-1].outputs[0].view(len(weights), rows, -1)
        self.found = outputs.numpy()[:, :, : layout.outputs]
        self.block = weights.new_zeros(blocks, rows // blocks, padded(width))
        self.entries = self.block.view(1, rows, -1).numpy()[:, :, :width]
        self.steps = list(self.network.steps(self.block))

    def compute(self, inputs: Tensor, outputs: Tensor) -> None:
        """From [K or 1, n, F] to [K, n, out], n rows or fewer; what then stands in the other rows is of no account."""
        given, rows, width = inputs.shape
        if given > len(self.entries):  # each network has its own
            self.block = inputs.new_zeros(given, self.rows, padded(width))
            self.entries = self.block.numpy()[:, :, :width]
        self.entries[:given, :rows] = inputs.numpy()
        if given == len(self.entries) == 1:
            self._forward()
        else:
            self.network.forward([self.block[:given]])
        outputs.numpy()[:] = self.found[:, :rows]

    def compute_alone(self, rows: Tensor | list[Encoded]) -> Tensor:
        """[n, out] of one network."""
        if isinstance(rows, list):
            for place, row in enumerate(rows):
                self.entries[0, place] = row
        else:
            self.entries[0, : len(rows)] = rows.numpy()
        self._forward()
        return torch.from_numpy(self.found[0, : len(rows)].copy())

    def _forward(self) -> None:
        """Of the block as it was when the room was made."""
        for step in self.steps:
            step()
