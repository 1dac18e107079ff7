"""How much memory a run will need, at most: counted from its spec and the size of its table, before anything is read.

A run goes through phases. What an earlier one has made for later ones is counted in all of them, what a phase needs for
itself in that phase alone, and the estimate is the most that any phase holds: above what its process held when idle,
evaluation included. No torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from learning.specs import EmbeddingSpec, MemberSpec, NetworkSpec, folds_of, members_of, moments_of

# Each of these stands in the file that is named, which needs torch; a test holds the two equal.
TILE = 16  # layout
BLOCK_ROWS = 64  # network
ENCODED_ROWS = 8_192  # preprocessing.BLOCK
GATHERED_NUMBERS = 1 << 18  # batches
LONGEST_BLOCK = 512  # batches
EVALUATED_NUMBERS = 1 << 22  # evaluation.HELD_NUMBERS
HASHED_AT_ONCE = 1 << 15  # randomness
MOST_MEMBERS = 128  # schedule
CALLS, OPERATIONS, UPDATE = 60.0, 60_000.0, 0.0012  # schedule
PAYING = 350.0  # schedule
PULSE = 25_000.0  # fitting
SUMS_KEPT = ("gelu", "silu")  # activations

NORMALIZING: Mapping[str | None, int] = {None: 0, "layer": 2, "batch": 4}  # numbers for each unit
PLAIN = ("identity", "sigmoid", "tanh", "relu", "leaky_relu")  # activations computed in place
DRAWN_MEMBERS = 32  # whose initial weights are drawn at once
DRAWN_NUMBERS = 1 << 22  # of these
AROUND = 10 << 20  # what libraries make at their first call, and what the allocator holds back
READING = 8 << 20  # DuckDB's own
KEPT_BACK = 20 << 20  # of each thread's small pieces
MARGIN = 1.12  # for the gaps between what an allocator has given out
CATEGORY = 256  # bytes of a category that a vocabulary knows: its place in a tuple, a dictionary and lists

FLOAT, DOUBLE = 4, 8  # bytes


@dataclass(frozen=True)
class TableSize:
    """How many columns a run reads, their bytes as arrays, and those of all their categories' texts."""

    columns: int
    bytes: int
    texts: int = 0

    @classmethod
    def of_numbers(cls, rows: int, columns: int) -> "TableSize":
        return cls(columns, DOUBLE * rows * columns)


@dataclass(frozen=True)
class Rows:
    """How many rows each split has, of the first fold where there are folds."""

    train: int
    validation: int = 0
    test: int = 0

    @property
    def all(self) -> int:
        return self.train + self.validation + self.test


def memory_bytes(
    spec: Mapping[str, Any],
    rows: Rows,
    inputs: int,
    outputs: int,
    embeddings: Sequence[EmbeddingSpec] = (),
    *,
    table: TableSize | None = None,
    threads: int = 2,
) -> int:
    """Return how much a resolved spec needs on rows of `inputs` encoded columns, indices included, for `outputs` units.

    It is what comes on top of an idle process. `inputs` may be an upper bound; at most `threads` chunks of members
    are computed at the same time. Without a `table` all columns are numbers.
    """
    phases = memory_phases(spec, rows, inputs, outputs, embeddings, table=table, threads=threads)
    return int(MARGIN * max(sum(phase.values()) for phase in phases))


