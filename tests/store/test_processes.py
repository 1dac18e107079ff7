import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from store import processes
from store.processes import ProcessIdentity, die_with_parent


@pytest.fixture
def child():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_process_that_runs_is_alive(child):
    assert ProcessIdentity.current().is_alive() is True
    assert ProcessIdentity.of(child.pid).is_alive() is True


def test_an_identity_goes_through_json():
    me = ProcessIdentity.current()
    assert ProcessIdentity.from_json(me.to_json()) == me
    assert me.pid == os.getpid()


def test_a_stopped_process_is_alive(child):
    identity = ProcessIdentity.of(child.pid)
    child.send_signal(signal.SIGSTOP)
    assert identity.is_alive() is True


def test_a_zombie_is_dead_and_so_is_one_that_is_gone(child):
    identity = ProcessIdentity.of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is dead and still has its pid
    assert Path(f"/proc/{child.pid}/stat").exists()
    assert identity.is_alive() is False
    child.wait()
    assert identity.is_alive() is False


def test_a_pid_that_another_process_has_now_is_not_the_one_that_was(child):
    identity = ProcessIdentity.of(child.pid)
    assert replace(identity, start_time=identity.start_time - 1).is_alive() is False


@pytest.mark.parametrize("field", ["boot_id", "pid_namespace"])
def test_of_another_machine_or_container_nothing_is_known(field):
    assert replace(ProcessIdentity.current(), **{field: "other"}).is_alive() is None


def test_without_proc_nothing_is_known(child, monkeypatch):
    identity = ProcessIdentity.of(child.pid)
    monkeypatch.setattr(processes, "_PROC", Path("/nowhere"))
    assert identity.is_alive() is None
    assert ProcessIdentity.current().is_alive() is None


def test_a_process_that_proc_hides_is_in_doubt(child, monkeypatch):
    identity = ProcessIdentity.of(child.pid)
    monkeypatch.setattr(processes, "_stat", lambda pid: None)  # as with hidepid, which a test cannot mount
    assert identity.is_alive() is None


def test_a_name_full_of_brackets_and_spaces_is_read_right(tmp_path):
    odd = tmp_path / "a) Z 1 (b"
    odd.write_bytes(Path("/bin/sleep").read_bytes())
    odd.chmod(0o755)
    process = subprocess.Popen([odd, "60"])
    try:
        assert ProcessIdentity.of(process.pid).is_alive() is True
    finally:
        process.kill()
        process.wait()


PARENT = """
import os, subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", "import os, time; from store.processes import die_with_parent;"
     "assert die_with_parent(parent=int(os.environ['PARENT'])); print(os.getpid(), flush=True); time.sleep(60)"],
    env={**os.environ, "PARENT": str(os.getpid())},
)
child.wait()
"""


def test_a_child_dies_with_its_parent_however_that_dies():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = ProcessIdentity.of(int(parent.stdout.readline()))
    assert child.is_alive() is True
    parent.kill()
    parent.wait()
    until = time.monotonic() + 10
    while child.is_alive() is not False:
        assert time.monotonic() < until
    parent.stdout.close()


def test_a_child_whose_parent_is_gone_already_dies_at_once():
    script = "from store.processes import die_with_parent; die_with_parent(parent=1 << 22); print('lives')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


def test_where_the_kernel_cannot_it_says_so(monkeypatch):
    monkeypatch.setattr(processes, "_PR_SET_PDEATHSIG", 9999)
    assert die_with_parent() is False
