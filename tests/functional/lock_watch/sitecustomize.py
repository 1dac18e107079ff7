"""Loaded by each Python process whose PYTHONPATH has this folder: measures how long an API process's lock is held.

A thread asks for the interpreter's lock every millisecond and notes how long it waits. Several threads may have had
the lock meanwhile, in turn, and the machine may have run other processes. One thread has held it for at most as long
as it has computed since. So the longest hold is at most the shorter of the wait and the most that a thread has
computed. Those over 10 ms are appended to the file that LEARND_LOCK_WATCH names.
"""

import json
import os
import sys
import threading
import time
import traceback

_EVERY_SECONDS = 0.001
_TOLD_SECONDS = 0.010


def _watch(path: str) -> None:
    own = threading.get_native_id()
    with open(path, "a", buffering=1) as file:  # noqa: PTH123 - nothing else is imported at a process's start
        while True:
            computed = {thread: _computed(thread) for thread in _threads() if thread != own}
            began = time.monotonic()
            time.sleep(_EVERY_SECONDS)
            waited = time.monotonic() - began - _EVERY_SECONDS
            if waited < _TOLD_SECONDS:
                continue
            since, thread = max((_computed(thread) - before, thread) for thread, before in computed.items())
            held = min(waited, since)
            if held > _TOLD_SECONDS:
                found = {"held": held, "waited": waited, "thread": _name(thread), "stack": _stack(thread)}
                file.write(json.dumps(found) + "\n")


def _threads() -> list[int]:
    return [thread.native_id for thread in threading.enumerate() if thread.native_id is not None]


def _computed(thread: int) -> float:
    """Return the processor time of a thread in seconds; none of one that has ended."""
    try:
        return time.clock_gettime(~thread << 3 | 6)  # as pthread_getcpuclockid makes it, which must not be given others
    except OSError:
        return 0.0


def _named(native: int) -> threading.Thread | None:
    return next((thread for thread in threading.enumerate() if thread.native_id == native), None)


def _name(native: int) -> str:
    thread = _named(native)
    return thread.name if thread else ""


def _stack(native: int) -> list[str]:
    thread = _named(native)
    frame = sys._current_frames().get(thread.ident or 0) if thread else None
    return traceback.format_stack(frame, 4) if frame else []


def _start() -> None:
    threading.Thread(target=_watch, args=(os.environ["LEARND_LOCK_WATCH"],), name="lock-watch", daemon=True).start()


if "service.server" in sys.orig_argv and "LEARND_LOCK_WATCH" in os.environ:
    os.register_at_fork(after_in_child=_start)