def memory_phases(
    spec: Mapping[str, Any],
    rows: Rows,
    inputs: int,
    outputs: int,
    embeddings: Sequence[EmbeddingSpec] = (),
    *,
    table: TableSize | None = None,
    threads: int = 2,
) -> list[dict[str, int]]:
    """Return the same in bytes: what each phase holds, by what it is for."""
    shapes: dict[tuple[Any, ...], list[MemberSpec]] = {}
    larger = (rows.train + rows.validation) % len(folds_of(spec))  # folds that validate a row more than the others
    for member in members_of(spec):
        kind = (member.network, member.batch_size, member.loss, member.optimizer.name, _weighing(member))
        shapes.setdefault((*kind, member.fold is not None and member.fold < larger), []).append(member)
    targets = len(spec["target"]) if isinstance(spec["target"], list) else 1
    table = table or TableSize.of_numbers(rows.all, inputs + targets)
    widths = _Widths(inputs, outputs, embeddings)
    groups = _groups(spec, list(shapes.values()), rows, widths, threads)
    plain = _groups(spec, [_without_layers(members) for members in shapes.values()], rows, widths, threads)
    folds = len(folds_of(spec))
    # Members of another loss or other weights have targets of their own, and rows beside them.
    sources = folds * len({(member.loss, _weighing(member)) for members in shapes.values() for member in members})
    known = sum(each.categories for each in embeddings) + inputs
    columns = {"around": AROUND, "table": table.bytes + table.texts}
    encoded = columns | {
        "splits": DOUBLE * rows.all * (folds + 1),
        "vocabularies": CATEGORY * known,
        "encoded": folds * FLOAT * rows.all * inputs + sources * DOUBLE * rows.all * targets,
    }
    # The train rows padded and the validation rows in blocks, with their targets; all chunks share them.
    wide = sources * (FLOAT * (rows.train + rows.validation + 2 * BLOCK_ROWS) * _padded(inputs))
    fitting = encoded | {"rows": wide + sources * DOUBLE * (rows.train + rows.validation) * targets}
    training = _training(groups)
    # Of folds, all that they validate are looked at together.
    unseen = max(min(folds * rows.validation, rows.train + rows.validation), rows.test)
    means = len(members_of(spec)) if spec.get("ensemble") else 1
    layered = any(member.network.layers for member in members_of(spec))
    numbers = min(table.columns, inputs)
    return [
        # Some columns at a time: in DuckDB's buffers, as they come out of it, and their categories' texts meanwhile.
        columns | {"reading": READING + 3 * DOUBLE * rows.all * min(table.columns, 8) + 4 * table.texts},
        encoded | {"preparing": 48 * rows.all + min(rows.all, ENCODED_ROWS) * (4 * DOUBLE * numbers + FLOAT * inputs)},
        fitting | {"initialization": sum(g.numbers_bytes for g in groups) + max(g.initialization for g in groups)},
        fitting | training,
        # The best weights by name, and as a file with the vocabularies' texts in its header; answers to the
        # rows that no member was trained on, as float32 and then as float64 with copies.
        fitting
        | _kept_back(training, max(group.at_work for group in groups))
        | {
            "result": 2 * sum(group.numbers_bytes for group in groups) + 3 * table.texts,
            "answers": outputs
            * max(
                rows.validation * (FLOAT * max(folds, means) + DOUBLE * (2 * means + (means > 1))),
                rows.test * (FLOAT * (folds + means) + DOUBLE * (2 * max(folds, means) + (folds * means > 1))),
            ),
        },
        # Another process may evaluate the run. It reads the weights, fits networks without hidden layers, and compares
        # the answers of both: as blocks, as one, and with what is computed of them.
        fitting
        | _kept_back(_training(plain), 1)
        | {
            "networks": 2 * sum(group.numbers_bytes for group in groups) + 2 * table.texts + CATEGORY * known // 2,
            "unseen": table.bytes * unseen // rows.all,
            "answers": DOUBLE * unseen * outputs * (5 + layered + 2 * (folds > 1)) // 2,
        },
    ]


def _kept_back(training: Mapping[str, int], threads: int) -> dict[str, int]:
    """Return what is left at the end: an allocator keeps small pieces, and gives large ones back."""
    return {**training, "work": min(training["work"], threads * KEPT_BACK)}


def _training(groups: "Sequence[_Group]") -> dict[str, int]:
    """Return what all groups hold while they are trained, and the most that one needs for a while."""
    standing = [group.standing() for group in groups]
    found = {name: sum(each[name] for each in standing) for name in standing[0]}
    return found | {"work": max(group.work() for group in groups)}


