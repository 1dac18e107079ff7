"""The whole service as `learnd up` has it, but each part within reach: to be killed, frozen, thawed, started again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import select

from service.supervision.embedded_valkey import command, find_server, socket_in
from store import events, runs, tables, tenants, workers
from store.blobs import Blobs
from store.database import Database
from store.errors import Unavailable
from store.runs import Run
from store.settings import Settings
from store.states import FINAL
from tests.faults.client import Answer, Client
from tests.workers.running import IRIS, PATIENCE_SECONDS, wait_for

QUICK: dict[str, Any] = {"heartbeat_seconds": 0.5, "lease_seconds": 6.0, "reconcile_seconds": 0.5}  # a tenth, or less
SMALL = {"layers": [{"units": 32}]}


class Part:
    """One process that starts its own children, all in a process group of their own, as systemd has them."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], output: Path, is_ready: Callable[["Part"], bool]
    ) -> None:
        self._command = command
        self._environment = environment
        self._output = output
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self, *, ready: bool = True) -> "Part":
        """Started, for the first time or again; with `ready`, not answered before it is at work."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )
        if ready:
            self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.is_running(), f"ended with {self.process.returncode}: {self._output.read_text()[-2000:]}"
            with suppress(Unavailable):
                return self._is_ready(self)
            return False

        wait_for(ready)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL to the process that was started; its children must follow by themselves."""
        self.process.kill()
        self.process.wait()
        wait_for(lambda: not self._group(), 10)

    def kill_group(self) -> None:
        """SIGKILL to all of it at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not self._group(), 10)

    def stop(self, seconds: float = PATIENCE_SECONDS, *, group: bool = False) -> int:
        """SIGTERM, to the process that was started or to its whole group; the exit code."""
        (os.killpg if group else os.kill)(self.pid, signal.SIGTERM)
        return self.process.wait(seconds)

    def freeze(self) -> None:
        """SIGSTOP to it and to its children."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def children(self) -> list[int]:
        """The pids of its living children, oldest first."""
        return [pid for pid, parent, _ in _processes() if parent == self.pid]

    def _group(self) -> list[int]:
        return [pid for pid, _, group in _processes() if group == self.pid]


