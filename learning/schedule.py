"""Who computes what: members shared out to threads, and how long a stretch of work takes, by rough estimate.

None of this changes a result. The figures were measured on one core with AVX-512 and need not be right elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from learning.layout import Layout
from learning.network import BLOCK_ROWS

CALLS = 60.0  # µs a step takes however little it computes
OPERATIONS = 60_000.0  # a µs, of matrix products
UPDATE = 0.0012  # µs for each weight of a step's update
PAYING = 350.0  # µs of a chunk's step from which a thread of its own pays: in shorter ones they wait for one another
WIDE = 2_000.0  # µs of one member's step from which torch's own threads pay; on a busy machine they cost much below it
MOST_MEMBERS = 128  # in one chunk: beyond, the tensors of a step leave the caches
FEWER_MEMBERS = 8  # in one where memory is short: with large batches a run then holds a half to a third


@dataclass(frozen=True)
class Share:
    """Members `first` … `last - 1` of a group, computed with `threads` threads inside torch."""

    first: int
    last: int
    threads: int


def shares_of(
    members: int, layout: Layout, rows: int, threads: int, *, inside: bool = True, most: int | None = None
) -> list[Share]:
    """Chunks for as many threads as pay, of at most so many members: in parallel where there are many, else torch's own
    threads.

    The latter only where nothing else is computed at the same time, `inside`.
    """
    work = members * member_cost(layout, rows)
    paying = max(1, min(threads, members, int(work / PAYING)))
    count = min(members, paying * -(-members // (paying * (most or MOST_MEMBERS))))
    own = max(1, min(threads // paying, int(member_cost(layout, rows) / WIDE))) if inside else 1
    bounds = [members * index // count for index in range(count + 1)]
    return [Share(bounds[i], bounds[i + 1], own) for i in range(count)]


def lanes_of(costs: Sequence[float], threads: int) -> int:
    """How many chunks are computed at the same time, whose steps take so many µs, if there are several."""
    return max(1, min(threads, len(costs) if sum(costs) >= PAYING * len(costs) else 1))


def member_cost(layout: Layout, rows: int) -> float:
    """µs of one member's step of `rows` rows: forward and backward are 6 operations a weight and row."""
    return 6.0 * layout.stride * rows / OPERATIONS + UPDATE * layout.stride


def step_cost(layout: Layout, members: int, rows: int) -> float:
    return CALLS + members * member_cost(layout, rows)


def validation_cost(layout: Layout, members: int, blocks: int = 16) -> float:
    """µs of a forward pass over `blocks` blocks."""
    return blocks * (CALLS / 3 + members * 2.0 * layout.stride * BLOCK_ROWS / OPERATIONS)