def _without_layers(members: Sequence[MemberSpec]) -> list[MemberSpec]:
    return [replace(member, network=NetworkSpec()) for member in members]


@dataclass(frozen=True)
class _Widths:
    inputs: int
    outputs: int
    embeddings: Sequence[EmbeddingSpec]


def _groups(
    spec: Mapping[str, Any], shapes: Sequence[Sequence[MemberSpec]], rows: Rows, widths: _Widths, threads: int
) -> "list[_Group]":
    """Return the groups of members of one shape, shared out to threads as `fitting` does it."""
    spread = threads if len(shapes) < 2 * threads else 1
    groups = [_Group(spec, members, rows, widths, spread) for members in shapes]
    # Few chunks keep their room, of many those at work.
    are_few = sum(group.chunks for group in groups) <= threads
    for group in groups:
        group.at_work = min(threads, group.chunks if len(groups) == 1 else threads)
        group.holds = are_few
    return groups


class _Group:
    """Members of one shape, in so many chunks that `threads` have something to do where that pays."""

    holds = True  # the room of every chunk stays
    at_work = 1  # chunks computed at the same time

    def __init__(
        self, spec: Mapping[str, Any], members: Sequence[MemberSpec], rows: Rows, sizes: _Widths, threads: int
    ) -> None:
        first, embeddings = members[0], sizes.embeddings
        hidden = first.network.layers
        self.rows, self.validation, self.count = rows.train, rows.validation, len(members)
        self.numeric, self.folds = spec["task"] == "regression", len({member.fold for member in members})
        self.encoded = _padded(sizes.inputs)
        self.first = _padded(sizes.inputs + sum(each.units - 1 for each in embeddings))
        widths = [self.first, *(_padded(layer.units) for layer in hidden), _padded(sizes.outputs)]
        self.widths, self.outputs, self.out = widths, sizes.outputs, widths[-1]
        normalizing = sum(NORMALIZING[layer.normalization] * _padded(layer.units) for layer in hidden)
        layers = [(below + 1) * units for below, units in pairwise(widths)]
        self.largest = max([*layers, *(each.categories * each.units for each in embeddings)])
        tables = sum(_padded(each.categories * each.units) for each in embeddings)
        self.numbers = sum(layers) + normalizing + tables
        self.embedded = 2 * self.first if embeddings else 0
        self.moments = len(moments_of(members))
        self.clipping = 2 * any(member.optimizer.clip_norm is not None for member in members)  # squares, sums of them
        weighing = [spec.get("sample_weight"), spec.get("class_weights"), first.overrides.get("class_weights")]
        self.weighted = any(each is not None for each in weighing)
        # Once a member has ended, those that go on are copies.
        stops = spec.get("early_stopping") is not None or len({member.epochs for member in members}) > 1
        self.copies = (2 + self.moments) * (self.count > 1 and stops)

        self.batch = rows.train if first.batch_size is None else min(first.batch_size, rows.train)
        self.block = min(_padded(self.batch), LONGEST_BLOCK)
        cost = self.numbers * (6.0 * self.block / OPERATIONS + UPDATE)  # µs of a member's step
        paying = max(1, min(threads, self.count, int(self.count * cost / PAYING)))
        self.chunks = min(self.count, paying * -(-self.count // (paying * MOST_MEMBERS)))
        self.chunk = -(-self.count // self.chunks)  # members
        whole = any(layer.normalization == "batch" for layer in hidden)
        self.in_step = -(-self.batch // self.block)
        self.together = self.in_step if whole else 1  # blocks that go through the network in one pass
        self.held_rows = self.block * self.together
        lanes = {(member.seed, member.fold) for member in members}
        self.lanes = 0 if self.batch == rows.train else min(self.chunk, len(lanes))  # orders of a chunk
        units = {layer: _padded(layer.units) for layer in hidden}
        self.kept = sum(units[layer] for layer in hidden if layer.activation in SUMS_KEPT)
        normalized = [units[layer] for layer in hidden if layer.normalization]
        self.normalized, self.widest_normalized = sum(normalized), max([0, *normalized])
        dropped = [units[layer] for layer in hidden if layer.dropout]
        self.dropped, self.widest_dropped = sum(dropped), max([0, *dropped])
        self.slopes = max([0, *(units[layer] for layer in hidden if layer.activation not in PLAIN)])
        # Whose rows are gathered: with dropout each member has masks of its own.
        self.orders = self.chunk if self.lanes > 1 or self.dropped else 1
        self.gathered = max([self.encoded, self.out, *dropped])

    @property
    def numbers_bytes(self) -> int:
        return FLOAT * self.count * self.numbers

    @property
    def initialization(self) -> int:
        drawn = max(1, min(self.count, DRAWN_MEMBERS, DRAWN_NUMBERS // self.numbers))
        return 7 * DOUBLE * drawn * self.largest  # hashes, and two uniform numbers for a normal one

    def standing(self) -> dict[str, int]:
        """What all groups hold at the same time while they are trained."""
        return {
            # As they are and as kept, the moments, and copies of all where members end.
            "weights": self.numbers_bytes * (2 + self.moments + self.copies),
            # An epoch's order for each lane, and each row's weight.
            "orders": FLOAT * self.chunks * self.lanes * (self.rows + 1) * (1 + (self.folds > 1))
            + 2 * DOUBLE * self.weighted * self.rows,
            "room": self._room(self.count) if self.holds else 0,
        }

    def _room(self, members: int) -> int:
        """Return the bytes of what so many members compute a step in.

        The gradient in parts and as one; each layer's outputs and their gradients, and outputs again for the
        validation. The last layer's outputs are a part of what is worked on.
        """
        hidden = sum(self.widths[1:-1])
        in_step = 2 * hidden + self.out + self.kept + self.dropped + self.normalized + self.embedded
        measured = hidden + self.kept + self.embedded // 2
        return FLOAT * members * (2 * self.numbers + in_step * self.held_rows + measured * BLOCK_ROWS)

    def work(self) -> int:
        """What a group needs while it computes, and no other at the same time."""
        padded = _padded(self.validation, BLOCK_ROWS) * self.out if self.validation else 0
        together = min(self.chunk, -(-self.count // self.folds))  # members of one fold are measured at a time
        evaluated = max(min(EVALUATED_NUMBERS, together * padded), padded)
        numbers = self.orders * self.block
        gathered = max(min(GATHERED_NUMBERS, self.rows * self.orders * self.gathered), numbers * self.gathered)
        gathered = max(gathered, self.together * numbers * self.gathered)
        held = self._blocks_held(numbers * self.gathered)
        stepping = 2 * gathered + held * self.chunk * self.block * (self.out + 3 * self.outputs)
        stepping += held * numbers * (2 * self.dropped + 4 * self.widest_dropped)
        stepping += self.chunk * (3 * self.slopes + 3 * self.widest_normalized) * self.held_rows
        stepping += self.chunk * self.numbers * self.clipping
        # The outputs twice, once in the order of the blocks; of numbers the float64 terms of the metrics.
        terms = 4 * DOUBLE if self.numeric else 1.5 * FLOAT
        evaluating = 2 * FLOAT * evaluated + int(terms * evaluated * self.outputs / self.out)
        # The hashes that orders are sorted by, a second copy of them, and weights in their order, padded and in sums.
        ordering = FLOAT * (self.lanes > 0) * (4 * (self.rows + HASHED_AT_ONCE) + self.lanes * self.rows)
        ordering += 5 * FLOAT * self.weighted * max(self.lanes, 1) * (self.rows + self.batch)
        most, less, _ = sorted((FLOAT * stepping, evaluating, ordering), reverse=True)
        # What one of these leaves behind another does not always find; each thread has heaps of its own.
        room = 0 if self.holds else self._room(self.chunk)
        return int(self.at_work * (room + most * (1.25 if self.at_work > 1 else 1.0) + less / 2))

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
