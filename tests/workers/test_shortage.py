"""Whom the kernel killed for want of memory, told apart from those that died of something else."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from store import memory
from store.processes import ProcessIdentity
from workers.shortage import Shortage


@pytest.fixture
def clock():
    return SimpleNamespace(now=1000.0)


@pytest.fixture
def shortage(clock):
    return Shortage(lambda: clock.now)


@pytest.fixture
def kills(tmp_path, monkeypatch):
    """Sets the kernel's count of the group that this process and its children are in."""
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    (tmp_path / "memory").mkdir()

    def count(number):
        (memory.group_of(os.getpid()) / "memory.events").write_text(f"oom {number}\noom_kill {number}\n")

    count(3)
    return count


@pytest.fixture
def child():
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def died(process):
    identity = ProcessIdentity.of(process.pid)

    def end():
        process.kill()
        process.wait()

    return identity, end


@pytest.mark.parametrize("looks_after", [0, 1, 3])
def test_a_count_that_rose_explains_a_death(shortage, kills, child, looks_after):
    identity, end = died(child)
    shortage.look([identity])
    kills(4)
    end()
    for _ in range(looks_after):
        shortage.look([identity])
    assert shortage.explains(identity)


def test_a_death_under_a_count_that_stands_still_is_another_matter(shortage, kills, child):
    identity, end = died(child)
    shortage.look([identity])
    end()
    shortage.look([identity])
    assert not shortage.explains(identity)


def test_what_was_killed_long_ago_explains_nothing(shortage, kills, child, clock):
    identity, end = died(child)
    shortage.look([identity])
    kills(4)
    shortage.look([identity])
    clock.now += 60
    end()
    shortage.look([identity])
    assert not shortage.explains(identity)


def test_of_a_process_that_was_never_seen_alive_nothing_is_known(shortage, kills, child):
    identity, end = died(child)
    end()
    shortage.look([identity])
    kills(4)
    assert not shortage.explains(identity)


def test_without_a_count_nothing_is_explained(shortage, tmp_path, monkeypatch, child):
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    identity, end = died(child)
    shortage.look([identity])
    end()
    assert not shortage.explains(identity)
