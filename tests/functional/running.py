"""The whole service as a process of its own, and what a test asks of it from outside."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx2

Answer = TypeVar("Answer")

IRIS = Path(__file__).parents[2] / "examples" / "iris.csv"
FINAL = ("succeeded", "failed", "cancelled")
QUICK = {"LEARND_HEARTBEAT_SECONDS": "1", "LEARND_LEASE_SECONDS": "6", "LEARND_RECONCILE_SECONDS": "1"}
PATIENCE_SECONDS = 60.0


def wait_for(look: Callable[[], Answer], seconds: float = PATIENCE_SECONDS) -> Answer:
    """What `look` answers once that is true; fails the test if it never is."""
    until = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < until, f"not so after {seconds} seconds"
        time.sleep(0.02)
    return answer


class Service:
    """`learnd up`, running, and a client that calls it; `options` are the command line's, `key` the first key."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        key: str = "",
        environment: Mapping[str, str] | None = None,
        data: Path | None = None,
    ) -> None:
        self.folder = folder
        data = data or folder / "data"
        self._log = (folder / "log").open("a")
        self._process = subprocess.Popen(
            [
                Path(sys.executable).parent / "learnd",
                "up",
                "--port",
                "0",
                "--data-dir",
                data,
                *options,
            ],
            env={name: value for name, value in os.environ.items() if not name.startswith("LEARND_")}
            | QUICK
            | {"LEARND_BOOTSTRAP_KEY": key, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        address = self._process.stdout.readline().strip()
        assert address, (folder / "log").read_text()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.client = httpx2.Client(base_url=address, timeout=30, headers=headers)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def socket(self) -> Path:
        return self.folder / "data" / "broker" / "valkey.sock"

    def workers(self) -> list[dict[str, Any]]:
        return self.client.get("/v1/workers").raise_for_status().json()["data"]

    def is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def warm(self) -> dict[str, Any]:
        """The worker, once its slot's process is ready for runs."""
        return wait_for(self.workers)[0]

    def processes(self) -> set[tuple[int, int]]:
        """Pid and start time of everything that descends from it, itself included."""
        return descendants(self.pid)

    def stop(self, number: int = signal.SIGINT) -> int:
        self.client.close()
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(PATIENCE_SECONDS)
        self._process.stdout.close()
        self._log.close()
        return code

    def post(self, path: str, **kwargs: Any) -> dict[str, Any]:
        response = self.client.post(path, **kwargs)
        assert response.is_success, response.text
        return response.json()

    def upload(self, content: bytes, name: str) -> str:
        return self.post("/v1/datasets", params={"name": name}, content=content, headers={"Content-Type": "text/csv"})[
            "id"
        ]

    def start(self, dataset: str, **spec: Any) -> str:
        body = {"dataset": dataset, "target": "species", "network": SMALL, "batch_size": 32} | spec
        return self.post("/v1/runs", json=body)["id"]

    def run(self, id: str) -> dict[str, Any]:
        return self.client.get(f"/v1/runs/{id}").raise_for_status().json()

    def in_mid_run(self, id: str) -> dict[str, Any]:
        """The run once its training can be seen to move."""

        def moving() -> dict[str, Any] | None:
            run = self.run(id)
            assert run["status"] not in FINAL, run
            return run if run["status"] == "running" and run["progress"] and run["progress"]["epoch"] > 0 else None

        return wait_for(moving)

    def ended(self, id: str) -> dict[str, Any]:
        return self.reached(id, *FINAL)

    def reached(self, id: str, *statuses: str) -> dict[str, Any]:
        return wait_for(lambda: (run := self.run(id))["status"] in statuses and run)

    def events(self, id: str) -> list[dict[str, Any]]:
        page = self.client.get(f"/v1/runs/{id}/events", params={"limit": 1000}).raise_for_status().json()
        assert not page["has_more"]
        return page["data"]


SMALL = {"layers": [{"units": 32}, {"units": 32}]}
LONG = {"epochs": 1500, "seed": 5}  # seconds of training, so that there is a middle to strike in


def alive(process: tuple[int, int]) -> bool:
    found = _stat(process[0])
    return found is not None and found[1:] == (process[1],) and found[0] not in "ZX"


def descendants(root: int) -> set[tuple[int, int]]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (line := _read(entry / "stat")):
            parents[int(entry.name)] = int(line[line.rindex(")") + 2 :].split()[1])
    found, fresh = set(), {root}
    while fresh:
        found |= fresh
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
    return {(pid, stat[1]) for pid in found if (stat := _stat(pid))}


def _stat(pid: int) -> tuple[str, int] | None:
    line = _read(Path(f"/proc/{pid}/stat"))
    fields = re.sub(r"^.*\) ", "", line, flags=re.DOTALL).split() if line else None
    return (fields[0], int(fields[19])) if fields else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
