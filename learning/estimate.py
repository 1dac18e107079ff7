"""How much memory a run will need, at most: counted from its spec and the size of its table, before anything is read.

Each phase's own peak is added to the others'. An estimate that is too high refuses a run that barely fits; one that is
too low lets it take the machine down. No torch.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from learning.specs import members_of, moments_of

# Each of these stands in the file that is named, which needs torch; a test holds the two equal.
TILE = 16  # layout
BLOCK_ROWS = 64  # network
ENCODED_ROWS = 65_536  # preprocessing.BLOCK
GATHERED_NUMBERS = 1 << 18  # batches
LONGEST_BLOCK = 512  # batches
EVALUATED_NUMBERS = 1 << 22  # evaluation.HELD_NUMBERS
HASHED_AT_ONCE = 1 << 17  # randomness
MOST_MEMBERS = 128  # schedule
CALLS, OPERATIONS, UPDATE = 60.0, 60_000.0, 0.0012  # schedule
PULSE = 25_000.0  # fitting
SUMS_KEPT = ("gelu", "silu")  # activations

DRAWN_MEMBERS = 32  # whose initial weights are drawn at once
AROUND = 96 << 20  # the libraries' own buffers, and what the allocator holds back

FLOAT, DOUBLE = 4, 8  # bytes


def memory_bytes(spec: Mapping[str, Any], rows: int, inputs: int, outputs: int, *, threads: int = 2) -> int:
    """Of a resolved spec on `rows` rows, `inputs` wide once encoded, with `outputs` output units.

    Counts what comes on top of an idle process. `inputs` may be an upper bound; at most `threads` chunks of members
    are computed at the same time.
    """
    return sum(memory_parts(spec, rows, inputs, outputs, threads=threads).values())


def memory_parts(spec: Mapping[str, Any], rows: int, inputs: int, outputs: int, *, threads: int = 2) -> dict[str, int]:
    """The same in bytes by what it is for."""
    members = members_of(spec)
    first, count = members[0], len(members)
    widths = [inputs, *(layer.units for layer in first.network.layers), outputs]
    layers = [(_padded(below) + 1) * _padded(units) for below, units in pairwise(widths)]
    weights = count * sum(layers)
    wide, out = _padded(inputs), _padded(outputs)
    targets = len(spec["target"]) if isinstance(spec["target"], list) else 1
    moments = len(moments_of(members))
    clipping = 2 * any(member.optimizer.clip_norm is not None for member in members)  # squares, and sums of them

    weighted = int(spec.get("sample_weight") is not None or spec.get("class_weights") is not None)
    summed = sum(_padded(layer.units) for layer in first.network.layers if layer.activation in SUMS_KEPT)

    at_work = min(threads, count)
    chunks = at_work * -(-count // (at_work * MOST_MEMBERS))
    chunk = -(-count // chunks)  # members

    batch = rows if first.batch_size is None else min(first.batch_size, rows)
    block = min(_padded(batch), LONGEST_BLOCK)
    orders = 0 if batch == rows else min(chunk, len({member.seed for member in members}))  # of a chunk
    gathered = max(GATHERED_NUMBERS, max(orders, 1) * block * wide)
    held = _blocks_held(rows, batch, block, members=chunk, weights=sum(layers), numbers=max(orders, 1) * block * wide)
    evaluated = min(EVALUATED_NUMBERS, chunk * _padded(rows, BLOCK_ROWS) * out)
    evaluated = max(evaluated, _padded(rows, BLOCK_ROWS) * out)
    return {
        # In the file's own buffers, as columns, and what the statistics of one column need on their way.
        "table": DOUBLE * rows * (3 * (inputs + targets) + 8),
        "split": 64 * rows,
        "encoding": FLOAT * rows * inputs + DOUBLE * rows * targets,
        "scaling": 6 * DOUBLE * min(rows, ENCODED_ROWS) * inputs,
        # The train and validation rows padded, and the targets; all chunks share them.
        "rows": FLOAT * (rows + BLOCK_ROWS) * wide + DOUBLE * (rows + 1) * targets,
        # An epoch's order for each seed and its copy, and the hashes that some are sorted by.
        "orders": FLOAT * (2 * chunks * orders * (rows + 1) + 6 * at_work * (rows + HASHED_AT_ONCE))
        # Each row's weight, and those of an epoch in its order and in sums.
        + DOUBLE * weighted * (2 * rows + 3 * at_work * max(orders, 1) * (rows + batch)),
        # The gathered inputs and where they lie; outputs up to the next pulse, and the losses made of them.
        "batches": at_work * FLOAT * (3 * gathered + 5 * held * chunk * block * out),
        # As they are, as kept, their gradient in parts and as one, the moments, the optimizer's room, and comparisons.
        # Once a member has ended, those that go on are copies.
        "weights": FLOAT * weights * (7 + moments + clipping + (2 + moments) * (count > 1)),
        "initialization": 6 * DOUBLE * min(count, DRAWN_MEMBERS) * max(layers),
        # Each layer's outputs and their gradients, and outputs again for the validation; the sums where they are kept;
        # and what one activation or its slope needs on its way.
        "activations": FLOAT * count * (sum(map(_padded, widths)) + summed) * (2 * block + BLOCK_ROWS)
        + FLOAT * at_work * chunk * 3 * max(map(_padded, widths)) * block,
        # The outputs twice, once in the order of the blocks; of each real one the float64 terms of the metrics.
        "evaluation": at_work * (2 * FLOAT * evaluated + 5 * DOUBLE * evaluated * outputs // out),
        # A copy of the state, and two of that copy on its way into a file.
        "checkpoint": 3 * FLOAT * weights * (2 + moments),
        "around": AROUND,
    }


def _blocks_held(rows: int, batch: int, block: int, *, members: int, weights: int, numbers: int) -> int:
    """How many blocks of outputs a chunk holds before their losses are computed, at most."""
    in_step = -(-batch // block)
    in_epoch = in_step * -(-rows // batch)
    cost = CALLS + members * weights * (6.0 * block / OPERATIONS + UPDATE)
    until_pulse = max(in_step, int(PULSE / cost))
    return min(in_epoch, until_pulse, max(1, GATHERED_NUMBERS // numbers))


def _padded(count: int, tile: int = TILE) -> int:
    return max(tile, -(-count // tile) * tile)
