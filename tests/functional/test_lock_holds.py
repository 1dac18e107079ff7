"""Nothing that a client sends keeps Python's lock in a process that answers HTTP for longer than a moment."""

import gzip
import io
import json
import random
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pyarrow as pa
import pytest
from pyarrow import ipc

from tests.functional.running import IRIS, Service, wait_for
from tests.security.test_hostile_tables import HOSTILE, PARQUET

MOST_SECONDS = 0.050
ROUNDS = 5
JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
MIB = 1 << 20


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("watched")
    environment = {
        "PYTHONPATH": str(Path(__file__).parent / "lock_watch"),
        "LEARND_LOCK_WATCH": str(folder / "holds"),
        "LEARND_API_PROCESSES": "1",
    }
    service = Service(folder, environment=environment)
    service.warm()
    yield service
    assert service.stop() == 0


@pytest.fixture(scope="module")
def paths(watched: Service) -> dict[str, str]:
    draw = random.Random(5)
    rows = "".join(f"{draw.random()},{draw.random()},{'abc'[draw.randrange(3)]}\n" for _ in range(100_000))
    dataset = watched.upload(f"x,y,species\n{rows}".encode(), "large")
    run = watched.start(dataset, epochs=1, batch_size=8192)
    watched.ended(run)
    iris = watched.start(watched.upload(IRIS.read_bytes(), "iris"), epochs=500, sweep={"seed": [*range(8)]})
    watched.ended(iris)
    watched.post("/v1/models", json={"name": "locks", "run": run, "alias": "prod"})
    batch = watched.post("/v1/batch-predictions", json={"model": "locks", "dataset": dataset, "probabilities": True})[
        "id"
    ]
    wait_for(lambda: watched.client.get(f"/v1/batch-predictions/{batch}").json()["status"] == "succeeded")
    return {"dataset": dataset, "run": run, "iris": iris, "batch": batch}


