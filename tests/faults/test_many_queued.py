"""Ten thousand runs that wait: each is done once, and while they wait the service is as fast and as small as ever."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from store import claims, finishing, tenants
from store.processes import ProcessIdentity
from store.states import FINAL
from store.tables import events, runs
from tests.faults.history import check
from tests.faults.house import House

SLOTS = 4
TINY = {"epochs": 1, "network": {"layers": []}, "batch_size": "full", "validation": None, "test": {"fraction": 0.0}}
PATIENCE_SECONDS = 3600.0
MEGABYTE = 1 << 20


def test_each_of_many_queued_runs_is_done_once(new_house, times, full, tell):
    many = times(300, 10_000)
    house = new_house(workers=0, slots=SLOTS)
    asked = Timings("POST")
    queue(house, many, asked)
    worker = house.new_worker().start()
    claimed, listed = Timings("claim"), Timings("list")
    size: dict[str, int] = {}
    with sampling(lambda: claim_and_hand_back(house, claimed)), sampling(lambda: list_runs(house, listed)):
        for share in (0.2, 1.0):
            wait_until_done(house, int(share * many))
            for name, pids in (("API", house.api.children()), ("worker", worker.children())):
                size[f"{name} at {share:.0%}"] = sum(map(resident_bytes, pids))
    for each in (asked, claimed, listed):
        tell(str(each))
    tell(str({name: f"{bytes / MEGABYTE:.0f} MiB" for name, bytes in size.items()}))
    with house.database.read() as tx:
        statuses = Counter(tx.execute(select(runs.c.status)).scalars())
        finals = tx.execute(select(func.count()).where(events.c.type.in_([f"run.{status}" for status in FINAL])))
        assert (statuses, finals.scalar()) == ({"succeeded": many}, many)
    check(house)
    if full:  # in the short form a busy machine is what takes long, and what grows is what every process needs once
        assert claimed.p99 < 0.050
        assert listed.p99 < 0.200
        for name in ("API", "worker"):
            assert size[f"{name} at 100%"] < 1.05 * size[f"{name} at 20%"] + 8 * MEGABYTE, size


class Timings:
    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds: list[float] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - begin)

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(0.99 * len(self.seconds))]

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        half, most = ordered[len(ordered) // 2], ordered[-1]
        return f"{len(ordered)} {self.name}s: p50 {half:.4f} s, p99 {self.p99:.4f} s, longest {most:.4f} s"


def queue(house: House, many: int, asked: Timings) -> None:
    def post(seed: int) -> None:
        with asked.one():
            house.start(seed=seed, **TINY)

    house.dataset  # noqa: B018 - uploaded once, before many threads want it
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(post, range(many)))


def claim_and_hand_back(house: House, claimed: Timings) -> None:
    """As a slot claims, and as it hands back when it is drained."""
    here = ProcessIdentity.current()
    with claimed.one(), house.database.write() as tx:
        claim = claims.claim(tx, worker="wk_test", slot_pid=here.pid, owner=here)
    if claim is not None:
        with house.database.write() as tx:
            finishing.release(tx, claim.run_id, claim.attempt)


def list_runs(house: House, listed: Timings) -> None:
    for query in ({"status": "queued", "limit": 50}, {}):
        with listed.one():
            house.client.get("/v1/runs", params=query)


@contextmanager
def sampling(sample: Callable[[], None]) -> Iterator[None]:
    """`sample` again and again, beside whatever happens meanwhile."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.02):
            sample()

    with ThreadPoolExecutor(1) as thread:
        going = thread.submit(go_on)
        try:
            yield
        finally:
            over.set()
        going.result()


def wait_until_done(house: House, many: int) -> None:
    query = select(func.count()).where(runs.c.tenant_id == tenants.LOCAL, runs.c.status.in_(FINAL))
    until, found = time.monotonic() + PATIENCE_SECONDS, 0
    while found < many:
        assert time.monotonic() < until, f"{found} of {many} are done"
        time.sleep(0.2)
        with house.database.read() as tx:
            found = int(tx.execute(query).scalar_one())


def resident_bytes(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024
