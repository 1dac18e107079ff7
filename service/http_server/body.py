"""The body of a request while it comes in: in memory as long as it is short, then in a file of our own."""

import io
import os
import tempfile
from pathlib import Path
from typing import BinaryIO


class NotStored(Exception):
    """A body could not be stored; `error` is the operating system's reason.

    It is no OSError itself, for who reads a body takes those for a client that has gone away.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Body:
    """Bytes in their order. `add` and `take` belong to the event loop, `write` to a thread, `open` to the application.

    The file is removed by `discard`, which must be called once whatever becomes of the request.
    """

    __slots__ = ("_folder", "_pieces", "_written", "error", "path", "size", "waiting")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pieces: list[bytes] = []
        self._written = 0
        self.waiting = 0  # bytes in memory
        self.size = 0  # bytes in all
        self.path: Path | None = None  # of the file, once there is one
        self.error: OSError | None = None  # that kept a piece from being written: the disk is full

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.waiting += len(piece)
        self.size += len(piece)

    def take(self) -> list[bytes]:
        """Return what is in memory, which is then the caller's to write."""
        pieces, self._pieces, self.waiting = self._pieces, [], 0
        return pieces

    def write(self, pieces: list[bytes]) -> None:
        """Append them to the file. An error of the disk is kept in `error`, for the answer to tell."""
        try:
            if self.path is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                handle, name = tempfile.mkstemp(dir=self._folder)
                os.close(handle)
                self.path = Path(name)
            with self.path.open("ab") as file:
                file.writelines(pieces)
        except OSError as error:
            self.error = error

    def content(self) -> bytes | None:
        """Return the whole body if it is in memory, else None."""
        if self.path is not None:
            return None
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def open(self) -> BinaryIO:
        """Return the whole body to be read. Raise NotStored where the disk did not take it."""
        if self.path is not None and self._pieces:
            self.write(self.take())
        if self.error is not None:
            raise NotStored(self.error)
        content = self.content()
        if content is not None:
            return io.BytesIO(content)
        assert self.path is not None, "what is not in memory is in the file"
        return self.path.open("rb")

    def discard(self) -> None:
        """Forget all of it, the file too."""
        self._pieces, self.waiting = [], 0
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None
