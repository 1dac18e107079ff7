"""One client's connection: requests are received whole, answered one after the other, and cut off when they stall."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools

from service.http_server.body import Body
from service.http_server.reply import Reply, head
from service.http_server.request import BadHead, Request
from service.http_server.sending import Sender

if TYPE_CHECKING:
    from service.http_server.loop import Loop

NEVER = float("inf")
_NO_BODY = ("1", "204", "304")


class Connection(asyncio.Protocol):
    """States, told by `_requests`: none (idle), the first still coming, the first with the application, or answered."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._limits = loop.limits
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[Request] = deque()
        self._coming: Request | None = None  # whose head or body comes in
        self._fault: BadHead | None = None
        self._sender = Sender(loop, self)
        self._is_waiting = False  # for a thread that has to do with a body that comes in
        self._is_reading = True
        self._buffered = 0  # bytes that the system had not taken when this was last looked at
        self._ends = False  # after the answer that is being sent
        self._has_ended = False  # the client's side: it sends nothing more
        self._in_head = True
        self._is_lingering = False
        self._window_bytes = 0  # of a body, since the deadline was set
        self.is_lost = False
        self.deadline = NEVER
        self.client = ""

    # What the event loop tells.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._sender.start(transport)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else ""
        self.deadline = time.monotonic() + self._limits.head_seconds
        self._loop.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.is_lost = True
        self.deadline = NEVER
        self._loop.remove(self)
        for request in self._requests:
            if not request.is_given or request.is_answered:
                self._forget(request)
        self._sender.stop()

    def eof_received(self) -> bool:
        """Return whether the connection stays open for answers: a client may end its side after a whole request."""
        if self._coming is not None and not self._is_lingering and not self._coming.is_refused:
            self._refuse(BadHead(400, "The body, or the head, ended early."))
        self._has_ended = True
        if self._sender.is_streaming():
            return False  # who reads a stream to its end has no reason to end its own side: it has gone away
        return not self._is_lingering and any(not each.is_answered for each in self._requests)

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            self._window_bytes += len(data)
            if self._window_bytes > self._limits.drained_bytes:
                self._transport.abort()
            return
        if not self._in_head and not self._requests:
            self._in_head = True
            self.deadline = time.monotonic() + self._limits.head_seconds
        self._feed(data)
        coming = self._coming
        if self._fault is None and coming is not None and not coming.has_head:
            coming.head_bytes += len(data)
            self._fault = coming.excess(self._limits)
        if self._fault is not None:
            self._refuse(self._fault)
            return
        if coming is not None and coming.has_head:
            self._window_bytes += len(data)
            self._move_body(coming)
        self._advance()
        self._set_reading()

    def pause_writing(self) -> None:
        self._sender.is_paused = True
        self._await_reader()

    def resume_writing(self) -> None:
        self.deadline = NEVER
        self._sender.resume()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._fault is None:  # the parser takes what follows for the other protocol, which is never spoken
                request = self._requests.pop()
                self._parser = httptools.HttpRequestParser(self)
                self._feed(request.without_upgrade() + data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            raise  # a mistake of ours
        except httptools.HttpParserError:
            self._fault = self._fault or BadHead(400, "The request could not be understood.")

    # What the parser tells.

    def on_message_begin(self) -> None:
        request = Request(Body(self._loop.folder))
        self._coming = request
        self._requests.append(request)
        if len(self._requests) > self._limits.pipelined:
            self._fault = BadHead(429, "Too many requests were sent ahead of their answers.")

    def on_url(self, url: bytes) -> None:
        assert self._coming is not None
        self._coming.target += url
        self._coming.head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._coming
        if request is None or request.has_head:  # a trailer, of which nothing is taken
            return
        request.headers.append((name.lower(), value))
        request.head_bytes += len(name) + len(value)
        self._fault = self._fault or request.excess(self._limits)

    def on_headers_complete(self) -> None:
        request = self._coming
        if request is None or self._fault is not None:
            return
        parser = self._parser
        try:
            request.end_head(
                parser.get_method().decode("latin-1"),
                parser.get_http_version(),
                keep_alive=parser.should_keep_alive(),
            )
        except BadHead as fault:
            self._fault = fault
        self._in_head = False
        self._window_bytes = 0
        self.deadline = time.monotonic() + self._limits.body_seconds

    def on_body(self, piece: bytes) -> None:
        request = self._coming
        if request is None:
            return
        if request.is_refused:
            request.dropped += len(piece)
            if request.dropped > self._limits.drained_bytes:
                self._ends = True
            return
        request.body.add(piece)
        self._loop.bodies += len(piece)
        if request.limit is not None and request.body.size > request.limit:
            self._refuse_body(request)

    def on_message_complete(self) -> None:
        request, self._coming = self._coming, None
        if request is not None:
            request.is_whole = True
            if not request.is_given:
                self.deadline = NEVER

    # Receiving.

    def _move_body(self, request: Request) -> None:
        """Write what has come to a file where there is much of it; nothing more is read meanwhile."""
        body, limits = request.body, self._limits
        if request.is_whole or not body.waiting or request.is_refused:
            return
        if body.waiting > limits.body_memory or self._loop.bodies > limits.bodies_memory:
            self._loop.bodies -= body.waiting
            pieces = body.take()
            self._is_waiting = True
            self._loop.in_thread(lambda: body.write(pieces), lambda: self._written(request))

    def _written(self, request: Request) -> None:
        self._is_waiting = False
        if self.is_lost:
            self._forget(request)
            return
        if request.body.error is not None and not request.is_refused:
            request.limit = 0  # the answer tells why nothing more is taken
            self._refuse_body(request, keep=True)
        self._advance()
        self._set_reading()

    def _set_reading(self) -> None:
        """Read on unless a thread is at work on a body, or another request waits for its turn already."""
        reads = self._is_lingering or not (self._is_waiting or len(self._requests) > 1)
        if reads != self._is_reading and not self._transport.is_closing():
            self._is_reading = reads
            if reads:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _refuse_body(self, request: Request, *, keep: bool = False) -> None:
        request.is_refused = True
        request.dropped += request.body.size
        if not keep:
            self._forget(request)

    def _forget(self, request: Request) -> None:
        """Let go of its body; a file is removed in a thread."""
        self._loop.bodies -= request.body.waiting
        if request.body.path is not None:
            self._loop.in_thread(request.body.discard)
        else:
            request.body.discard()

    # Giving requests to the application.

    def _advance(self) -> None:
        """Give the first request to the application, or ask it whether it wants its body."""
        if self._is_waiting or self.is_lost or self._is_lingering:
            return
        while self._requests and self._requests[0].is_answered and self._requests[0].is_whole:
            self._forget(self._requests.popleft())
        if not self._requests:
            if self._has_ended:
                self._transport.close()
            elif self._coming is None:
                self.deadline = time.monotonic() + self._limits.idle_seconds
            return
        request = self._requests[0]
        if request.is_given or not request.has_head:
            return
        if request.is_whole or request.is_refused:
            self._give(request)
        elif request.limit is None:
            self._is_waiting = True
            self._loop.ask(self, request)

    def wanted(self, request: Request, limit: int | None) -> None:
        """Take the application's word: how many bytes of the body it takes, None for none of it."""
        self._is_waiting = False
        if self.is_lost:
            return
        length = request.length
        if limit is None or (length is not None and length > limit) or request.body.size > limit:
            self._refuse_body(request)
        else:
            request.limit = limit
            if request.expects_continue and not request.body.size:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._advance()
        self._set_reading()

    def _give(self, request: Request) -> None:
        request.is_given = True
        if request.is_whole:
            self.deadline = NEVER
        self._loop.answer(self, request)

    # Answering.

    def send(self, request: Request, reply: Reply) -> None:
        """Send the answer of the application to the request that was given to it."""
        if self.is_lost or self._is_lingering or (self._has_ended and reply.is_stream()):
            self._forget(request)
            self._loop.in_thread(reply.close)
            self._transport.close()
            return
        more = [("Date", self._loop.date)]
        has_body = request.method != "HEAD" and not reply.status.startswith(_NO_BODY)
        is_chunked = False
        told = {name.lower(): value.lower() for name, value in reply.headers if name.lower() == "connection"}
        if reply.length is None and has_body:
            if reply.rest is None:
                more.append(("Content-Length", str(len(reply.first))))
            elif request.version == "1.1":
                is_chunked = True
                more.append(("Transfer-Encoding", "chunked"))
            else:
                self._ends = True
        self._ends |= not request.keep_alive or self._loop.is_stopping or told.get("connection") == "close"
        if not request.is_whole and request.length is not None:
            self._ends |= request.length > self._limits.drained_bytes
        if self._ends and not told:
            more.append(("Connection", "close"))
        elif request.version == "1.0" and not told:
            more.append(("Connection", "keep-alive"))
        content = head(reply, more)
        if has_body:
            self._sender.send(request, reply, content, is_chunked=is_chunked)
            return
        if reply.rest is not None:
            self._loop.in_thread(reply.close)
        self._transport.write(content)
        self.answered()

    def answered(self) -> None:
        """Go on once the whole answer was handed to the system."""
        request = self._requests[0]
        request.is_answered = True
        self._forget(request)
        if self._ends:
            self._linger()
            return
        if not request.is_whole:
            self._window_bytes = 0
            self.deadline = time.monotonic() + self._limits.body_seconds
        self._advance()
        self._set_reading()

    # Ending.

    def _refuse(self, fault: BadHead) -> None:
        """Answer a request that is none, and end the connection. Answers that are under way are given up."""
        self._fault = fault
        if self._is_lingering or self.is_lost:
            return
        if not self._sender.is_busy() and not any(each.is_given and not each.is_answered for each in self._requests):
            reply = self._loop.refusal(fault)
            more = [("Date", self._loop.date), ("Connection", "close"), ("Content-Length", str(len(reply.first)))]
            self._transport.write(head(reply, more) + reply.first)
        self._linger()

    def _linger(self) -> None:
        """End our side, and read on for a moment: a close with unread bytes would take the answer from the client."""
        if self.is_lost or self._is_lingering:
            return
        self._is_lingering = True
        self._window_bytes = 0
        self._coming = None
        self._set_reading()
        for request in self._requests:
            if not request.is_given:
                self._forget(request)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self.deadline = time.monotonic() + self._limits.linger_seconds

    def stop(self) -> None:
        """End the connection now if it is idle, else with the answer that is under way."""
        self._ends = True
        if not self._requests:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_idle(self) -> bool:
        return not self._requests

    def is_stalled(self) -> bool:
        """Return whether it waits for its client to take an answer."""
        return self._sender.is_paused

    def _await_reader(self) -> None:
        self._buffered = self._transport.get_write_buffer_size()
        self.deadline = time.monotonic() + self._limits.write_seconds

    def at_deadline(self) -> None:
        """Go on with a client that has done enough since the deadline was set; end any other."""
        if self._sender.is_paused:
            if self._transport.get_write_buffer_size() < self._buffered:
                self._await_reader()
            else:
                self._transport.abort()
            return
        if self._is_lingering or self._transport.is_closing() or self._transport.get_write_buffer_size():
            self._transport.abort()
            return
        coming = self._coming
        if coming is None:
            if not self._requests:
                self._transport.close()
            else:
                self.deadline = NEVER
        elif not coming.has_head:
            self._refuse(BadHead(408, "The head of the request did not come in time."))
        elif self._window_bytes >= self._limits.body_bytes or self._is_waiting:
            self._window_bytes = 0
            self.deadline = time.monotonic() + self._limits.body_seconds
        elif coming.is_answered:
            self._linger()
        elif coming.is_given:
            self._ends, self.deadline = True, NEVER
        else:
            self._refuse(BadHead(408, "The body of the request came too slowly."))
