"""Workers on one host name that cannot see each other's processes, as in two containers, are not taken for dead."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.functional.running import QUICK, Service, descendants, wait_for

APART = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def can_part() -> bool:
    try:
        return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_part(), reason="this user may not make a PID namespace")
def test_worker_in_another_pid_namespace_is_listed_and_works(service: Service, iris: str) -> None:
    environment = os.environ | QUICK
    environment |= {
        "LEARND_DATA_DIR": str(service.folder / "data"),
        "LEARND_REDIS_URL": f"redis+socket://{service.socket}",
    }
    own = {worker["id"] for worker in service.workers()}
    learnd = str(Path(sys.executable).parent / "learnd")
    other = subprocess.Popen(
        [*APART, learnd, "worker"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: len(service.workers()) == 2)
        hosts = {worker["host"] for worker in service.workers()}
        assert len(hosts) == 1
        until = time.monotonic() + 8  # more than a lease, and several looks of the reconciler
        runs = [service.start(iris, epochs=20_000) for _ in range(2)]  # one for each
        for run in runs:
            service.in_mid_run(run)
        while time.monotonic() < until:
            assert len(service.workers()) == 2
            time.sleep(0.1)
        assert {service.run(run)["attempt"] for run in runs} == {1}
        for run in runs:
            service.post(f"/v1/runs/{run}/cancel")
            service.ended(run)
    finally:
        for pid, _ in descendants(other.pid):
            if pid != other.pid:
                os.kill(pid, signal.SIGKILL)
        other.wait(30)
    wait_for(lambda: {worker["id"] for worker in service.workers()} == own)
