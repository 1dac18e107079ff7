"""Processes that end at their Nth commit, fsync or rename, before it or after it, with nothing flushed or tidied up.

Started as `python -m tests.faults.crashing`, this has loaded and warmed all that the product needs, and forks a child
for every life that is asked for on its input, so that one costs a tenth of a second. The product knows nothing of it.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sqlalchemy import Connection
from sqlalchemy.engine.default import DefaultDialect

from service.app import create_app
from store import analysing, claims, runs
from store.blobs import Blobs
from store.claims import Claim
from store.database import Database
from store.processes import ProcessIdentity
from store.settings import Settings
from workers import checkpointing, reporting
from workers.app import create_app as create_workers
from workers.drain import Drain
from workers.driving import Place, drive
from workers.heartbeat import Heartbeat
from workers.reading import Tables
from workers.reconciler import Reconciler
from workers.slot import _warm_up

CRASHED = 77
FOREVER = 3600.0
MORE = 2  # epochs, by which a run is extended


app_of = cache(create_app)


class Points:
    """The places where a process may end: each commit, fsync and rename is two, before it and after it."""

    def __init__(self, crash_at: int) -> None:
        """0 is never."""
        self.passed = 0
        self._crash_at = crash_at
        self._counts = True
        self._lock = threading.Lock()

    def watch(self) -> None:
        for where, name in ((os, "fsync"), (os, "replace"), (os, "rename"), (DefaultDialect, "do_commit")):
            setattr(where, name, self._between(getattr(where, name)))

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """What somebody else does meanwhile, who only happens to be in this process, is no point."""
        self._counts = False
        yield
        self._counts = True

    def _between(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any) -> Any:
            self._pass()
            answer = function(*args)
            self._pass()
            return answer

        return watched

    def _pass(self) -> None:
        with self._lock:
            self.passed += self._counts
            if self._counts and self.passed == self._crash_at:
                os._exit(CRASHED)


@dataclass(frozen=True)
class Life:
    """What a child has to live with; what it tells is known even if it dies the moment after."""

    settings: Settings
    points: Points
    tell: Callable[[Any], None]

    def work(self, interruptions: Sequence[str]) -> None:
        """A worker that claims until there is nothing. Its first attempts are interrupted: after two epochs the run is
        paused, and then resumed, or the worker is told to end; or the run succeeds and is extended by two epochs.
        """
        reporting._LOOK_SECONDS = 0.0  # every epoch is reported, and saved
        checkpointing._TIMES_ITS_COST = 0
        database = Database(self.settings.database)
        blobs = Blobs(self.settings.blobs, self.settings.data_dir / "cache")
        for attempt in range(100):
            claim = _claim(database)
            if claim is None:
                return
            place = Place(self.settings, database, blobs, Tables(), Drain(), "cpu", 1)
            if attempt < len(interruptions):
                with self._interrupted(claim, place, interruptions[attempt]):
                    drive(claim, place)
            else:
                drive(claim, place)

    @contextmanager
    def _interrupted(self, claim: Claim, place: Place, how: str) -> Iterator[None]:
        advance, outside, left = Heartbeat.advance, Database(self.settings.database), 3

        def advancing(heart: Heartbeat) -> None:
            nonlocal left
            advance(heart)
            left -= 1
            if left == 0 and how == "drain":
                place.drain.ask_all()
            elif left == 0 and how == "pause":
                ask(lambda tx: runs.request(tx, claim.tenant, claim.run_id, "pause"))

        def ask(action: Callable[[Connection], Any]) -> None:
            with self.points.hidden(), outside.write() as tx:
                action(tx)

        Heartbeat.advance = advancing  # type: ignore[method-assign]
        yield
        Heartbeat.advance = advance  # type: ignore[method-assign]
        if how == "pause":
            ask(lambda tx: runs.request(tx, claim.tenant, claim.run_id, "resume"))
        elif how == "extend":
            to_epochs = claim.spec["epochs"] + MORE
            ask(lambda tx: runs.extend(tx, claim.tenant, claim.run_id, to_epochs))
        outside.close()

    def abandon(self, count: int) -> None:
        """A worker that dies with so many runs in its hands, and an analysis."""
        database, here = Database(self.settings.database), ProcessIdentity.current()
        for _ in range(count):
            assert _claim(database) is not None
        with database.write() as tx:
            assert analysing.claim(tx, worker="wk_faults", slot_pid=here.pid, owner=here) is not None

    def reconcile(self) -> None:
        database = Database(self.settings.database)
        blobs = Blobs(self.settings.blobs, self.settings.data_dir / "cache")
        Reconciler(self.settings, database, blobs, create_workers(self.settings)).look()

    def ask(self, requests: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> None:
        """The API: it answers these requests, one after another; `known` are ids by the names the requests use."""
        client = app_of(self.settings).test_client()
        ids = dict(known)
        for request in requests:
            sent = {name: _named(request[name], ids) for name in ("path", "data")}
            options = {name: request[name] for name in ("method", "content_type", "headers")}
            response = client.open(**sent, **options)
            shown = response.get_json() if response.is_json else {}
            if response.status_code < 300 and "id" in shown:
                ids[request["name"]] = shown["id"]
            self.tell({"status": response.status_code, "headers": dict(response.headers), "body": shown, **sent})


def _named(text: str, ids: Mapping[str, str]) -> str:
    for name, id in ids.items():
        text = text.replace(f"<{name}>", id)
    return text


def _claim(database: Database) -> Claim | None:
    with database.write() as tx:
        here = ProcessIdentity.current()
        return claims.claim(tx, worker="wk_faults", slot_pid=here.pid, owner=here)


@dataclass(frozen=True)
class Ended:
    """How a life ended: whether at the point it was to end at, else how many it passed; and what it told."""

    crashed: bool
    points: int
    told: list[Any]


class Nursery:
    """The process that forks the others, as seen from a test; `log` is where they all write what they have to say."""

    def __init__(self, log: Path) -> None:
        self._log = log
        root = str(Path(__file__).parents[2])
        command = [sys.executable, "-P", "-m", "tests.faults.crashing"]
        environment = os.environ | {"PYTHONPATH": root}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, env=environment, cwd=root
            )

    def live(self, settings: Settings, life: str, *, crash_at: int = 0, **given: Any) -> Ended:
        """A life in a process of its own, which is over once this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        place = {"data_dir": str(settings.data_dir), "database_url": settings.database_url}
        asked = {"place": place, "life": life, "crash_at": crash_at, "given": given}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"code": "nothing", "points": 0}')
        crashed = answer["points"] is None
        wanted = CRASHED if crashed else 0
        assert answer["code"] == wanted, f"{life} ended with {answer['code']}: {self._log.read_text()[-3000:]}"
        return Ended(crashed, answer["points"] or 0, answer["told"])

    def close(self) -> None:
        self._process.communicate()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else is printed is the log
    torch.set_num_threads(1)
    _warm_up(1)
    for line in sys.stdin:
        assert threading.active_count() == 1, threading.enumerate()  # no thread survives a fork
        print(json.dumps(_born(**json.loads(line))), file=answers, flush=True)


