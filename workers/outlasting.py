"""An attempt outlives its store: what it must do there it does again and again while that is away or full."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from store.errors import Unavailable
from workers.drain import Drain
from workers.heartbeat import Heartbeat

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 15 * 60.0  # how long it outlives its store
AWAY_SECONDS = 3.0  # between two tries while that is away

Answer = TypeVar("Answer")


def outlast(action: Callable[[], Answer], heart: Heartbeat, drain: Drain, *, until_cancelled: bool = True) -> Answer:
    """Do it, however often it takes.

    Raises Fenced when the attempt is over; Unavailable when it takes too long, or there is no time for it: the worker
    shuts down, or nobody wants the attempt any more.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return action()
        except Unavailable as reason:
            heart.advance()  # waiting is not hanging
            heart.check()
            cancelled = until_cancelled and heart.requested == "cancel"
            if time.monotonic() > until or drain.is_asked or cancelled:
                raise
            log.warning("the store is away; trying again", of=heart.of, reason=str(reason))
            time.sleep(AWAY_SECONDS)
