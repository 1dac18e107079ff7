"""JSON that may be long, deflated where it is: the spec of a run names every feature, and some names are long."""

import base64
import json
import zlib
from typing import Any

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator

_LONG = 4_096  # characters
_DEFLATED = "$deflated"  # the one key of what stands in the place of a long value


class PackedJson(TypeDecorator[Any]):
    """A column of JSON objects in which short ones stand as they are. The order of keys stays; absent is NULL."""

    impl = JSON
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(none_as_null=True)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the object as it is stored."""
        text = None if value is None else json.dumps(value)
        if text is None or len(text) <= _LONG:
            return value
        return {_DEFLATED: base64.b64encode(zlib.compress(text.encode(), 1)).decode()}

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the object that was stored."""
        if not isinstance(value, dict) or value.keys() != {_DEFLATED}:
            return value
        return json.loads(zlib.decompress(base64.b64decode(value[_DEFLATED])))
