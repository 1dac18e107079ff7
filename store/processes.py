"""Who a process is, so that another on the same machine can tell whether it lives; and dying with a parent."""

import ctypes
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
PRIVATE_UMASK = 0o077
BACKGROUND_NICENESS = 10  # of what computes for minutes beside processes that answer requests
_DEAD = ("Z", "X", "x")  # a zombie holds its pid and nothing else


@dataclass(frozen=True)
class ProcessIdentity:
    """A pid alone is reused, and means nothing in another container or after a boot; these four together do not lie."""

    boot_id: str
    pid_namespace: str
    pid: int
    start_time: int  # in clock ticks since the boot

    @classmethod
    def current(cls) -> Self:
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this pid now. Where there is no /proc it is one of which nothing is ever known."""
        stat = _stat(pid)
        return cls(*_here(), pid, stat[1] if stat else 0)

    def is_alive(self) -> bool | None:
        """None on any doubt: another machine or container, or no sight of the process from here."""
        here = _here()
        if here == ("", "") or (self.boot_id, self.pid_namespace) != here:
            return None
        stat = _stat(self.pid)
        if stat is None:
            return None if _hidden(self.pid) else False
        state, start_time = stat
        return start_time == self.start_time and state not in _DEAD

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(**value)


def keep_files_private() -> None:
    """Let nobody but this user read what this process, and those that it starts, write from now on."""
    os.umask(PRIVATE_UMASK)


def die_with_parent(with_signal: int = signal.SIGKILL, *, parent: int | None = None) -> bool:
    """Has the kernel send this process the signal when its parent dies; False where the kernel cannot (not Linux).

    `parent` is the pid it was started by: if that one is gone already, the signal is sent at once. The kernel watches
    the parent's thread that forked, so start children from a thread that lives as long as the process.
    """
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError, TypeError):
        return False
    if prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0) != 0:
        return False
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), with_signal)
    return True


def _here() -> tuple[str, str]:
    """The boot and the pid namespace we are in; two empty strings where there is no /proc to tell."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip(), str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return "", ""


def _stat(pid: int) -> tuple[str, int] | None:
    """The state and the start time of a process; None if there is nothing to be read of it."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold anything, spaces and brackets too
    return fields[0], int(fields[19])


def _hidden(pid: int) -> bool:
    """Whether a process is there though /proc does not show it, as with hidepid."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
