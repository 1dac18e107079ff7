"""Waiting for a signal and for nothing else: SIGINT and SIGTERM ask to stop, SIGCHLD only wakes."""

import select
import signal
import socket
from types import TracebackType
from typing import Self

_STOPPING = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """While entered, signals are not acted on where they strike but read here, one after another."""

    def __enter__(self) -> Self:
        self._reading, writing = socket.socketpair()
        self._writing = writing
        for end in (self._reading, writing):
            end.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        # A handler must be there for the number to be written; it has nothing left to do.
        self._handlers = {each: signal.signal(each, lambda *_: None) for each in (*_STOPPING, signal.SIGCHLD)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each, handler in self._handlers.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._reading.close()
        self._writing.close()

    def stop_asked(self, seconds: float) -> bool:
        """Wait for any signal, at most so long; true if one that came asks to stop."""
        if not select.select([self._reading], [], [], seconds)[0]:
            return False
        return any(number in _STOPPING for number in self._reading.recv(4096))
