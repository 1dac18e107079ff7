"""A disk of a test's own that can be filled to its last byte: a small file system in memory."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_BLOCKS = (1 << 20, 4096)


class SmallDisk:
    def __init__(self, folder: Path, megabytes: int) -> None:
        """Skips the test where nobody but an administrator may mount one, and this is none."""
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", folder]
        if not shutil.which("mount") or subprocess.call(command, stderr=subprocess.DEVNULL):
            pytest.skip("a small disk cannot be mounted here: it takes root, or CAP_SYS_ADMIN")
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leaving: int = 0) -> None:
        """Until not a byte more can be written, or only so many."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in _BLOCKS:
                try:
                    while self.free_bytes - size >= leaving and file.write(bytes(size)) == size:
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def make_room(self) -> None:
        self._ballast.unlink()

    def remove(self) -> None:
        subprocess.check_call(["umount", "--lazy", self.folder])