class House:
    """`workers` is how many are started; what else `Settings` knows is given by name. `log` has every answer of the
    service to its client, `output` what the parts wrote.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        workers: int = 1,
        slots: int = 1,
        api: bool = True,
        reconciler: bool = True,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.output = folder / "output"
        self.sockets = Path(tempfile.mkdtemp(prefix="learnd-", dir="/tmp"))  # a socket's path must be short
        known = {"data_dir": folder, "database_url": database_url, "slots": slots, "port": _free_port()}
        known["redis_url"] = f"redis+socket://{socket_in(self.sockets)}"
        self.settings = Settings(**{**QUICK, **known, **settings})
        self.database = Database(database_url)
        self.blobs = Blobs(self.settings.blobs, folder / "cache")
        self.client = Client(f"http://127.0.0.1:{self.settings.port}")
        self._environment = dict(environment or {})
        self._socket = socket_in(self.sockets)
        self.broker = self._part(command(find_server(), self.sockets), lambda _: _listens(self._socket))
        self.api = self._part(_module("service.server"), lambda _: self._answers())
        self.reconciler = self._part(_module("workers.reconciler"), lambda _: True)
        self.workers: list[Part] = []
        try:
            self.broker.start()
            first = [part for part, wanted in ((self.api, api), (self.reconciler, reconciler)) if wanted]
            # All at once: each takes seconds to load torch.
            started = [part.start(ready=False) for part in [*first, *(self.new_worker() for _ in range(workers))]]
            for part in started:
                part.wait_until_ready()
        except BaseException:
            self.close()
            raise

    @property
    def log(self) -> list[Answer]:
        return self.client.log

    @property
    def parts(self) -> list[Part]:
        return [self.broker, self.api, self.reconciler, *self.workers]

    def new_worker(self, module: str = "workers", **settings: Any) -> Part:
        """One more, not started; what is set otherwise for it alone is given by name."""
        part = self._part(_module(module), self._is_warm, settings)
        self.workers.append(part)
        return part

    def slots(self) -> list[workers.Slot]:
        """The processes that train, warm ones alone; each with the run that it trains."""
        with self.database.read() as tx:
            return [slot for worker in workers.list_all(tx, tenants.LOCAL) for slot in worker.slots]

    def slot_of(self, id: str) -> int:
        """The pid of the process that trains the run."""
        return next(slot.pid for slot in self.slots() if slot.run == id)

    def upload(self, csv: bytes | Path = IRIS, name: str = "iris") -> str:
        content = csv.read_bytes() if isinstance(csv, Path) else csv
        headers = {"Content-Type": "text/csv"}
        return self.client.create("/v1/datasets", params={"name": name}, content=content, headers=headers)["id"]

    @cached_property
    def dataset(self) -> str:
        """Iris, uploaded when it is first needed."""
        return self.upload()

    def body(self, **spec: Any) -> dict[str, Any]:
        """What is posted for a run; of iris and small, where the spec says nothing else."""
        usual: dict[str, Any] = {"target": "species", "network": SMALL, "batch_size": 32, "epochs": 20}
        return {"dataset": spec.get("dataset") or self.dataset, **usual, **spec}

    def start(self, *, key: str | None = None, **spec: Any) -> str:
        """The id of a run, queued as a patient client does it: with a key, and again until it is answered."""
        return self.client.create("/v1/runs", key=key, json=self.body(**spec))["id"]

    def verb(self, id: str, verb: str, **body: Any) -> int:
        """The status code with which it was answered: 202, or 409 where the run is past it."""
        response = self.client.ask("POST", f"/v1/runs/{id}/{verb}", **({"json": body} if body else {}))
        assert response.status_code in (202, 409), response.text
        return response.status_code

    def run(self, id: str) -> Run:
        """As the database has it; Unavailable while that is away."""
        with self.database.read() as tx:
            return runs.get(tx, tenants.LOCAL, id)

    def reached(self, id: str, *statuses: str, seconds: float = PATIENCE_SECONDS) -> Run:
        """The run once its status is one of these; fails the test if it ends otherwise."""

        def look() -> Run | None:
            with suppress(Unavailable):
                run = self.run(id)
                assert run.status in statuses or run.status not in FINAL, (run.status, run.error, run.attempt)
                return run if run.status in statuses else None
            return None

        return wait_for(look, seconds)

    def ended(self, id: str, seconds: float = PATIENCE_SECONDS) -> Run:
        """The run once its status is final, whichever that is."""
        return self.reached(id, *FINAL, seconds=seconds)

    def in_mid_run(self, id: str, epoch: int = 1) -> Run:
        """The run once a worker holds it and has told of that epoch."""

        def look() -> Run | None:
            run = self.run(id)
            assert run.status not in FINAL, (run.status, run.error)
            return run if run.status == "running" and (run.progress or {}).get("epoch", 0) >= epoch else None

        return wait_for(look)

    def statuses(self) -> Counter[str]:
        """How many runs there are in each status."""
        with self.database.read() as tx:
            return Counter(tx.execute(select(tables.runs.c.status)).scalars())

    def events(self, id: str) -> list[events.Event]:
        found: list[events.Event] = []
        after = None
        while True:
            with self.database.read() as tx:
                page = events.page(tx, tenants.LOCAL, id, limit=1000, after=after)
            found += page.data
            if not page.has_more:
                return found
            after = page.next

    def close(self) -> None:
        """Everything ends, frozen or not."""
        for part in reversed(self.parts):
            if part.is_running():
                part.kill_group()
        self.client.close()
        self.database.close()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _part(
        self, command: Sequence[str], is_ready: Callable[[Part], bool], settings: Mapping[str, Any] | None = None
    ) -> Part:
        values = {each.name: getattr(self.settings, each.name) for each in fields(Settings)} | dict(settings or {})
        outside = {name: value for name, value in os.environ.items() if not name.startswith("LEARND_")}
        named = {f"LEARND_{name.upper()}": str(value) for name, value in values.items()}
        return Part(command, outside | named | self._environment, self.output, is_ready)

    def _answers(self) -> bool:
        response = self.client.once("GET", "/healthz")
        return response is not None and response.status_code == 200

    def _is_warm(self, part: Part) -> bool:
        with self.database.read() as tx:
            here = [worker for worker in workers.list_all(tx, tenants.LOCAL) if worker.pid == part.pid]
        return bool(here) and len(here[-1].slots) >= self.settings.slots


def _module(name: str) -> list[str]:
    return [sys.executable, "-P", "-m", name]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _processes() -> list[tuple[int, int, int]]:
    """Pid, parent's pid and process group of everything that lives, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        state, parent, group, *rest = text[text.rindex(")") + 2 :].split()
        if state not in "ZX":
            found.append((int(rest[16]), int(entry.name), int(parent), int(group)))
    return [(pid, parent, group) for _, pid, parent, group in sorted(found)]
