"""The doorbell: a message says "look", and nothing else that stands in it is believed."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import structlog
from celery.worker.consumer import Consumer

log = structlog.get_logger(__name__)

TASK = "learnd.work"
_NOTHING = b"[[], {}, {}]"  # no arguments, by position or name, and nothing to be called afterwards
_AWAY_SECONDS = 2.0  # between two tries while the broker is away; Celery's own grow to 30


class Listener(Consumer):  # type: ignore[misc] # Celery is untyped
    """Hears bells. Whoever forged one cannot make it anything more.

    No time limit that would kill a child in the middle of a run, no hour until which it waits in memory, no other task,
    nothing that a later reader would trip over.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loop: Callable[..., None] = partial(_past_garbage, self.loop)

    def ensure_connected(self, conn: Any) -> Any:
        """A broker that was away for long is found as soon as one that blinked: runs are waiting for it."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_start=_AWAY_SECONDS, interval_step=0)
        return super().ensure_connected(conn)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        hear = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> None:
            if not isinstance(message.headers, dict) or message.headers.get("task") != TASK:
                log.warning("what is no bell was left in a queue")
                message.ack_log_error(log, ())
                return
            message.headers = {"task": TASK, "id": str(uuid4()), "lang": "py"}
            message.body, message.content_type, message.content_encoding = _NOTHING, "application/json", "utf-8"
            hear(message)

        return on_message


def _past_garbage(loop: Callable[..., None], *args: Any) -> None:
    """The consumer's loop, kept alive.

    What is not even the transport's own JSON has left the queue when parsing it fails: connecting again goes on with
    the next, where the error itself would end the worker, and with it the run it trains.
    """
    try:
        loop(*args)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConnectionResetError("a message could not be parsed") from error
