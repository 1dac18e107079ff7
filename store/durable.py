"""Files that are wholly there or not there at all, also after a power cut: written aside, synced, renamed, synced."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from store.errors import Full

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def room_needed() -> Iterator[None]:
    """Turns the operating system's words for a full disk into `Full`; other errors pass as they are."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Full(f"no room is left on the disk ({os.strerror(error.errno or 0)})") from error
        raise


def tells_of_no_room(error: Exception) -> bool:
    """Whether a library that has errors of its own passes on the operating system's words for a full disk."""
    return any(os.strerror(code) in str(error) for code in _NO_ROOM)


@contextmanager
def temporary_file(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file under a name of our own making; removed on the way out unless it was renamed."""
    with room_needed():
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)


def sync_file(file: BinaryIO) -> None:
    """Everything written is on the disk, or this raises: a write that only may have happened did not happen."""
    file.flush()
    os.fsync(file.fileno())


def close_to_others(data_dir: Path) -> None:
    """Close a data folder to other users, and the database in it, which versions before may have left open."""
    data_dir.chmod(0o700)
    for file in data_dir.glob("learnd.db*"):
        file.chmod(0o600)


def sync_folder(folder: Path) -> None:
    """A rename is only kept by a power cut once the folder that holds the name is synced too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path, root: Path) -> None:
    """Makes `folder` below `root`, each new level synced into the one above it."""
    missing = [each for each in (folder, *folder.parents) if each.is_relative_to(root) and not each.exists()]
    for each in reversed(missing):
        each.mkdir(parents=True, exist_ok=True)
        sync_folder(each.parent)


def put_in_place(temporary: Path, final: Path, root: Path) -> None:
    """Renames a synced temporary file to its name, replacing what stood there."""
    with room_needed():
        make_folder(final.parent, root)
        temporary.replace(final)
        sync_folder(final.parent)
