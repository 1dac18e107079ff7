"""Answers in JSON, and files: plain ones, and those that carry an ETag over their very bytes."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider

JSON = "application/json"
CACHED_BUT_ASKED_FOR = "private, no-cache"
BINARY = "application/octet-stream"


class Provider(JSONProvider):
    """What flask says as JSON, said by orjson: keys in their order, and NaN as null."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(orjson.dumps(self._prepare_response_obj(args, kwargs)), content_type=JSON)


def encoded(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def encoded_value(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def plain(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(body), status=status, headers=dict(headers or {}), content_type=JSON)


def tagged(body: Mapping[str, Any], status: int = 200) -> Response:
    """Return the body with its ETag."""
    return _tagged(Response(orjson.dumps(body), status=status, content_type=JSON))


def etag(body: Mapping[str, Any] | bytes) -> str:
    """Return the ETag of this JSON, or of these bytes."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def file(content: bytes, name: str) -> Response:
    """Return the file to be saved under this name, with its ETag."""
    response = _tagged(Response(content, content_type=BINARY))
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _tagged(response: Response) -> Response:
    response.headers["Cache-Control"] = CACHED_BUT_ASKED_FOR
    response.headers["ETag"] = etag(response.get_data())
    return response
