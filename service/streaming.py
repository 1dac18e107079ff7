"""The events of a run as they happen, in the form that browsers know as server-sent events.

    id: 3
    event: run.progress
    data: {"seq":3,"object":"event","type":"run.progress","created_at":"…","data":{…}}

`data` is what the list shows. The last is `event: end` with the run's status, and has no id, for it is no event of the
run. Whatever cuts the stream, a caller that comes back with the last id as `Last-Event-ID` misses nothing.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import orjson
from flask import Response

from service import stopping
from service.problems import Unauthorized, Unavailable
from service.schemas.metrics import EventOut
from store.errors import NotFound
from store.errors import Unavailable as Away
from store.events import Event, News
from store.states import FINAL

MEDIA_TYPE = "text/event-stream"

_HELLO = b"retry: 1000\n\n"  # milliseconds, after which a browser that was cut off comes back
_NO_MORE = b"retry: 3600000\n\n"  # an EventSource that nobody closes would ask for the end every second
_ALIVE = b": alive\n\n"  # a comment, for whoever ends connections that are silent
_NOTHING = b""  # sends nothing, but the server ends the stream here if its caller has gone away
_SILENT_SECONDS = 15.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_DELETED = "deleted"

_EVENT = EventOut()

Read = Callable[[int], News]


class Streams:
    """The places for streams in this process: each holds a thread of the server for as long as it is open."""

    def __init__(self, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)

    def open(self, read: Read, after: int) -> Response:
        """The events after that seq, from `read(seq)`, until the run has ended. Raises what the first `read` raises,
        and Unavailable where every place is taken.
        """
        news = read(after)
        if not self._free.acquire(blocking=False):
            raise Unavailable("Every place for an event stream is taken. Try again, or ask for application/json.")
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        response = Response(_written(read, news, after), headers=headers, content_type=MEDIA_TYPE)
        place = ExitStack()  # given back once, however often a response is closed
        place.callback(self._free.release)
        response.call_on_close(place.close)
        return response


def _written(read: Read, news: News, seq: int) -> Iterator[bytes]:
    pause, spoke_at = _FIRST_PAUSE, time.monotonic()
    piece = _HELLO
    while True:
        if news.events:
            piece += b"".join(map(_told, news.events))
            seq, pause = news.events[-1].seq, _FIRST_PAUSE
        elif news.status in FINAL or news.status == _DELETED:
            yield piece + _ending(news.status)
            return
        if piece:
            spoke_at = time.monotonic()
        yield piece
        if not news.events:
            if stopping.asked.wait(pause):
                return
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        piece = _ALIVE if time.monotonic() - spoke_at > _SILENT_SECONDS else _NOTHING
        try:
            news = _news(read, seq)
        except Unauthorized:
            return  # a client that comes back is told why


def _news(read: Read, seq: int) -> News:
    try:
        return read(seq)
    except NotFound:
        return News(_DELETED, [])
    except Away:
        return News("", [])  # it is no news that the database is away: the stream outlives that


def _told(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.type.encode(), orjson.dumps(_EVENT.dump(event)))


def _ending(status: str) -> bytes:
    return b"%sevent: end\ndata: %s\n\n" % (_NO_MORE, orjson.dumps({"status": status}))
