"""Files that end their reader, or ask too much of it: refused with a reason, while everything else goes on."""

import gzip
import io
import os
import random
import signal
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import UnreadableTable
from store.tabular import ImportOptions, import_table
from store.tabular.import_processes import Crowded, ImportEnded, ImportProcesses, Limits
from tests.functional.running import descendants
from tests.service.callers import Caller

PARQUET = "application/vnd.apache.parquet"
MUTANTS = {"short": 40, "full": 2_000}


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def element(name: bytes, children: int | None) -> bytes:
    """A schema's element in Thrift's compact protocol: repetition, name, and its children or the type of a leaf."""
    kind = b"\x15\x04" if children is None else b""  # field 1: INT64
    repetition = (b"\x25" if kind else b"\x35") + b"\x02"  # field 3: OPTIONAL
    count = b"" if children is None else b"\x15" + varint(2 * children)  # field 5
    return kind + repetition + b"\x18" + varint(len(name)) + name + count + b"\x00"


def parquet(elements: list[bytes], rows: int = 1) -> bytes:
    head = b"\x29" + (bytes([len(elements) << 4 | 12]) if len(elements) < 15 else b"\xfc" + varint(len(elements)))
    footer = b"\x15\x02" + b"\x19" + head[1:] + b"".join(elements) + b"\x16" + varint(2 * rows) + b"\x19\x0c\x00"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def nested(depth: int) -> bytes:
    return parquet([element(b"a", 1) for _ in range(depth)] + [element(b"leaf", None)])


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nested 4,000 deep": lambda: nested(4_000),
    "nested 100,000 deep": lambda: nested(100_000),
    "a million elements": lambda: parquet([element(b"root", 1_000_000), *[element(b"a", None)] * 1_000_000]),
    "no footer": lambda: b"PAR1" + struct.pack("<I", 0) + b"PAR1",
    "a footer of zeros": lambda: b"PAR1" + bytes(100) + struct.pack("<I", 100) + b"PAR1",
    "a footer past the file": lambda: b"PAR1" + struct.pack("<I", 1 << 30) + b"PAR1",
    "a short file": lambda: b"PAR1",
    "garbage": lambda: b"PAR1" + random.Random(1).randbytes(700) + struct.pack("<I", 700) + b"PAR1",
    "no column": lambda: parquet([element(b"root", 0)]),
    "a million million rows": lambda: parquet([element(b"root", 1), element(b"a", None)], rows=10**12),
}


def sound() -> bytes:
    out = io.BytesIO()
    table = pa.table({"x": [1.5, None, 3.0] * 50, "y": ["a", "b", None] * 50, "z": list(range(150))})
    pq.write_table(table, out, compression="zstd", row_group_size=40)
    return out.getvalue()


def send(caller: Caller, content: bytes, media: str, **headers: str) -> int:
    answer = caller.client.post("/v1/datasets?name=x", data=content, headers={"Content-Type": media, **headers})
    assert answer.status_code in (201, 413, 422), answer.text
    assert (answer.status_code == 201) or answer.json["detail"]
    return int(answer.status_code)


def nothing_left(caller: Caller) -> bool:
    return not list(caller.parts.blobs.scratch.iterdir())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_parquet_is_refused(caller: Caller, name: str) -> None:
    content = HOSTILE[name]()
    assert send(caller, content, PARQUET) == 422
    assert send(caller, gzip.compress(content, 1), PARQUET, **{"Content-Encoding": "gzip"}) == 422
    assert nothing_left(caller)
    assert send(caller, sound(), PARQUET) == 201


@pytest.mark.parametrize("kind", ["parquet", "ndjson", "csv"])
def test_mutated_files_are_read_or_refused(caller: Caller, kind: str, pytestconfig: pytest.Config) -> None:
    draw = random.Random(kind)
    originals = {
        "parquet": (sound(), PARQUET),
        "ndjson": (b'{"a":1,"b":"x"}\n{"a":2.5,"b":null}\n' * 20, "application/x-ndjson"),
        "csv": (b'a,b,"c d"\n1,x,"y, ""z"""\n2,,\n' * 20, "text/csv"),
    }
    original, media = originals[kind]
    for _ in range(MUTANTS["full" if pytestconfig.getoption("--full") else "short"]):
        content = bytearray(original)
        for _ in range(draw.randrange(1, 5)):
            place, step = draw.randrange(len(content)), draw.randrange(3)
            if step == 0:
                content[place] = draw.randrange(256)
            elif step == 1:
                del content[place : place + draw.randrange(1, 20)]
            else:
                content[place:place] = draw.randbytes(draw.randrange(1, 9))
            if not content:
                break
        send(caller, bytes(content), media)
    assert nothing_left(caller)


