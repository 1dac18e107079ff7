"""What a process holds of memory and may hold at most, and how often the kernel has killed for want of it.

Read from /proc and from the control groups of Linux, in either of their versions; elsewhere little or nothing is known.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")
_NEARLY = 0.9  # of its limit: whoever held that much when last seen, and is gone, is taken to have asked for more


@dataclass(frozen=True)
class Memory:
    """Bytes that a process holds, pages of libraries included, and how many it may hold."""

    held: int
    limit: int

    @classmethod
    def here(cls) -> Self | None:
        """Of this process; None where that cannot be told."""
        held = _held()
        return None if held is None else cls(held, limit())

    @property
    def is_nearly_all(self) -> bool:
        return self.held >= _NEARLY * self.limit


def limit() -> int:
    """Bytes that this process may hold: what the machine has, or its control group and all those around it allow."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    group = group_of(os.getpid())
    for folder in _with_those_around(group) if group else ():
        found += _numbers(folder / "memory.max") + _numbers(folder / "memory.limit_in_bytes")
    return min(found)


def group_of(pid: int) -> Path | None:
    """The control group that bounds the memory of the process that has this pid now; None if there is none to see."""
    try:
        lines = (_PROC / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    found: Path | None = None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):  # version 1, which has the say where both are there
            return _folder(_GROUPS / "memory", path)
        if not controllers:
            found = _folder(_GROUPS, path)
    return found


def kills(group: Path) -> int | None:
    """How many processes of the group the kernel has killed for want of memory; None if that cannot be read."""
    for name in ("memory.events", "memory.oom_control"):
        try:
            lines = (group / name).read_text().splitlines()
        except OSError:
            continue
        counts = dict(line.split(" ", 1) for line in lines)
        if "oom_kill" in counts:
            return int(counts["oom_kill"])
    return None


def _held() -> int | None:
    try:
        pages = (_PROC / "self/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _folder(root: Path, path: str) -> Path:
    """In a container the group's own folder may be all that is mounted, whatever its path is outside."""
    folder = root / path.removeprefix("/")
    return folder if folder.exists() else root


def _with_those_around(group: Path) -> Iterator[Path]:
    yield group
    for folder in group.parents:
        if not folder.is_relative_to(_GROUPS):
            return
        yield folder


def _numbers(file: Path) -> list[int]:
    """None of them where the file is missing, or says "max"."""
    try:
        return [int(file.read_text())]
    except (OSError, ValueError):
        return []
