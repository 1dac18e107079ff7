"""How many threads torch uses inside one operation, set for a stretch of work and put back.

Importing this makes the first call of each transcendental function, on one element and so on one thread. When two
threads shared a process's first `exp`, the second one's half was seen to be off by 2e-5, twice in six long test runs
and never at a later call: it looks as if the vector library chose its kernel for that thread too early.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

_AS_IT_IS = nullcontext()


def torch_threads(count: int) -> AbstractContextManager[None]:
    """Within this block the calling thread's torch operations use `count` threads.

    Torch keeps the number per thread of the process and, beside it, the number that a thread takes which has not
    computed yet. Both are put back. Of two blocks that overlap in two threads, the last to leave decides what a new
    thread starts with: that can cost such a thread speed, never another bit, for all that computes in `learning`
    stands in such a block.
    """
    return _AS_IT_IS if torch.get_num_threads() == count else _changed(count)


@contextmanager
def _changed(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _settle() -> None:
    for dtype in (torch.float32, torch.float64):
        one = torch.ones(1, dtype=dtype)
        for function in (torch.exp, torch.expm1, torch.log, torch.log1p, torch.erf, torch.tanh, torch.sqrt, torch.cos):
            function(one)


_settle()
