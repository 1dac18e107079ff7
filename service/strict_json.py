"""JSON as the contract wants it: what `json.loads` lets pass is refused, each with the path of what is wrong.

Not JSON, not an object or not UTF-8 is `Malformed` (400). NaN, Infinity, a number beyond float64, a key that stands
twice, half a surrogate pair, a NUL, or nesting over 16 is well-formed but wrong: `Invalid` (422).
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import orjson

from service.problems import Errors, Invalid, Malformed

DEEPEST = 16
_MOST_ERRORS = 100
_FEW = 1 << 18  # values of a body that is not read in pieces: parsing them holds Python's lock
_SLICE = 1 << 20  # bytes that are counted at a time

_LONGEST_INTEGER = 400  # digits; past float64 long before, and int() of a million digits takes seconds
_UNFIT = re.compile("[\x00\ud800-\udfff]")


class _Doubled(dict[str, Any]):
    """An object in which a key stood twice; the walk that follows knows its path."""

    keys_doubled: tuple[str, ...]


def parse(body: bytes) -> dict[str, Any]:
    if len(body) > _FEW and sum(map(body.count, (b",", b"[", b"{"))) > _FEW:
        raise Invalid({"": f"at most {_FEW} values"}, f"The body holds more than {_FEW} values.")
    value = _loads(body, body, 0)
    if not isinstance(value, dict):
        raise Malformed("The body must be a JSON object.")
    _check(_faults(value, "", 1))
    return value


def parse_value(body: bytes, start: int, end: int, path: Sequence[str]) -> Any:
    """Return the value that stands there in a body. Raises Malformed, and Invalid with paths below `path`."""
    text = body[start:end]
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    else:
        if _is_sure(text, value):
            return value
    value = _loads(text, body, start)
    _check(_faults(value, ".".join(path), len(path) + 1))
    return value


def parse_elements(body: bytes, start: int, end: int, path: Sequence[str], first: int) -> list[Any]:
    """Return the elements of an array that stand there in a body. Raises Malformed, and Invalid below `path`.

    `first` is the index of the first one of them.
    """
    text = b"[%b]" % body[start:end]
    try:
        value: list[Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = []
    if not value or not _is_sure(text, value):
        value = _loads(text, body, start - 1)
        for index, each in enumerate(value, first):
            _check(_faults(each, ".".join((*path, str(index))), len(path) + 2))
    if not value:
        raise malformed(body, "Expecting value", end)
    return value


def malformed(body: bytes, what: str, at: int) -> Malformed:
    """Return the refusal of a body that is no JSON from this byte on."""
    line = 1 + sum(body.count(b"\n", start, min(start + _SLICE, at)) for start in range(0, at, _SLICE))
    begin = body.rfind(b"\n", 0, at) + 1
    # A character's bytes after its first are 10xxxxxx.
    column = 1 + int(np.count_nonzero((np.frombuffer(body, np.uint8)[begin:at] & 0xC0) != 0x80))
    return Malformed(f"The body is not JSON: {what} at line {line}, column {column}.", line=line, column=column)


def _loads(text: bytes, body: bytes, start: int) -> Any:
    """Return the value that `text` is, which stands in the body from `start` on."""
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {start + error.start}.") from None
    try:
        return json.loads(decoded, object_pairs_hook=_object, parse_int=_integer)
    except RecursionError:
        raise Invalid({"": f"nesting of at most {DEEPEST}"}, f"The body nests deeper than {DEEPEST}.") from None
    except json.JSONDecodeError as error:
        raise malformed(body, error.msg, start + len(decoded[: error.pos].encode())) from None


def _check(faults: Iterable[tuple[str, str]]) -> None:
    errors: Errors = {}
    for path, message in islice(faults, _MOST_ERRORS):
        errors.setdefault(path, []).append(message)
    if errors:
        raise Invalid(errors)


def _is_sure(text: bytes, value: Any) -> bool:
    """Whether no key can have stood twice, nor half a surrogate pair or a NUL in a text.

    A doubled key loses its quotes: what has no escapes has as many quotes as what was read from it.
    """
    if b"\\" in text:
        return False
    quotes = text.count(b'"')
    return not quotes or quotes == orjson.dumps(value).count(b'"')


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
    """The same refusals by a parser that is ten times as fast. Numbers past float64 come out infinite.

    It keeps silent about doubled keys, half surrogate pairs and NUL: a body in doubt goes to the slow and sure one.
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
