"""Large JSON bodies, read in pieces, so that no step holds Python's lock for more than a few milliseconds.

`parse` leaves the long arrays of a body unread. It finds where their elements begin and end, counts them, and refuses
too many before one of them has become an object. `Pieces` parses the elements later, some at a time. What a body means,
and what is refused in it, is the same as by `strict_json`, but for one limit: what is no long array, and each element
of one, is at most LONGEST_BYTES.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import strict_json
from service.problems import Invalid, Malformed

SMALL_BYTES = 128 << 10  # parsed at once
LONGEST_BYTES = 1 << 20

_FIRST_WINDOW, _WINDOW = 1 << 9, 120 << 10
_MOST_MEMBERS = 20_000  # of an object or array that is read one by one
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_SPACE = re.compile(rb"[ \t\n\r]*")
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_COMMA, _QUOTE, _OPEN, _CLOSE, _CASE = (*b',"{}', 0x20)  # with this bit a square bracket is a curly one

Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Pieces:
    """The elements of a long array. `spans` are where some of them begin and end in the body, and the first's index."""

    body: bytes
    path: Path
    spans: Sequence[tuple[int, int, int]]
    count: int

    def __len__(self) -> int:
        return self.count

    def texts(self) -> Iterator[tuple[int, bytes]]:
        """Some elements at a time as they are written, and the first's index."""
        for start, end, first in self.spans:
            yield first, self.body[start:end]

    def batches(self) -> Iterator[tuple[int, list[Any]]]:
        """Some elements at a time, and the first's index. Raises Malformed, Invalid."""
        for start, end, first in self.spans:
            yield first, strict_json.parse_elements(self.body, start, end, self.path, first)


def batches(values: "list[Any] | Pieces", size: int) -> Iterator[tuple[int, list[Any]]]:
    """At most `size` elements at a time, and the first's index."""
    for first, some in values.batches() if isinstance(values, Pieces) else [(0, values)]:
        if len(some) <= size:
            yield first, some
            continue
        elements = iter(some)
        for start in range(0, len(some), size):
            yield first + start, list(islice(elements, size))


def parse(body: bytes, streamed: Mapping[Path, int]) -> dict[str, Any]:
    """Return the object that the body is, with `Pieces` in the place of long arrays.

    `streamed` are the paths of arrays that may be long, in which `*` is any name or index, and how many elements each
    may have. Raises Malformed, Invalid.
    """
    return _Walk(body, streamed).parse()


