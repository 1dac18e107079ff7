"""What a caller sent and no view read: taken off the wire, so that the connection can carry the next request.

The HTTP server closes a connection whose request was answered before its body was read, and says so to nobody. A client
that keeps connections, as most libraries do, would then see its next request cut off.
"""

from flask import Flask, Response, request

_AT_MOST = 8 << 20  # a larger rest is not worth reading: the answer says that the connection ends
_PIECE = 1 << 16


def register(app: Flask) -> None:
    app.after_request(_take)


def _take(response: Response) -> Response:
    body = request.environ["wsgi.input"]
    left = _AT_MOST
    while left > 0 and (piece := body.read(_PIECE)):
        left -= len(piece)
    if left <= 0:
        response.headers["Connection"] = "close"
    return response
