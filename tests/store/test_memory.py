"""What a process may hold and how often the kernel killed, as both versions of control groups tell it."""

import os

import pytest

from store import memory
from store.memory import Memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Files of /proc and of control groups, by path below them."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")

    def write(**files):
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path / "groups"

    return lambda files: write(**files)


V2 = {
    "proc/7/cgroup": "0::/system.slice/learnd.service\n",
    "groups/system.slice/learnd.service/memory.max": "1000\n",
    "groups/system.slice/learnd.service/memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\n",
}
V1 = {
    "proc/7/cgroup": "9:name=systemd:/\n4:cpu,memory:/learnd\n0::/\n",
    "groups/memory/learnd/memory.limit_in_bytes": "1000\n",
    "groups/memory/learnd/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}


@pytest.mark.parametrize("files", [V2, V1])
def test_the_kernels_kills_are_counted_for_the_group_of_a_process(system, files):
    system(files)
    group = memory.group_of(7)
    assert memory.kills(group) == 2


def test_nothing_is_known_of_a_process_that_is_gone_or_a_group_without_a_count(system):
    root = system({"proc/7/cgroup": "0::/\n"})
    assert memory.group_of(8) is None
    assert memory.kills(memory.group_of(7)) is None
    assert memory.group_of(7) == root


def test_in_a_container_the_groups_own_folder_is_the_root(system):
    root = system({"proc/7/cgroup": "0::/docker/abc\n", "groups/memory.events": "oom_kill 1\n"})
    assert memory.group_of(7) == root
    assert memory.kills(root) == 1


@pytest.mark.parametrize("files", [V2, V1])
def test_the_limit_is_the_groups_own(system, files, monkeypatch):
    system(files)
    monkeypatch.setattr(os, "getpid", lambda: 7)
    assert memory.limit() == 1000


def test_the_limit_of_a_group_around_counts_too_and_no_limit_is_the_machines(system, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 7)
    system(V2 | {"groups/system.slice/learnd.service/memory.max": "max\n"})
    machine = memory.limit()
    assert machine == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    system({"groups/system.slice/memory.max": "5000\n"})
    assert memory.limit() == 5000


def test_a_process_knows_what_it_holds():
    before = Memory.here()
    block = b"\1" * (64 << 20)
    after = Memory.here()
    assert after.held - before.held > (60 << 20), len(block)
    assert 0 < after.held < after.limit


def test_nine_tenths_of_the_limit_are_nearly_all():
    assert Memory(90, 100).is_nearly_all
    assert not Memory(89, 100).is_nearly_all