def _born(place: Mapping[str, str], life: str, crash_at: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a child that lives this life."""
    settings = Settings(
        data_dir=Path(place["data_dir"]),
        database_url=place["database_url"],
        redis_url="redis+socket:///nowhere",
        heartbeat_seconds=FOREVER,
        lease_seconds=FOREVER,  # only who is seen to be dead is taken for it
        checkpoint_seconds=0.0,
    )
    if life == "ask":
        app_of(settings)  # once, for all children
    ours, childs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(settings, life, crash_at, given, childs)
    childs.close()
    with ours.makefile("rb") as lines:
        told = [json.loads(line) for line in lines]
    ours.close()
    _, status = os.waitpid(pid, 0)
    points = told.pop()["points"] if told and "points" in told[-1] else None
    return {"code": os.waitstatus_to_exitcode(status), "points": points, "told": told}


def _live(settings: Settings, life: str, crash_at: int, given: Mapping[str, Any], to: socket.socket) -> None:
    code = 1
    try:
        points = Points(crash_at)
        points.watch()

        def tell(what: Any) -> None:
            to.sendall(json.dumps(what).encode() + b"\n")

        getattr(Life(settings, points, tell), life)(**given)
        tell({"points": points.passed})
        code = 0
    except BaseException:  # noqa: BLE001 - it is to be read, and nothing of the parent's is to go on here
        traceback.print_exc()
    os._exit(code)


if __name__ == "__main__":
    main()
