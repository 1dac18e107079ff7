"""A body whose connection ends early is never acted upon: by its length or chunked, plain, gzipped or in a form."""

import gzip
import random
import socket
import struct
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.functional.running import Service, wait_for

CUTS = {"short": 20, "full": 200}
RESET = struct.pack("ii", 1, 0)
BOUNDARY = "learnd"


def table(draw: random.Random) -> bytes:
    rows = "".join(f"{draw.random()},{draw.randrange(9)},{'ab'[draw.randrange(2)]}\n" for _ in range(20_000))
    return f"x,y,z\n{rows}".encode()


def request(path: str, media: str, body: bytes, *, is_chunked: bool, is_zipped: bool, is_form: bool) -> bytes:
    if is_zipped:
        body = gzip.compress(body)
    if is_form:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        body, media = (
            head.encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode(),
            f"multipart/form-data; boundary={BOUNDARY}",
        )
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {media}"]
    if is_zipped:
        lines.append("Content-Encoding: gzip")
    if is_chunked:
        lines.append("Transfer-Encoding: chunked")
        step = max(1, len(body) // 5)
        pieces = [body[first : first + step] for first in range(0, len(body), step)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def status_of(service: Service, content: bytes, how: str) -> int | None:
    """What is answered to a request of which this is all that comes, if anything is."""
    address = urlsplit(str(service.client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(content)
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return None
        if how == "close":
            return None
        connection.shutdown(socket.SHUT_WR)
        try:
            found = connection.recv(1 << 16)
        except ConnectionResetError:
            return None
    return int(found.split()[1]) if found else None


def waiting_files(service: Service) -> list[Path]:
    return [path for path in (service.folder / "data" / "blobs" / "partial").rglob("*") if path.is_file()]


FORMS = [
    (chunked, zipped, form)
    for chunked, zipped, form in product((False, True), repeat=3)
    if not (zipped and form)  # a form takes no encoding
]


@pytest.mark.parametrize("how", ["end", "reset", "close"])
@pytest.mark.parametrize("form", FORMS)
def test_upload_that_ends_early_makes_no_dataset(service, pytestconfig, how, form):
    is_chunked, is_zipped, is_form = form
    draw = random.Random(f"{how} {is_chunked} {is_zipped} {is_form}")
    name = f"cut-{how}-{is_chunked}-{is_zipped}-{is_form}"
    framing = {"is_chunked": is_chunked, "is_zipped": is_zipped, "is_form": is_form}
    whole = request(f"/v1/datasets?name={name}", "text/csv", table(draw), **framing)
    for _ in range(CUTS["full" if pytestconfig.getoption("--full") else "short"]):
        status = status_of(service, whole[: draw.randrange(1, len(whole))], how)
        assert status is None or 400 <= status < 500
    # The last bytes are those that a reader could do without: a table's last line, a gzip stream's sum, a last chunk.
    for short in (1, 2, 3, 5, 8):
        status = status_of(service, whole[:-short], how)
        assert status is None or 400 <= status < 500
    wait_for(lambda: not waiting_files(service), 1)
    listed = service.client.get("/v1/datasets", params={"limit": 1000}).raise_for_status().json()["data"]
    assert name not in [dataset["name"] for dataset in listed]
    assert status_of(service, whole, "end") == 201


@pytest.mark.parametrize("is_chunked", [False, True])
def test_prediction_and_run_that_end_early_are_not_answered(service, iris, pytestconfig, is_chunked):
    draw = random.Random(is_chunked)
    run = service.start(iris, epochs=1)
    service.ended(run)
    framing = {"is_chunked": is_chunked, "is_zipped": False, "is_form": False}
    model = service.post("/v1/models", json={"name": f"cut-{is_chunked}", "run": run})["name"]
    rows = b'{"instances":[' + b",".join([b"[5.1,3.5,1.4,0.2]"] * 5_000) + b"]}"
    before = len(service.client.get("/v1/runs", params={"limit": 1000}).json()["data"])
    for path, body in {
        f"/v1/runs/{run}/predictions": rows,
        "/v1/runs": b'{"dataset":"%b","target":"species","epochs":1}' % iris.encode(),
        "/v1/batch-predictions": b'{"model":"%b","dataset":"%b"}' % (model.encode(), iris.encode()),
    }.items():
        whole = request(path, "application/json", body, **framing)
        for _ in range(CUTS["full" if pytestconfig.getoption("--full") else "short"]):
            assert status_of(service, whole[: draw.randrange(1, len(whole))], "end") in (None, 400)
        assert status_of(service, whole[:-1], "end") in (None, 400)
    assert len(service.client.get("/v1/runs", params={"limit": 1000}).json()["data"]) == before
    assert service.client.get("/v1/batch-predictions", params={"limit": 1000}).json()["data"] == []
