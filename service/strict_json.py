"""JSON as the contract wants it: what `json.loads` lets pass is refused, each with the path of what is wrong.

Not JSON, not an object or not UTF-8 is `Malformed` (400). NaN, Infinity, a number beyond float64, a key that stands
twice, half a surrogate pair, a NUL, or nesting over 16 is well-formed but wrong: `Invalid` (422).
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from service.problems import Errors, Invalid, Malformed

DEEPEST = 16

_LONGEST_INTEGER = 400  # digits; past float64 long before, and int() of a million digits takes seconds
_UNFIT = re.compile("[\x00\ud800-\udfff]")


class _Doubled(dict[str, Any]):
    """An object in which a key stood twice; the walk that follows knows its path."""

    keys_doubled: tuple[str, ...]


def parse(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {error.start}.") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except RecursionError:
        raise Invalid({"": f"nesting of at most {DEEPEST}"}, f"The body nests deeper than {DEEPEST}.") from None
    except json.JSONDecodeError as error:
        raise Malformed(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            line=error.lineno,
            column=error.colno,
        ) from None
    if not isinstance(value, dict):
        raise Malformed("The body must be a JSON object.")
    errors: Errors = {}
    for path, message in _faults(value, "", 1):
        errors.setdefault(path, []).append(message)
    if errors:
        raise Invalid(errors)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = _Doubled(found)
    doubled.keys_doubled = tuple(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
    return doubled


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else math.inf


def _faults(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    match value:
        case float() if not math.isfinite(value):
            yield path, "a finite number"
        case str() if _UNFIT.search(value):
            yield path, "text without NUL and without half a surrogate pair"
        case dict() | list() if depth > DEEPEST:
            yield path, f"nesting of at most {DEEPEST}"
        case dict():
            for key in getattr(value, "keys_doubled", ()):
                yield f"{path}.{key}".lstrip("."), "stands here twice; once is allowed"
            for key, inner in value.items():
                if _UNFIT.search(key):
                    yield path, "names without NUL and without half a surrogate pair"
                else:
                    yield from _faults(inner, f"{path}.{key}" if path else key, depth + 1)
        case list():
            for index, inner in enumerate(value):
                yield from _faults(inner, f"{path}.{index}" if path else str(index), depth + 1)


def parse_parameter(name: str, text: str) -> dict[str, Any]:
    """A query parameter that is an object. Everything wrong with it is Invalid, at its name."""
    try:
        return parse(text.encode())
    except Malformed:
        raise Invalid({name: 'a JSON object, like {"zip":"categorical"}'}) from None
    except Invalid as error:
        raise Invalid({f"{name}.{path}".rstrip("."): messages for path, messages in error.errors.items()}) from None


def parse_large(body: bytes) -> dict[str, Any]:
    """The same refusals for bodies of megabytes, by a parser that is ten times as fast.

    It keeps silent about doubled keys, but they lose their quotes: a body without escapes has as many quotes as what
    was read from it. Whatever is in doubt goes to the slow and sure one. Numbers past float64 come out infinite.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return parse(body)
    if not isinstance(value, dict):
        raise Malformed("The body must be a JSON object.")
    if b"\\" in body:
        return parse(body)
    quotes = body.count(b'"')
    if quotes == 2 * len(value):  # of the outermost names: there is no other text
        return value
    return value if quotes == orjson.dumps(value).count(b'"') else parse(body)
