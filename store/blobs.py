"""Blobs: weights, tables and checkpoints as bytes under the name of their own SHA-256, in a folder or an object store.

A name is made here and nowhere else: nothing a caller sends can become a path. Writing the same bytes twice, in any
order, from any number of processes, is harmless.
"""

import hashlib
import math
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from store.blob_location import TIMEOUT_SECONDS, folder_of, misread, remote_store
from store.durable import put_in_place, room_needed, sync_file, temporary_file
from store.errors import BlobMissing, StoreError, Unavailable

log = structlog.get_logger(__name__)

KEY = re.compile(r"sha256/[0-9a-f]{2}/[0-9a-f]{62}(-[0-9a-f]{12})?")
CHUNK = 1 << 20
_REASON = 300  # letters of what the library says, for the log
_MARK = "learnd-store"
_NO_BLOB = "sha256/00/" + "0" * 62
# What one request to an object store carries at most, so that one that is slow and well answers within its time-out.
_PART = 8 << 20
_PARTS_AT_ONCE = 2


class BlobBroken(StoreError):
    """The bytes of `key` are no longer those of its name."""

    def __init__(self, key: str) -> None:
        super().__init__(f"blob {key} does not match its name")
        self.key = key


class BlobsAway(Unavailable):
    """The object store does not answer, or refuses."""


