"""Whether a process of this machine was killed for want of memory, by the kernel's own count for its control group."""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from store import memory
from store.processes import ProcessIdentity

_RECENT_SECONDS = 10.0  # a large process takes seconds to die, and only then is seen to be dead


class Shortage:
    """Which group a process is in is remembered while it lives: of the dead nothing can be read any more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._groups: dict[ProcessIdentity, Path] = {}
        self._kills: dict[Path, int] = {}
        self._risen_at: dict[Path, float] = {}

    def look(self, processes: Iterable[ProcessIdentity]) -> None:
        """At those of which it may be asked next; others are forgotten."""
        known = {}
        for each in processes:
            group = self._groups.get(each) or (memory.group_of(each.pid) if each.is_alive() else None)
            if group is not None:
                known[each] = group
        self._groups = known
        for group in set(known.values()):
            self._count(group)

    def explains(self, process: ProcessIdentity) -> bool:
        """Why this process, which is dead, is: one of its group was killed a moment ago."""
        group = self._groups.get(process)
        if group is None:
            return False
        self._count(group)
        return self._clock() < self._risen_at.get(group, -math.inf) + _RECENT_SECONDS

    def _count(self, group: Path) -> None:
        count = memory.kills(group)
        if count is None:
            return
        if count > self._kills.get(group, count):
            self._risen_at[group] = self._clock()
        self._kills[group] = count
