"""Predictions under load, beside LitServe, MLflow's server and a bare route: `python -m benchmarks serving`.

All answer JSON with JSON from two processes on this machine, to eight connections that never pause, from a process that
takes its share of the same cores. LitServe and MLflow serve the very network that learnd has trained, as torch modules.
"""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from benchmarks import load
from benchmarks.latency import service, until
from benchmarks.load import CONNECTIONS, Load, Taken
from benchmarks.report import Figure, table
from benchmarks.serving_rivals import Absent, Rival, bare, litserve, mlflow

PROCESSES = 2
ROUNDS = 25  # of little time each: what else the machine does changes from one second to the next
SECONDS = 1.0  # that each is asked in each round
NUMBERS = 30
BARE = "a bare Flask route"  # of the same server, that only parses and answers the same JSON
BARER = "the same without Flask"
# MLflow sends head and body apart, and with several workers without TCP_NODELAY (uvicorn's issue 3149): each answer
# waits 40 ms for the client's acknowledgement, unless that comes at once as it does to this name.
QUICK = "MLflow, were its answers acknowledged at once"
WORDS = ("alder", "birch", "cedar", "douglas fir", "elm", "fir", "ginkgo", "hazel")
DRAWN = random.Random(5)


class Asked(Protocol):
    def put(self, body: str, seconds: float) -> Taken: ...


@dataclass(frozen=True)
class Ours:
    port: int
    path: str

    def put(self, body: str, seconds: float) -> Taken:
        return load.put(Load(self.port, self.path, body, seconds))


@dataclass(frozen=True)
class Case:
    what: str
    model: str
    rows: list[Any]
    rivals: tuple[str, ...]


@dataclass
class Rounds:
    taken: list[Taken] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(each.requests_a_second for each in self.taken)

    @property
    def p99(self) -> float:
        return median(each.p99 for each in self.taken)

    def times(self, others: "Rounds") -> float:
        """The median of what the rounds say, each of which is in a state of the machine of its own."""
        rates = zip(self.taken, others.taken, strict=True)
        return median(own.requests_a_second / other.requests_a_second for own, other in rates)

    def __str__(self) -> str:
        p50 = median(each.p50 for each in self.taken)
        return f"{self.rate:,.0f}/s, p50 {p50:.2f} ms, p99 {self.p99:.2f} ms"


def lines() -> Iterator[str]:
    absent: dict[str, Absent] = {}
    with ExitStack() as servers:
        client = servers.enter_context(service(LEARND_API_PROCESSES=str(PROCESSES)))
        file = Path(servers.enter_context(TemporaryDirectory(prefix="learnd-bench-"))) / "small.safetensors"
        file.write_bytes(_trained(client))
        rivals: dict[str, Rival] = {
            BARE: servers.enter_context(bare(PROCESSES, "flask")),
            BARER: servers.enter_context(bare(PROCESSES, "wsgi")),
        }
        for name, start in (("LitServe", litserve), ("MLflow", mlflow)):
            try:
                rivals[name] = servers.enter_context(start(file, PROCESSES))
            except Absent as reason:
                absent[name] = reason
        for rival in rivals.values():
            _until_ready(rival)
        if "MLflow" in rivals:
            rivals[QUICK] = replace(rivals["MLflow"], acknowledged_at_once=True)
        figures, tails = [], []
        for case in _cases():
            found = _contest(case, client, rivals)
            ours = found.pop("learnd")
            figures += [
                Figure(case.what, str(ours), f"{each}: {name}", ours.times(each)) for name, each in found.items()
            ]
            tails.append(f"{case.what}: {ours.p99 / found[BARE].p99:.2f} times the bare route's")
    yield from table(figures)
    yield ""
    yield f"Requests a second by {CONNECTIONS} connections; medians of {ROUNDS} rounds of {SECONDS:.0f} s in turn, the"
    yield "ratio that of the rounds' ratios."
    yield f"The p99: {'; '.join(tails)}."
    for name, reason in absent.items():
        yield f"{name} was not measured: {reason}."


def _cases() -> Iterator[Case]:
    every = (BARE, BARER, "LitServe", "MLflow", QUICK)
    yield Case(f"1 row of {NUMBERS} numbers, [64, 64]", "small", _numbers(1), every)
    yield Case(f"100 rows of {NUMBERS} numbers, [64, 64]", "small", _numbers(100), every)
    yield Case(f"1 row of {NUMBERS} numbers, the default network", "default", _numbers(1), every[:2])
    yield Case("1 row of 20 mixed columns as a record, [64, 64]", "mixed", [_mixed()], every[:2])