def body(element: bytes, size: int) -> bytes:
    return b'{"instances": [' + b",".join([element] * (size // (len(element) + 1))) + b"]}"


def arrow(columns: int, rows: int) -> bytes:
    shared = pa.array([1.5] * rows)
    out = io.BytesIO()
    table = pa.table([shared] * columns, names=[f"c{each}" for each in range(columns)])
    with ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def record_of(size: int) -> bytes:
    return orjson.dumps({"instances": [{f"k{each}": each for each in range(size)}]})


SIZE = 15 * MIB
PREDICTIONS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty arrays": (lambda: body(b"[]", SIZE), JSON),
    "empty records": (lambda: body(b"{}", SIZE), JSON),
    "100,000 arrays": (lambda: orjson.dumps({"instances": [[0.25, 0.5]] * 100_000}), JSON),
    "100,000 records": (lambda: orjson.dumps({"instances": [{"x": 0.25, "y": 0.5}] * 100_000}), JSON),
    "escaped text": (lambda: body(b'{"x": "' + b"\\u0041" * 60 + b'"}', SIZE), JSON),
    "one escaped text": (lambda: b'{"instances": [{"x": "' + b"\\n" * (SIZE // 2) + b'"}]}', JSON),
    "quotes": (lambda: b'{"instances": [' + b'"' * SIZE + b"]}", JSON),
    "digits": (lambda: b'{"instances": [[' + b"9" * SIZE + b"]]}", JSON),
    "a number each": (lambda: b'{"instances": [[' + b"1," * (SIZE // 2) + b"1]]}", JSON),
    "spaces": (lambda: b'{"instances": [' + b" " * SIZE + b"]}", JSON),
    "nested": (lambda: b'{"instances": ' + b"[" * SIZE, JSON),
    "many keys": (lambda: record_of(500_000), JSON),
    "many members": (lambda: b"{" + b",".join(b'"k%d":1' % each for each in range(10**6)) + b"}", JSON),
    "a wrong value in each": (lambda: orjson.dumps({"instances": [["a", "b"]] * 100_000}), JSON),
    "an unknown key in each": (lambda: orjson.dumps({"instances": [{"z": 1}] * 100_000}), JSON),
    "dataframe_split": (
        lambda: orjson.dumps({"dataframe_split": {"columns": ["x", "y"], "data": [[0.25, 0.5]] * 100_000}}),
        JSON,
    ),
    "100,000 lines": (lambda: b"x,y\n" + b"0.25,0.5\n" * 100_000, CSV),
    "blank lines": (lambda: b"x,y\n" + b"\n" * SIZE, CSV),
    "commas": (lambda: b"x,y\n" + b"," * SIZE, CSV),
    "many columns": (lambda: b",".join(b"c%d" % each for each in range(10**6)) + b"\n", CSV),
    "open quote": (lambda: b'x,y\n"' + b"a\n" * (SIZE // 2), CSV),
    "100,000 rows of Arrow": (lambda: arrow(2, 100_000), ARROW),
    "Arrow of one buffer": (lambda: arrow(400, 100_000)[: 15 * MIB], ARROW),
    "random bytes": (lambda: random.Random(1).randbytes(SIZE), ARROW),
}


def inference(rows: int) -> bytes:
    tensor = {"name": "x", "datatype": "FP64", "shape": [rows], "data": [0.5] * rows}
    return orjson.dumps({"inputs": [tensor, {**tensor, "name": "y"}]})


def predict(service: Service, paths: dict[str, str], name: str) -> None:
    content, media = PREDICTIONS[name]
    headers = {"Content-Type": media}
    answer = service.client.post("/v1/models/locks/predictions", content=content(), headers=headers)
    assert answer.status_code < 500, (name, answer.text[:500])


def specs(service: Service, paths: dict[str, str]) -> None:
    base = {"dataset": paths["dataset"], "target": "species"}
    bodies = [
        {**base, "sweep": {"seed": [*range(100_000)]}},
        {**base, "sweep": {"seed": [*range(1_000)], "epochs": [*range(1, 1_000)], "batch_size": [*range(1, 1_000)]}},
        {**base, "members": [{"seed": each} for each in range(50_000)]},
        {**base, "features": [f"f{each}" for each in range(100_000)]},
        {**base, "network": {"layers": [{"units": 1}] * 100_000}},
        {**base, "name": "a" * MIB},
        {**base, "labels": {f"k{each}": "v" for each in range(50_000)}},
        {f"k{each}": each for each in range(50_000)},
    ]
    for each in bodies:
        answer = service.client.post("/v1/runs", content=orjson.dumps(each), headers={"Content-Type": JSON})
        assert answer.status_code in (400, 413, 422), answer.text[:500]


def uploads(service: Service, paths: dict[str, str]) -> None:
    rows = b"".join(b"%d,%d,text %d\n" % (each, each * 7 % 13, each % 1_000) for each in range(500_000))
    tables = [(b"a,b,c\n" + rows, CSV, ""), (gzip.compress(b"a,b,c\n" + rows, 1), CSV, "gzip")]
    tables += [(make(), PARQUET, "") for make in HOSTILE.values()]
    tables += [
        (b"x\n" + b"9" * 16_000 + b"x\n", CSV, ""),
        (b",".join(b"c%d" % each for each in range(5_000)) + b"\n" + b",".join([b"1"] * 5_000) + b"\n", CSV, ""),
        (b"{" + b",".join(b'"k%d":1' % each for each in range(5_000)) + b"}\n", "application/x-ndjson", ""),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 20_000_000, 1), CSV, "gzip"),
        (gzip.compress(b"") * 300_000, CSV, "gzip"),
    ]
    for content, media, coding in tables:
        headers = {"Content-Type": media, "Content-Encoding": coding} if coding else {"Content-Type": media}
        answer = service.client.post("/v1/datasets?name=x", content=content, headers=headers, timeout=120)
        assert answer.status_code in (201, 413, 422), answer.text[:500]
    boundary = b"--b\r\nContent-Disposition: form-data; name="
    forms = [
        boundary + b'"file"; filename="x.csv"\r\n\r\n' + b"a,b,c\n" + rows + b"\r\n--b--\r\n",
        boundary + b'"name"\r\n\r\n' + b"a" * SIZE + b"\r\n--b--\r\n",
        (boundary + b'"x"\r\n\r\n1\r\n') * 100_000 + b"--b--\r\n",
        b"\r\n--b\r\n" * 500_000,
    ]
    for form in forms:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = service.client.post("/v1/datasets", content=form, headers=headers, timeout=120)
        assert answer.status_code in (201, 400, 413, 422), answer.text[:500]


def reads(service: Service, paths: dict[str, str]) -> None:
    run, iris = f"/v1/runs/{paths['run']}", f"/v1/runs/{paths['iris']}"
    asked = [
        f"/v1/datasets/{paths['dataset']}/rows?limit=1000",
        f"/v1/datasets/{paths['dataset']}",
        "/v1/runs?limit=1000",
        "/v1/datasets?limit=1000",
        run,
        iris,
        f"{run}/evaluation",
        f"{iris}/metrics",
        f"{iris}/metrics?limit=10000",
        f"{iris}/events?limit=1000",
        f"{run}/weights",
        f"{run}/onnx",
        f"/v1/batch-predictions/{paths['batch']}/result",
        "/openapi.json",
        "/docs",
        "/metrics",
        "/readyz",
    ]
    for path in asked:
        answer = service.client.get(path, timeout=60)
        assert answer.status_code < 500, (path, answer.text[:500])


def stalled(service: Service, paths: dict[str, str]) -> None:
    address = urlsplit(str(service.client.base_url))
    head = b"POST /v1/datasets HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 100000\r\n\r\na,b\n"
    clients = []
    for place in range(200):
        client = socket.create_connection((address.hostname, address.port))
        client.sendall(head[: place * 3 % len(head)] if place % 2 else head)
        clients.append(client)
    for client in clients:
        client.close()
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"x: y\r\n" * 5_000 + b"\r\n")
        while client.recv(MIB):
            pass


def tensors(service: Service, paths: dict[str, str]) -> None:
    answer = service.client.post("/v2/models/locks/infer", content=inference(100_000), headers={"Content-Type": JSON})
    assert answer.status_code < 500, answer.text[:500]


ATTACKS: dict[str, Callable[[Service, dict[str, str]], None]] = {
    **{name: lambda service, paths, name=name: predict(service, paths, name) for name in PREDICTIONS},
    "specs": specs,
    "uploads": uploads,
    "reads": reads,
    "stalled": stalled,
    "tensors": tensors,
}


def holds(service: Service) -> list[dict]:
    path = service.folder / "holds"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def longest(service: Service, before: int) -> dict:
    """Return the longest hold of those that came after so many."""
    return max(holds(service)[before:], key=lambda each: each["held"], default={"held": 0.0})


def test_all_at_once_do_not_hold_the_lock(watched, paths):
    before = len(holds(watched))
    with ThreadPoolExecutor(len(ATTACKS)) as threads:
        for done in [threads.submit(attack, watched, paths) for attack in ATTACKS.values()]:
            done.result()
    found = longest(watched, before)
    print(f"at once: {found['held'] * 1000:.0f} ms")
    assert found["held"] < MOST_SECONDS, found


@pytest.mark.parametrize("name", ATTACKS)
def test_no_request_holds_the_lock(watched, paths, pytestconfig, name):
    if not pytestconfig.getoption("--full"):
        pytest.skip("one after another with --full alone")
    before = len(holds(watched))
    for _ in range(ROUNDS):
        ATTACKS[name](watched, paths)
    found = longest(watched, before)
    print(f"{name}: {found['held'] * 1000:.0f} ms")
    assert found["held"] < MOST_SECONDS, found