def test_wide_tables_take_no_more_time_than_they_may(caller: Caller, pytestconfig: pytest.Config) -> None:
    columns = 10_000 if pytestconfig.getoption("--full") else 500
    wide = [
        (",".join(f"c{n}" for n in range(columns)) + "\n" + ",".join(["1"] * columns) + "\n", "text/csv"),
        (",".join(["same"] * columns) + "\n" + ",".join(["1"] * columns) + "\n", "text/csv"),
        ("{" + ",".join(f'"k{n}":1' for n in range(columns)) + "}\n" + "{}\n" * 1_000, "application/x-ndjson"),
    ]
    for content, media in wide:
        send(caller, content.encode(), media)
    assert nothing_left(caller)


def test_empty_objects_are_counted_as_the_cells_that_they_are(tmp_path: Path) -> None:
    keys = "{" + ",".join(f'"k{n}":1' for n in range(5_000)) + "}\n"
    (tmp_path / "in").write_text(keys + "{}\n" * 100_000)
    began = time.process_time()
    with pytest.raises(UnreadableTable, match="more than 3000000000 bytes in memory"):
        import_table(tmp_path / "in", "ndjson", ImportOptions(), tmp_path / "out", max_bytes=3_000_000_000)
    assert time.process_time() - began < 2
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_millions_of_empty_gzip_members_are_refused_soon(caller: Caller) -> None:
    content = gzip.compress(b"") * 1_000_000
    began = time.monotonic()
    assert send(caller, content, "text/csv", **{"Content-Encoding": "gzip"}) == 422
    assert time.monotonic() - began < 5


LIMITS = Limits(rows=10**6, columns=1_000, bytes=1 << 30)


def job(folder: Path, rows: int = 10) -> tuple[Path, Path]:
    source = folder / "in.csv"
    source.write_text("a,b\n" + "1,x\n" * rows)
    return source, folder / "out"


def test_import_that_is_killed_says_so_and_the_next_one_works(tmp_path: Path) -> None:
    imports = ImportProcesses(2, LIMITS)
    source, out = job(tmp_path, rows=900_000)
    threading.Timer(0.15, kill_children).start()
    with pytest.raises(ImportEnded):
        imports.run(source, "csv", ImportOptions(), out)
    assert imports.run(*_reordered(job(tmp_path))).rows == 10


def test_import_that_takes_too_much_time_is_refused(tmp_path: Path) -> None:
    imports = ImportProcesses(1, Limits(rows=10**9, columns=10, bytes=1 << 40, seconds=1, seconds_per_byte=0))
    source = tmp_path / "in.ndjson"
    source.write_text('{"a":1,"b":"x"}\n' * 2_000_000)
    with pytest.raises(UnreadableTable, match="more work"):
        imports.run(source, "ndjson", ImportOptions(), tmp_path / "out")


def test_no_more_imports_at_once_than_are_allowed(tmp_path: Path) -> None:
    imports = ImportProcesses(1, LIMITS, patience=0.1)
    source, out = job(tmp_path, rows=900_000)
    running = threading.Thread(target=imports.run, args=(source, "csv", ImportOptions(), out))
    running.start()
    try:
        time.sleep(0.05)  # until it has its turn; if it had not, the next line would fail
        with pytest.raises(Crowded):
            imports.run(source, "csv", ImportOptions(), tmp_path / "other")
    finally:
        running.join()


def _reordered(paths: tuple[Path, Path]) -> tuple[Path, str, ImportOptions, Path]:
    return paths[0], "csv", ImportOptions(), paths[1]


def kill_children() -> None:
    """Kill the import that is under way: the child of the parent of imports."""
    for pid, _ in descendants(os.getpid()):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        if (
            b"store.tabular.importer" in command
            and b"store.tabular.importer" in Path(f"/proc/{parent}/cmdline").read_bytes()
        ):
            os.kill(pid, signal.SIGKILL)


def test_import_that_fails_by_our_mistake_is_a_500(caller: Caller, tmp_path: Path) -> None:
    assert caller.send("a,b\n1,x\n").status_code == 201
    shown = caller.parts.blobs.scratch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caller.parts.imports, "_limits", Limits(rows=10, columns=10, bytes="many"))  # type: ignore[arg-type]
        answer = caller.send(b'{"a":1}\n', content_type="application/x-ndjson")
    assert answer.status_code == 500
    assert "errors" not in answer.json
    assert list(shown.iterdir()) == []


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"\0" * 200 + b"PAR1", b"PAR1" + b"\xff" * 500 + b"PAR1"])
def test_broken_parquet_leaves_no_trace_in_the_log(
    caller: Caller, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert caller.send(content, content_type=PARQUET).status_code == 422
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err
