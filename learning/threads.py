"""How many threads torch uses inside one operation, set for a stretch of work and put back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within this block the calling thread's torch operations use `count` threads.

    Torch keeps the number per thread of the process and, beside it, the number that a thread takes which has not
    computed yet. Both are put back. Of two blocks that overlap in two threads, the last to leave decides what a new
    thread starts with: that can cost such a thread speed, never another bit, for all that computes in `learning`
    stands in such a block.
    """
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