def _contest(case: Case, client: httpx2.Client, rivals: Mapping[str, Rival]) -> dict[str, Rounds]:
    """Raises RuntimeError where the rivals' answers are not ours."""
    address = urlsplit(str(client.base_url))
    path = f"/v1/models/{case.model}/predictions"
    ours = client.post(path, json={"instances": case.rows}).raise_for_status().json()["predictions"]
    asked: dict[str, tuple[Asked, str]] = {"learnd": (Ours(address.port or 80, path), _body("instances", case))}
    for name in case.rivals:
        if name in rivals:
            asked[name] = rivals[name], _body(rivals[name].field, case)
            if name not in (BARE, BARER):
                _check(name, rivals[name], asked[name][1], ours)
    for each, body in asked.values():
        each.put(body, 0.5)
    found = {name: Rounds() for name in asked}
    for _ in range(ROUNDS):
        for name, (each, body) in asked.items():
            found[name].taken.append(each.put(body, SECONDS))
    return found


def _body(name: str, case: Case) -> str:
    return json.dumps({name: case.rows})


def _ask(rival: Rival, body: str) -> httpx2.Response:
    headers = {"Content-Type": "application/json"}
    return httpx2.post(f"http://127.0.0.1:{rival.port}{rival.path}", content=body, headers=headers, timeout=60)


def _check(name: str, rival: Rival, body: str, ours: list[float]) -> None:
    with rival.awake():
        theirs = _ask(rival, body).raise_for_status().json()["predictions"]
    if any(abs(one - other) > 1e-3 * (1 + abs(one)) for one, other in zip(ours, theirs, strict=True)):
        raise RuntimeError(f"{name} does not do the same work: {theirs[:3]} and not {ours[:3]}")


def _until_ready(rival: Rival) -> None:
    """Its port may be open before its network is loaded."""

    def answers() -> bool:
        try:
            return _ask(rival, json.dumps({rival.field: _numbers(1)})).status_code == 200
        except httpx2.TransportError:
            return False

    with rival.awake():
        until(answers)


def _trained(client: httpx2.Client) -> bytes:
    """The models of all cases; the file of the small one's network."""
    small = {"network": {"layers": [{"units": 64}, {"units": 64}]}, "scaling": "standard"}
    numbers = _csv([f"x{place}" for place in range(NUMBERS)], _numbers(1_000))
    run = _model(client, "small", numbers, small)
    _model(client, "default", numbers, {})
    rows = [_mixed() for _ in range(1_000)]
    _model(client, "mixed", _csv(list(rows[0]), [list(row.values()) for row in rows]), small)
    return client.get(f"/v1/runs/{run}/weights").raise_for_status().content


def _model(client: httpx2.Client, name: str, content: str, spec: Mapping[str, Any]) -> str:
    """The id of its run."""
    headers = {"Content-Type": "text/csv"}
    dataset = client.post("/v1/datasets", content=content.encode(), headers=headers).raise_for_status().json()["id"]
    body = {"dataset": dataset, "target": "y", "task": "regression", "epochs": 3, **spec}
    run = client.post("/v1/runs", json=body).raise_for_status().json()["id"]
    ended = until(lambda: (found := client.get(f"/v1/runs/{run}").json())["finished_at"] and found)
    assert ended["status"] == "succeeded", ended["error"]
    client.post("/v1/models", json={"name": name, "run": run}).raise_for_status()
    return run


def _numbers(rows: int) -> list[list[float]]:
    return [[DRAWN.gauss(50.0, 10.0) for _ in range(NUMBERS)] for _ in range(rows)]


def _mixed() -> dict[str, Any]:
    """10 numbers and 10 categories, about one in ten missing."""
    numbers = {f"x{place}": DRAWN.gauss(50.0, 10.0) for place in range(10)}
    words = {f"c{place}": DRAWN.choice(WORDS) for place in range(10)}
    return {name: value if DRAWN.random() > 0.1 else None for name, value in (numbers | words).items()}


def _csv(names: list[str], rows: list[list[Any]]) -> str:
    told = [",".join((*names, "y"))]
    for row in rows:
        cells = ["" if value is None else str(value) for value in row]
        told.append(",".join((*cells, str(sum(value for value in row if isinstance(value, float))))))
    return "\n".join(told)