class _Walk:
    """Reads from left to right. A method takes where a value begins, and returns it with where it ends."""

    def __init__(self, body: bytes, streamed: Mapping[Path, int]) -> None:
        self._body = body
        self._streamed = streamed
        self._looked = 0  # how far

    def parse(self) -> dict[str, Any]:
        at = self._after_space(0)
        if self._byte(at) in (b"[", b'"'):
            raise Malformed("The body must be a JSON object.")
        if self._byte(at) != b"{":
            raise self._malformed("Expecting value", at)
        found, at = self._object(at, ())
        at = self._after_space(at)
        if at != len(self._body):
            raise self._malformed("Extra data", at)
        return found

    def _value(self, at: int, path: Path) -> tuple[Any, int]:
        end = self._end(at, SMALL_BYTES)
        if end is not None:
            return strict_json.parse_value(self._body, at, end, path), end
        first = self._byte(at)
        if first == b"[":
            for pattern, most in self._streamed.items():
                if _fits(path, pattern):
                    return self._pieces(at, path, most)
        if any(len(path) < len(pattern) and _fits(path, pattern[: len(path)]) for pattern in self._streamed):
            if first == b"{":
                return self._object(at, path)
            if first == b"[":
                return self._array(at, path)
        end = self._end(at, LONGEST_BYTES)
        if end is None:
            raise _too_long(path)
        return strict_json.parse_value(self._body, at, end, path), end

    def _object(self, at: int, path: Path) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self._after_space(at + 1)
        if self._byte(at) == b"}":
            return found, at + 1
        while True:
            name = _TEXT.match(self._body, at, at + LONGEST_BYTES)
            if name is None:
                raise self._malformed("Expecting property name enclosed in double quotes", at)
            key = strict_json.parse_value(self._body, at, name.end(), path)
            at = self._after_space(name.end())
            if self._byte(at) != b":":
                raise self._malformed("Expecting ':' delimiter", at)
            if key in found:
                raise Invalid({".".join((*path, key)): "stands here twice; once is allowed"})
            if len(found) == _MOST_MEMBERS:
                raise Invalid({".".join(path): f"an object of at most {_MOST_MEMBERS} members"})
            found[key], at = self._value(self._after_space(at + 1), (*path, key))
            at, is_over = self._next(at, b"}")
            if is_over:
                return found, at

    def _array(self, at: int, path: Path) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = self._after_space(at + 1)
        if self._byte(at) == b"]":
            return found, at + 1
        while True:
            if len(found) == _MOST_MEMBERS:
                raise Invalid({".".join(path): f"a list of at most {_MOST_MEMBERS} values"})
            value, at = self._value(at, (*path, str(len(found))))
            found.append(value)
            at, is_over = self._next(at, b"]")
            if is_over:
                return found, at

    def _next(self, at: int, closing: bytes) -> tuple[int, bool]:
        """Where the next value begins, or after the bracket that closes."""
        at = self._after_space(at)
        if self._byte(at) == closing:
            return at + 1, True
        if self._byte(at) != b",":
            raise self._malformed("Expecting ',' delimiter", at)
        return self._after_space(at + 1), False

    def _pieces(self, at: int, path: Path, most: int) -> tuple[Pieces, int]:
        start = at + 1
        spans: list[tuple[int, int, int]] = []
        commas = 0  # before what is looked at
        first = 0
        for places, end in self._separators(start):
            commas += len(places)
            if commas >= most:
                raise Invalid({".".join(path): f"a list of 1 to {most} values"})
            if end is not None:
                if self._body[end : end + 1] != b"]":
                    raise self._malformed("Expecting ',' delimiter", end)
                is_empty = not commas and self._after_space(start) == end
                if not is_empty:
                    spans.append((start, end, first))
                return Pieces(self._body, path, spans, 0 if is_empty else commas + 1), end + 1
            if len(places):
                last = int(places[-1])
                spans.append((start, last, first))
                start, first = last + 1, commas
            if self._looked - start > LONGEST_BYTES:
                raise _too_long((*path, str(first)))
        raise self._malformed("Expecting ',' delimiter", len(self._body))

    def _end(self, at: int, most: int) -> int | None:
        """Where the value that begins here is over: at a comma or a closing bracket; None if it is longer."""
        for places, end in self._separators(at):
            if len(places):
                return int(places[0])
            if end is not None:
                return end
            if self._looked - at > most:
                return None
        raise self._malformed("Expecting ',' delimiter", len(self._body))

    def _separators(self, at: int) -> Iterator[tuple[NDArray[np.int64], int | None]]:
        """Window by window, where commas part values here, and the bracket that closes what they are in."""
        within, depth, size = False, 0, _FIRST_WINDOW
        while at < len(self._body):
            stop = min(at + size, len(self._body))
            text = self._body[at:stop]
            if b"\\" in text:  # what is escaped is neither a quote nor a backslash
                text = _ESCAPED.sub(b"  ", text)
                if text.endswith(b"\\"):
                    text, stop = text[:-1] + b"  ", stop + 1
            codes = np.frombuffer(text, np.uint8)
            curly = codes | _CASE
            steps = (curly == _OPEN).view(np.int8) - (curly == _CLOSE).view(np.int8)
            commas = codes == _COMMA
            quotes = codes == _QUOTE
            if within or quotes.any():
                inside = np.logical_xor.accumulate(quotes)
                if within:
                    np.logical_not(inside, out=inside)
                steps[inside] = 0
                commas &= ~inside
                within = bool(inside[-1])
            depths = steps.cumsum(dtype=np.int32)
            depths += depth
            places = np.flatnonzero(commas & (depths == 0))
            self._looked = stop
            if depths.min() < 0:
                end = int((depths < 0).argmax())
                yield places[places < end] + at, at + end
                return
            yield places + at, None
            depth, at, size = int(depths[-1]), stop, min(size * 8, _WINDOW)

    def _after_space(self, at: int) -> int:
        while (found := _SPACE.match(self._body, at, at + LONGEST_BYTES)) is not None and found.end() > at:
            at = found.end()
        return at

    def _byte(self, at: int) -> bytes:
        return self._body[at : at + 1]

    def _malformed(self, what: str, at: int) -> Malformed:
        return strict_json.malformed(self._body, what, at)


def _fits(path: Path, pattern: Path) -> bool:
    return len(path) == len(pattern) and all(own in ("*", name) for own, name in zip(pattern, path, strict=True))


def _too_long(path: Path) -> Invalid:
    return Invalid({".".join(path): f"at most {LONGEST_BYTES} bytes of JSON"})
