"""A body from outside, streamed to a temporary file, counted and hashed as it comes and cut off at its limit.

A body is never trusted to be as long as it says, nor to inflate to what one would expect: memory stays at a few chunks,
and the disk at the limit, whatever is sent.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from store.durable import temporary_file
from store.errors import StoreError

CHUNK = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS
_FIRST_BYTES = 4 << 10  # of a member, that are given to zlib at first
_MOST_MEMBERS = 100_000  # bgzip makes some 16,000 of a gigabyte


class TooLarge(StoreError):
    """A body, inflated if it came compressed, went over its limit in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is over {limit} bytes")
        self.limit = limit


class BadEncoding(StoreError):
    """A body said to be gzip is not, or is broken or cut short."""


@dataclass(frozen=True)
class Received:
    """A body at rest: where it lies (until the context is left), its inflated length in bytes, and its SHA-256."""

    path: Path
    bytes: int
    sha256: str


def at_rest(path: Path, *, limit: int) -> Received:
    """Return what is known of a body that lies in a file already. Raise TooLarge."""
    count = path.stat().st_size
    if count > limit:
        raise TooLarge(limit)
    with path.open("rb") as file:
        return Received(path, count, hashlib.file_digest(file, "sha256").hexdigest())


@contextmanager
def receive(chunks: Iterable[bytes], folder: Path, *, limit: int, gzip: bool = False) -> Iterator[Received]:
    """Writes a body to a temporary file in `folder` and hands it over; the file is removed when the context is left.

    Raises TooLarge as soon as the inflated bytes pass `limit`, BadEncoding, Full.
    """
    with temporary_file(folder) as (path, file):
        count, digest = 0, hashlib.sha256()
        for piece in inflated(chunks) if gzip else chunks:
            count += len(piece)
            if count > limit:
                raise TooLarge(limit)
            digest.update(piece)
            file.write(piece)
        file.flush()
        yield Received(path, count, digest.hexdigest())


def inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a gzip stream of some members, in pieces of at most 1 MiB. Raises BadEncoding."""
    inflater = zlib.decompressobj(_GZIP)
    between = True  # members may follow one another; only between two of them may a stream end
    members = 0
    size = _FIRST_BYTES
    for chunk in chunks:
        start, rest = 0, b""
        while rest or start < len(chunk):
            if not rest:  # after the end of a member little is given, for what it leaves is copied
                rest, start = chunk[start : start + size], start + size
                size = min(2 * size, CHUNK)
            if between:
                rest = rest.lstrip(b"\0") if members else rest  # gzip pads with zeros on tapes, and gunzip forgives it
                if not rest:
                    continue
                inflater, between, members, size = zlib.decompressobj(_GZIP), False, members + 1, _FIRST_BYTES
                if members > _MOST_MEMBERS:
                    raise BadEncoding(f"more than {_MOST_MEMBERS} gzip members")
            try:
                piece = inflater.decompress(rest, CHUNK)
            except zlib.error as error:
                raise BadEncoding(f"not a gzip stream: {error}") from None
            if piece:
                yield piece
            between = inflater.eof
            rest = inflater.unused_data if between else inflater.unconsumed_tail
    if not between or not members:
        raise BadEncoding("the gzip stream is cut short")
