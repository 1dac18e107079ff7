"""An import in a process of its own says what one here would say, and goes when nobody waits for it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from store.errors import UnreadableTable
from store.tabular import ImportOptions, import_processes, import_table, read_rows
from store.tabular.import_processes import ImportEnded, ImportFailed, ImportProcesses, Limits
from tests.functional.running import alive, descendants, wait_for

LIMITS = {"rows": 10**7, "columns": 1_000, "bytes": 1 << 30}
SLOW = "a,b\n" + "1,x\n" * 3_000_000

SENDER = """
import sys
from pathlib import Path
from store.tabular import ImportOptions
from store.tabular.import_processes import ImportProcesses, Limits
print("here", flush=True)
ImportProcesses(1, Limits(10**9, 10, 1 << 40)).run(Path(sys.argv[1]), "csv", ImportOptions(), Path(sys.argv[2]))
"""


def imports(**limits: float) -> ImportProcesses:
    return ImportProcesses(2, Limits(**LIMITS | limits))


TABLES = {
    "csv": (b"a,b,c,a\n1,x,2026-01-01,0.1\n2,,2026-01-02,1e300\n3,\xc3\xa9\xf0\x9f\x98\x80,,-0.0\n", "csv"),
    "late text": (b"a,b\n" + b"1,x\n" * 500 + b"q,x\n", "csv"),
    "ragged": (b"a,b\n1,2\n3\n", "csv"),
    "forced": (b"a,b\n1,x\nz,y\n", "csv"),
    "ndjson": (b'{"a":1,"b":"x"}\n{"b":"y","c":true}\n', "ndjson"),
    "not json": (b'{"a":1}\n{"a":\n', "ndjson"),
    "no parquet": (b"PAR1", "parquet"),
}


@pytest.mark.parametrize("name", TABLES)
def test_it_says_what_an_import_here_says(tmp_path, name):
    content, format = TABLES[name]
    (tmp_path / "in").write_bytes(content)
    options = ImportOptions(types={"a": "numeric"} if name == "forced" else {})
    said = []
    for run, out in ((import_table, tmp_path / "here"), (imports().run, tmp_path / "apart")):
        try:
            table = run(tmp_path / "in", format, options, out)
            said.append((table, out.read_bytes()))
        except UnreadableTable as error:
            said.append((error.message, error.line, error.column, out.exists()))
    assert said[0] == said[1]


def test_a_wide_table_comes_column_by_column(tmp_path):
    columns = ", ".join(f"range * {n} AS c{n}" for n in range(500))
    duckdb.sql(f"COPY (SELECT {columns} FROM range(20)) TO '{tmp_path}/in' (FORMAT parquet)")
    table = imports().run(tmp_path / "in", "parquet", ImportOptions(), tmp_path / "ab" / "out")
    assert [column["name"] for column in table.columns] == [f"c{n}" for n in range(500)]


@pytest.fixture(autouse=True)
def _folder_of_blobs(tmp_path):
    (tmp_path / "ab").mkdir()


def test_more_memory_than_is_allowed_is_a_refusal(tmp_path):
    (tmp_path / "in").write_text("s,n\n" + "".join(f"the text of row {row},{row}\n" for row in range(200_000)))
    with pytest.raises(UnreadableTable, match="bytes of memory"):
        imports(memory_bytes=2 << 20).run(tmp_path / "in", "csv", ImportOptions(), tmp_path / "out")


def test_mistake_of_ours_is_not_told_as_the_files(tmp_path):
    (tmp_path / "in").write_text("a,b\n1,x\n")
    with pytest.raises(ImportFailed, match="FileNotFoundError") as failure:
        imports().run(tmp_path / "in", "csv", ImportOptions(), tmp_path / "no folder" / "out")
    assert "Traceback" in failure.value.trace


def test_what_takes_too_long_is_refused(tmp_path):
    (tmp_path / "in").write_text(SLOW)
    with pytest.raises(UnreadableTable, match="too long"):
        imports(wall_seconds=0.05).run(tmp_path / "in", "csv", ImportOptions(), tmp_path / "out")


def test_after_the_death_of_the_process_that_forks_the_next_import_works(tmp_path):
    (tmp_path / "in").write_text(SLOW)
    import_processes.start()
    (parent,) = import_processes._parents
    threading.Timer(0.2, parent._process.send_signal, [signal.SIGKILL]).start()
    with pytest.raises(ImportEnded):
        imports().run(tmp_path / "in", "csv", ImportOptions(), tmp_path / "out")
    (tmp_path / "in").write_text("a,b\n1,x\n")
    imports().run(tmp_path / "in", "csv", ImportOptions(), tmp_path / "ab" / "out")
    assert read_rows(tmp_path / "ab" / "out", 1, 0) == [[1, "x"]]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_with_its_sender_an_import_ends(tmp_path, number):
    (tmp_path / "in").write_text(SLOW)
    with subprocess.Popen(
        [sys.executable, "-c", SENDER, tmp_path / "in", tmp_path / "out"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as sender:
        sender.stdout.readline()
        below = wait_for(lambda: len(found := descendants(sender.pid)) == 3 and found)  # sender, parent, import
        os.kill(sender.pid, number)
        sender.wait()
    began = time.monotonic()
    wait_for(lambda: not any(alive(process) for process in below), seconds=5)
    assert time.monotonic() - began < 5


def test_an_import_knows_nothing_of_torch_and_has_a_limit_to_its_memory(tmp_path):
    (tmp_path / "in").write_text(SLOW)
    importing = threading.Thread(
        target=imports().run, args=(tmp_path / "in", "csv", ImportOptions(), tmp_path / "ab" / "out")
    )
    importing.start()
    (parent,) = import_processes._parents or [import_processes._parent()]
    pid = parent._process.pid
    child = wait_for(lambda: next((each for each, _ in descendants(pid) if each != pid), None))
    assert "torch" not in Path(f"/proc/{child}/maps").read_text()
    limits = wait_for(lambda: _limit(child, "Max data size"))
    assert limits == 3 * (1 << 30) + (256 << 20)
    importing.join()


def _limit(pid: int, name: str) -> int | None:
    line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith(name))
    soft = line[len(name) :].split()[0]
    return None if soft == "unlimited" else int(soft)