class Blobs:
    """All blobs under one URL: `file:///folder`, or anything obstore knows (`s3://bucket/prefix`, `gs://`, `az://`).

    `cache_dir` holds copies of remote blobs and temporary files; a local store keeps its own beside the blobs, since
    a rename is only atomic within one disk.
    """

    def __init__(self, url: str, cache_dir: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Raise BadBlobUrl; no object store is asked for anything yet."""
        self.url = url
        folder = folder_of(url)
        self._remote: ObjectStore | None = None if folder else remote_store(url, timeout_seconds)
        self._root = folder or cache_dir
        self._root.mkdir(parents=True, exist_ok=True)
        self.belongs = False  # whether its mark has been seen to be that of the database

    @property
    def mark_place(self) -> str:
        """Where its mark is, for the reader of an error."""
        return _MARK if self._remote is not None else str(self._root / _MARK)

    def mark(self) -> str | None:
        """Return the mark of the database to which these blobs belong, None without one. Raise BlobsAway."""
        try:
            if self._remote is None:
                return (self._root / _MARK).read_text().strip()
            with _answers(_MARK):
                return obstore.get(self._remote, _MARK).bytes().to_bytes().decode().strip()
        except (FileNotFoundError, BlobMissing):
            return None

    def set_mark(self, mark: str) -> None:
        """Make these blobs that database's. Raise Full, BlobsAway."""
        content = f"{mark}\n".encode()
        if self._remote is not None:
            with _answers(_MARK):
                obstore.put(self._remote, _MARK, content)
            return
        with temporary_file(self.scratch) as (path, file):
            file.write(content)
            sync_file(file)
            put_in_place(path, self._root / _MARK, self._root)

    def fetch_misplaced(self, keys: Iterable[str]) -> int:
        """Bring those of `keys` here that an earlier version put elsewhere, and return how many that were.

        It took the folder's path for a URL, so that a `#` or `?` in it ended it. The files there stay: other databases
        may have put theirs into the same folder.
        """
        elsewhere = None if self._remote is not None else misread(self._root)
        if elsewhere is None:
            return 0
        brought = 0
        for key in keys:
            source = elsewhere / _checked(key)
            if source.is_file():
                with temporary_file(self.scratch) as (path, file):
                    shutil.copyfile(source, path)
                    sync_file(file)
                    put_in_place(path, self._root / key, self._root)
                brought += 1
        if brought:
            log.warning(
                "blobs were copied to their own folder", count=brought, source=str(elsewhere), to=str(self._root)
            )
        return brought

    @property
    def scratch(self) -> Path:
        """A folder for files on their way in, on the disk where the blobs are."""
        folder = self._root / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def put(self, content: bytes | Path | Iterable[memoryview], named: Callable[[str], str] | None = None) -> str:
        """Store bytes, or a copy of a local file; its key. Durable once this returns. Raises Full, BlobsAway.

        `named` gives the key for a hash, once that is known and before anything can be seen under it.

        Pieces are written as they come, so that what is large need not be in memory twice.

        Written again even when the key exists: that mends a damaged blob, and costs only the copy.
        """
        with temporary_file(self.scratch) as (path, file):
            digest = hashlib.sha256()
            for chunk in _chunks(content):
                digest.update(chunk)
                file.write(chunk)
            if self._remote is None:
                sync_file(file)
            else:
                file.flush()
            key = (named or key_of)(digest.hexdigest())
            if self._remote is None:
                put_in_place(path, self._root / _checked(key), self._root)
            else:
                with _answers(key):
                    obstore.put(self._remote, key, path, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE)
        return key

    def get(self, key: str) -> bytes:
        """The blob's bytes, checked against its name. Raises BlobMissing, BlobBroken, BlobsAway."""
        _checked(key)
        content = self._read_local(key) if self._remote is None else b"".join(_pieces(self._remote, key))
        if hashlib.sha256(content).hexdigest() != sha256_of(key):
            raise BlobBroken(key)
        return content

    def local_path(self, key: str) -> Path:
        """Where the blob can be read as a file: the blob itself, or its copy in the cache, fetched and checked once."""
        path = self._root / _checked(key)
        if path.is_file():
            return path
        if self._remote is None:
            raise BlobMissing(key)
        with temporary_file(self.scratch) as (temporary, file):
            digest = hashlib.sha256()
            for piece in _pieces(self._remote, key):
                digest.update(piece)
                file.write(piece)
            if digest.hexdigest() != sha256_of(key):
                raise BlobBroken(key)
            sync_file(file)
            put_in_place(temporary, path, self._root)
        return path

    def exists(self, key: str) -> bool:
        path = self._root / _checked(key)
        if self._remote is None:
            return path.is_file()
        try:
            with _answers(key):
                obstore.head(self._remote, key)
        except BlobMissing:
            return False
        return True

    def check(self) -> None:
        """Raise BlobsAway or OSError where blobs cannot be read or there is no folder for those that come."""
        self.exists(_NO_BLOB)
        self.scratch.stat()

    def delete(self, key: str) -> None:
        """Removes the blob and its cached copy; one that is not there is already removed."""
        path = self._root / _checked(key)
        if self._remote is not None:
            try:
                with _answers(key):
                    obstore.delete(self._remote, key)
            except BlobMissing:
                pass
        path.unlink(missing_ok=True)

    def copies(self) -> list[str]:
        """Return the keys of the object store's blobs of which there are copies here; none of a folder's."""
        if self._remote is None:
            return []
        return ["/".join(path.parts[-3:]) for path in self._root.glob("sha256/*/*")]

    def drop_copy(self, key: str) -> None:
        """Remove the copy of an object store's blob, if there is one; the blob stays, and may be fetched again."""
        if self._remote is not None:
            (self._root / _checked(key)).unlink(missing_ok=True)

    def sweep(self, older_than: float) -> int:
        """Remove what was last written over `older_than` seconds ago on its way in, left by processes that died.

        Return how many files, and folders of imports.
        """
        limit = time.time() - older_than
        old = [path for path in self.scratch.iterdir() if _last_written(path) < limit]
        for path in old:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(old)

    def old(self, older_than: float) -> list[str]:
        """Blobs in a folder that were last put over `older_than` seconds ago; none of an object store's.

        There they may be another installation's, and are put only once: how old one is does not tell who needs it.
        """
        if self._remote is not None:
            return []
        limit = time.time() - older_than
        return ["/".join(path.parts[-3:]) for path in self._root.glob("sha256/*/*") if path.stat().st_mtime < limit]

    def _read_local(self, key: str) -> bytes:
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError:
            raise BlobMissing(key) from None


def _pieces(remote: ObjectStore, key: str) -> Iterator[bytes]:
    """The bytes in requests of a bounded size: the time-out is of each and not of the whole."""
    with _answers(key):
        size = obstore.head(remote, key)["size"]
        for first in range(0, size, _PART):
            yield obstore.get_range(remote, key, start=first, end=min(first + _PART, size)).to_bytes()


def _last_written(path: Path) -> float:
    """Return when something was last written at or below the path; no time at all if it has just gone."""
    try:
        return max(each.lstat().st_mtime for each in (path, *([] if path.is_symlink() else path.rglob("*"))))
    except FileNotFoundError:
        return math.inf


def _chunks(content: bytes | Path | Iterable[memoryview]) -> Iterator[bytes | memoryview]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, Path):
        with content.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    else:
        yield from content


def sha256_of(key: str) -> str:
    """The hash that a blob's bytes must have."""
    return _checked(key).removeprefix("sha256/").replace("/", "").partition("-")[0]


def key_of(sha256: str, ordinal: str = "") -> str:
    """Return a key for bytes with this hash; `ordinal`, 12 hexadecimal digits, tells it from others of the same."""
    return f"sha256/{sha256[:2]}/{sha256[2:]}{'-' if ordinal else ''}{ordinal}"


def _checked(key: str) -> str:
    """A key is made by `put`; anything else is a mistake of ours, and must not reach the disk."""
    if not KEY.fullmatch(key):
        raise ValueError(f"not a blob key: {key!r}")
    return key


@contextmanager
def _answers(key: str) -> Iterator[None]:
    """Names what an object store did in this module's words."""
    with room_needed():
        try:
            yield
        except FileNotFoundError:
            raise BlobMissing(key) from None
        except (BaseError, ConnectionError, TimeoutError) as error:
            reason = str(error).partition("\n")[0][:_REASON]
            raise BlobsAway(f"blob {key}: {type(error).__name__}: {reason}") from error
