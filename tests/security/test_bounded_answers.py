"""What the service keeps and answers is bounded in bytes, however long the texts of a table are."""

from pathlib import Path

import duckdb

from service.api.datasets import MOST_ROWS_BYTES
from tests.service.callers import Caller

LONG = 400_000  # characters of a cell


def _lines(rows: int) -> str:
    return "number,text\n" + "".join(f"{row},{row:06d}{'x' * (LONG - 6)}\n" for row in range(rows))


def test_rows_of_long_cells_come_in_bounded_pages(caller: Caller) -> None:
    dataset = caller.dataset(_lines(60))
    numbers: list[int] = []
    offset: int | None = 0
    while offset is not None:
        answer = caller.client.get(f"/v1/datasets/{dataset}/rows?limit=1000&offset={offset}")
        assert len(answer.data) < MOST_ROWS_BYTES + 1000
        numbers += [row[0] for row in answer.json["rows"]]
        assert answer.json["has_more"] == (answer.json["next_offset"] is not None)
        assert answer.json["rows"][0][1] == f"{offset:06d}{'x' * (LONG - 6)}"
        offset = answer.json["next_offset"]
    assert numbers == list(range(60))


def test_rows_answer_has_one_row_at_least(caller: Caller, tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    columns = ", ".join(f"range || repeat('y', {LONG}) AS c{place}" for place in range(30))
    duckdb.sql(f"COPY (SELECT {columns} FROM range(3)) TO '{file}' (FORMAT parquet)")
    answer = caller.send(file.read_bytes(), content_type="application/vnd.apache.parquet")
    for offset in range(3):
        rows = caller.get(f"/v1/datasets/{answer.json['id']}/rows?limit=2&offset={offset}")
        assert [row[0][0] for row in rows["rows"]] == [str(offset)]
        assert rows["next_offset"] == (offset + 1 if offset < 2 else None)


def test_rows_of_many_numbers_come_in_bounded_pages(caller: Caller) -> None:
    columns = ",".join(f"c{place}" for place in range(2000))
    line = ",".join(["-1.2345678901234567e-100"] * 2000)
    dataset = caller.dataset(f"{columns}\n" + f"{line}\n" * 300)
    answer = caller.client.get(f"/v1/datasets/{dataset}/rows?limit=1000")
    assert answer.json["has_more"]
    assert MOST_ROWS_BYTES / 2 < len(answer.data) < MOST_ROWS_BYTES * 1.1
