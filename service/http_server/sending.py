"""An answer on its way to a client: handed on as fast as it is taken, and made only as fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.http_server.connection import Connection
    from service.http_server.loop import Loop
    from service.http_server.reply import Reply
    from service.http_server.request import Request

_SLICE = 256 << 10  # of an answer that is handed to the operating system at once
_HIGH_WATER = 32 << 10  # of an answer that the system has not taken, at which no more is handed to it


class Sender:
    """Sends one answer after another on a connection, and tells it when one has been handed on."""

    def __init__(self, loop: Loop, connection: Connection) -> None:
        self._loop = loop
        self._connection = connection
        self._request: Request | None = None  # that is answered
        self._reply: Reply | None = None  # that is being sent
        self._piece = memoryview(b"")  # of it, that the system has not been given yet
        self._is_chunked = False
        self._is_asking = False  # for the next piece, in a thread
        self.is_paused = False  # the client takes nothing

    def start(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)

    def is_busy(self) -> bool:
        return self._reply is not None

    def is_streaming(self) -> bool:
        return self._reply is not None and self._reply.is_stream()

    def send(self, request: Request, reply: Reply, head: bytes, *, is_chunked: bool) -> None:
        """Send the head and the body of an answer."""
        if reply.rest is None and not is_chunked and len(reply.first) <= _SLICE:
            self._transport.write(head + reply.first)
            self._connection.answered()
            return
        self._transport.write(head)
        self._request, self._reply, self._is_chunked = request, reply, is_chunked
        self._put(reply.first)
        reply.first = b""
        self._pump()

    def resume(self) -> None:
        """Go on: the client has taken what there was."""
        self.is_paused = False
        self._pump()

    def stop(self) -> None:
        """Give up what is being sent: the connection is lost."""
        if self._reply is not None and not self._is_asking:
            self._loop.in_thread(self._reply.close)
        self._loop.hold(-len(self._piece))
        self._piece = memoryview(b"")

    def go_on(self, reply: Reply, piece: bytes | None, *, failed: bool) -> None:
        """Take the next piece of the answer from the thread that made it; None after the last."""
        self._is_asking = False
        if self._connection.is_lost:
            self._loop.in_thread(reply.close)
        elif failed:
            self._transport.abort()  # the client must see that this is not all
        else:
            if piece is not None:
                self._put(piece)
            self._pump()

    def _put(self, piece: bytes) -> None:
        if self._is_chunked and piece:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self._piece = memoryview(piece)
        self._loop.hold(len(piece))

    def _pump(self) -> None:
        """Hand the answer on as fast as the client takes it, and ask for more of it only then."""
        while self._reply is not None and not (self.is_paused or self._connection.is_lost or self._is_asking):
            if self._piece:
                part, self._piece = self._piece[:_SLICE], self._piece[_SLICE:]
                self._loop.hold(-len(part))
                self._transport.write(part)
            elif self._reply.rest is not None and self._request is not None:
                self._is_asking = True
                self._loop.next_piece(self, self._request, self._reply)
            else:
                if self._is_chunked:
                    self._transport.write(b"0\r\n\r\n")
                self._reply = self._request = None
                self._connection.answered()
