"""Holding an answer back until there is something new to say, instead of a caller asking ten times a second."""

import threading
import time
from collections.abc import Callable

from flask import Response, request

from service import preconditions, stopping

_WAITERS = 24  # each holds one of the server's 32 threads; past this a wait is answered at once
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2

_free = threading.BoundedSemaphore(_WAITERS)


def when_changed(read: Callable[[], Response], seconds: float, *, is_final: bool) -> Response:
    """`read()` at once where the caller has not seen it yet, else as soon as it changes, the seconds are over, or this
    process is asked to stop.

    What a caller has seen is its If-None-Match, or without one what there is now. A final run is not waited for.
    """
    response = read()
    seen = response.headers["ETag"]
    preconditions.check_match(seen)
    unseen = preconditions.IF_NONE_MATCH in request.headers and not preconditions.is_known(seen)
    if not seconds or is_final or unseen or not _free.acquire(blocking=False):
        return preconditions.unless_known(response)
    try:
        until, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while response.headers["ETag"] == seen and (left := until - time.monotonic()) > 0:
            if stopping.asked.wait(min(pause, left)):
                break
            pause = min(pause * 1.1, _LONGEST_PAUSE)
            response = read()
        return preconditions.unless_known(response)
    finally:
        _free.release()
