"""How a worker is asked to end: children finish the pulse they are in, hand their run back and claim no other."""

import mmap
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Drain:
    """One byte of memory that the parent shares with every child it forks, and a flag of this process alone.

    The parent's signal never reaches a child by itself, and a signal to the whole process group reaches both; either
    way is noticed at the next pulse.
    """

    def __init__(self) -> None:
        self._all = mmap.mmap(-1, 1)
        self._mine = False

    @property
    def is_asked(self) -> bool:
        return self._mine or self._all[0] == 1

    @property
    def is_mine_alone(self) -> bool:
        return self._mine and self._all[0] == 0

    def ask_all(self) -> None:
        self._all[0] = 1

    @contextmanager
    def taking_sigterm(self) -> Iterator[None]:
        """While inside, SIGTERM only asks; outside, an idle child dies of it as usual."""
        before = signal.signal(signal.SIGTERM, self._take)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _take(self, *_: object) -> None:
        self._mine = True
