"""How much memory a run will need, at most: counted from its spec and the size of its table, before anything is read.

Each phase's own peak is added to the others'. An estimate that is too high refuses a run that barely fits; one that is
too low lets it take the machine down. No torch.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from learning.specs import EmbeddingSpec, MemberSpec, folds_of, members_of, moments_of

# Each of these stands in the file that is named, which needs torch; a test holds the two equal.
TILE = 16  # layout
BLOCK_ROWS = 64  # network
ENCODED_ROWS = 65_536  # preprocessing.BLOCK
GATHERED_NUMBERS = 1 << 18  # batches
LONGEST_BLOCK = 512  # batches
EVALUATED_NUMBERS = 1 << 22  # evaluation.HELD_NUMBERS
HASHED_AT_ONCE = 1 << 15  # randomness
MOST_MEMBERS = 128  # schedule
CALLS, OPERATIONS, UPDATE = 60.0, 60_000.0, 0.0012  # schedule
PULSE = 25_000.0  # fitting
SUMS_KEPT = ("gelu", "silu")  # activations

NORMALIZING: Mapping[str | None, int] = {None: 0, "layer": 2, "batch": 4}  # numbers for each unit
DRAWN_MEMBERS = 32  # whose initial weights are drawn at once
AROUND = 96 << 20  # the libraries' own buffers, and what the allocator holds back

FLOAT, DOUBLE = 4, 8  # bytes


def memory_bytes(
    spec: Mapping[str, Any],
    rows: int,
    inputs: int,
    outputs: int,
    embeddings: Sequence[EmbeddingSpec] = (),
    *,
    threads: int = 2,
) -> int:
    """Of a resolved spec on `rows` rows of `inputs` encoded columns, indices included, with `outputs` output units.

    Counts what comes on top of an idle process. `inputs` may be an upper bound; at most `threads` chunks of members
    are computed at the same time.
    """
    return sum(memory_parts(spec, rows, inputs, outputs, embeddings, threads=threads).values())


def memory_parts(
    spec: Mapping[str, Any],
    rows: int,
    inputs: int,
    outputs: int,
    embeddings: Sequence[EmbeddingSpec] = (),
    *,
    threads: int = 2,
) -> dict[str, int]:
    """The same in bytes by what it is for."""
    shapes: dict[tuple[Any, ...], list[MemberSpec]] = {}
    for member in members_of(spec):
        kind = (member.network, member.batch_size, member.loss, member.optimizer.name, _weighing(member))
        shapes.setdefault(kind, []).append(member)
    folds, wide = len(folds_of(spec)), _padded(inputs)
    targets = len(spec["target"]) if isinstance(spec["target"], list) else 1
    # Members of another loss or other weights have targets of their own, and rows beside them.
    sources = folds * len({(member.loss, _weighing(member)) for members in shapes.values() for member in members})
    parts = {
        # In the file's own buffers, as columns, and what the statistics of one column need on their way.
        "table": DOUBLE * rows * (3 * (inputs + targets) + 8),
        "split": 64 * rows * folds,
        "encoding": folds * (FLOAT * rows * inputs + DOUBLE * rows * targets),
        "scaling": 6 * DOUBLE * min(rows, ENCODED_ROWS) * inputs,
        # The train and validation rows padded, and the targets; all chunks share them.
        "rows": sources * (FLOAT * (rows + BLOCK_ROWS) * wide + DOUBLE * (rows + 1) * targets),
        "around": AROUND,
    }
    widths = (inputs, outputs, embeddings)
    alone = len(shapes) == 1
    groups = [_Group(spec, members, rows, *widths, threads=threads, alone=alone) for members in shapes.values()]
    for name in groups[0].standing():
        parts[name] = sum(group.standing()[name] for group in groups)
    for name in groups[0].passing():  # what is needed for a moment, by one group after another
        parts[name] = max(group.passing()[name] for group in groups)
    return parts


class _Group:
    """Members of one shape, who have all threads for themselves where they are `alone`."""

    def __init__(  # noqa: PLR0917 - what the estimate as a whole is made of
        self,
        spec: Mapping[str, Any],
        members: Sequence[MemberSpec],
        rows: int,
        inputs: int,
        outputs: int,
        embeddings: Sequence[EmbeddingSpec],
        *,
        threads: int,
        alone: bool,
    ) -> None:
        first = members[0]
        hidden = first.network.layers
        self.rows, self.count = rows, len(members)
        self.encoded = _padded(inputs)
        self.first = _padded(inputs + sum(each.units - 1 for each in embeddings))
        widths = [self.first, *(_padded(layer.units) for layer in hidden), _padded(outputs)]
        self.widths, self.outputs, self.out = widths, outputs, widths[-1]
        normalizing = sum(NORMALIZING[layer.normalization] * _padded(layer.units) for layer in hidden)
        layers = [(below + 1) * units for below, units in pairwise(widths)]
        self.largest = max([*layers, *(each.categories * each.units for each in embeddings)])
        tables = sum(_padded(each.categories * each.units) for each in embeddings)
        self.numbers = sum(layers) + normalizing + tables
        self.moments = len(moments_of(members))
        self.clipping = 2 * any(member.optimizer.clip_norm is not None for member in members)  # squares, sums of them
        weighing = [spec.get("sample_weight"), spec.get("class_weights"), first.overrides.get("class_weights")]
        self.weighted = any(each is not None for each in weighing)

        # Chunks computed at the same time; beside other groups one may be a whole group, and they may be of any.
        self.at_work = min(threads, self.count) if alone else threads
        least = self.at_work if alone else 1
        self.chunks = least * -(-self.count // (least * MOST_MEMBERS))
        self.chunk = -(-self.count // self.chunks)  # members
        self.batch = rows if first.batch_size is None else min(first.batch_size, rows)
        self.block = min(_padded(self.batch), LONGEST_BLOCK)
        whole = any(layer.normalization == "batch" for layer in hidden)
        self.in_step = -(-self.batch // self.block)
        self.together = self.in_step if whole else 1  # blocks that go through the network in one pass
        self.held_rows = self.block * self.together
        lanes = {(member.seed, member.fold) for member in members}
        self.lanes = 0 if self.batch == rows else min(self.chunk, len(lanes))  # orders of a chunk
        self.kept = sum(_padded(layer.units) for layer in hidden if layer.activation in SUMS_KEPT)
        self.normalized = sum(_padded(layer.units) for layer in hidden if layer.normalization)
        self.dropped = sum(_padded(layer.units) for layer in hidden if layer.dropout)
        # Whose rows are gathered: with dropout each member has masks of its own.
        self.orders = self.chunk if self.lanes > 1 or self.dropped else 1
        self.gathered = max([self.encoded, self.out, *(_padded(layer.units) for layer in hidden if layer.dropout)])

    def standing(self) -> dict[str, int]:
        """What all groups hold at the same time."""
        weights = self.count * self.numbers
        embedded = 2 * self.first if self.first > self.encoded else 0
        outputs = sum(self.widths) + self.kept + self.dropped + embedded
        return {
            # An epoch's order for each lane and its copy.
            "orders": FLOAT * (2 * self.chunks * self.lanes * (self.rows + 1))
            # Each row's weight, and those of an epoch in its order and in sums.
            + DOUBLE
            * self.weighted
            * (2 * self.rows + 3 * self.at_work * max(self.lanes, 1) * (self.rows + self.batch)),
            # As they are, as kept, their gradient in parts and as one, the moments, and comparisons. Once a member has
            # ended, those that go on are copies.
            "weights": FLOAT * weights * (6 + self.moments + self.clipping + (2 + self.moments) * (self.count > 1)),
            # Each layer's outputs and their gradients, normalized ones too, and outputs again for the validation.
            "activations": FLOAT
            * self.count
            * (outputs * (2 * self.held_rows + BLOCK_ROWS) + 3 * self.normalized * self.held_rows),
            # A copy of the state, and two of that copy on its way into a file.
            "checkpoint": 3 * FLOAT * weights * (2 + self.moments),
        }

    def passing(self) -> dict[str, int]:
        """What a group needs while it computes, and no other at the same time."""
        members = self.count
        evaluated = min(EVALUATED_NUMBERS, self.chunk * _padded(self.rows, BLOCK_ROWS) * self.out)
        evaluated = max(evaluated, _padded(self.rows, BLOCK_ROWS) * self.out)
        numbers = self.orders * self.block
        gathered = max(GATHERED_NUMBERS, self.together * numbers * self.gathered)
        held = self._blocks_held(numbers * self.gathered)
        return {
            # The hashes that orders are sorted by.
            "shuffling": FLOAT * 6 * self.at_work * (self.rows + HASHED_AT_ONCE),
            # The gathered inputs and where they lie, the masks of dropout and the dice thrown for them; outputs up to
            # the next pulse, and the losses made of them.
            "batches": self.at_work * FLOAT * (3 * gathered + 5 * held * self.chunk * self.block * self.out)
            + self.at_work * FLOAT * 6 * held * numbers * self.dropped,
            "initialization": 6 * DOUBLE * min(members, DRAWN_MEMBERS) * self.largest,
            # What one activation or its slope needs on its way.
            "slopes": FLOAT * self.at_work * self.chunk * 3 * max(self.widths) * self.held_rows,
            # The outputs twice, once in the order of the blocks; of each real one the float64 terms of the metrics.
            "evaluation": self.at_work * (2 * FLOAT * evaluated + 5 * DOUBLE * evaluated * self.outputs // self.out),
        }

    def _blocks_held(self, numbers: int) -> int:
        """How many blocks of outputs a chunk holds before their losses are computed, at most."""
        in_epoch = self.in_step * -(-self.rows // self.batch)
        cost = CALLS + self.chunk * self.numbers * (6.0 * self.block / OPERATIONS + UPDATE)
        until_pulse = max(self.in_step, int(PULSE / cost))
        return min(in_epoch, until_pulse, max(self.together, GATHERED_NUMBERS // numbers))


def _weighing(member: MemberSpec) -> str:
    return repr(member.overrides.get("class_weights"))


def _padded(count: int, tile: int = TILE) -> int:
    return max(tile, -(-count // tile) * tile)
