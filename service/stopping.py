"""Whether this process was asked to stop: what is held back for a caller ends then, so that the stop need not wait."""

import signal
import socket
import threading

asked = threading.Event()

_STOPPING = (signal.SIGINT, signal.SIGTERM)


def watch() -> None:
    """From now on SIGTERM or SIGINT sets `asked`; to be called in the main thread.

    The HTTP server puts its own handlers in the place of any that were there, so the signals' numbers are read where
    Python writes them before it calls a handler.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_read, args=(reading, writing), name="stopping", daemon=True).start()


def _read(reading: socket.socket, _writing: socket.socket) -> None:  # which is open for as long as somebody holds it
    while not any(number in _STOPPING for number in reading.recv(4096)):
        pass
    asked.set()
