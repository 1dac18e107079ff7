"""What the service keeps and answers is bounded in bytes, however long the texts of a table are."""

from pathlib import Path

import duckdb
from sqlalchemy import text

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


def test_categories_of_a_column_are_listed_in_bounded_bytes(caller: Caller) -> None:
    lines = "".join(f"{row % 90},{row % 90:04d}{'z' * 10_000},{row % 2 == 0}\n" for row in range(200))
    answer = caller.send(f"n,c,b\n{lines}")
    assert len(answer.data) < 20_000
    _, long, boolean = answer.json["columns"]
    assert (long["distinct"], len(long["categories"]), long["categories_cut"]) == (90, 1, True)
    assert (len(boolean["categories"]), boolean["categories_cut"]) == (2, False)
    listed = caller.get("/v1/datasets")["data"][0]["columns"]
    short = next(column for column in listed if column["name"] == boolean["name"])
    assert (short["categories"], short["categories_cut"]) == (boolean["categories"], False)
    assert [column["categories_cut"] for column in listed if column["name"] == long["name"]] == [True]
    sizes = [len(str(column.get("categories", []))) for column in listed]
    assert max(sizes) < 2_000


def test_names_of_columns_are_bounded(caller: Caller) -> None:
    for names, reason in (
        (["a", "b" * 1_001], "the name of column 2 is longer than 1000 characters"),
        ([f"{place:04d}{'x' * 500}" for place in range(900)], "the names of the columns take more than 409600 bytes"),
    ):
        answer = caller.send(f"{','.join(names)}\n{','.join('1' for _ in names)}\n")
        assert answer.status_code == 422
        assert answer.json["errors"] == {"file": [reason]}
    assert caller.send(f"{'b' * 1_000},c\n1,2\n").status_code == 201


def test_sixty_runs_with_keys_keep_and_list_little(caller: Caller, tmp_path: Path) -> None:
    names = [f"{place:02d}{'x' * 900}" for place in range(100)]
    rows = [[f"{(row * 7 + place) % 50:04d}{'k' * 400}" for place in range(100)] for row in range(20)]
    lines = "".join(f"{row % 2}c,{','.join(cells)}\n" for row, cells in enumerate(rows))
    dataset = caller.dataset(f"y,{','.join(names)}\n{lines}")
    before = _kept(caller)
    spec = {"dataset": dataset, "target": "y"}
    answers = [caller.client.post("/v1/runs", json=spec, headers={"Idempotency-Key": f"k{n}"}) for n in range(60)]
    assert {answer.status_code for answer in answers} == {202}
    assert _kept(caller) - before < 1 << 20
    again = caller.client.post("/v1/runs", json=spec, headers={"Idempotency-Key": "k7"})
    assert (again.data, again.headers["Idempotency-Replayed"]) == (answers[7].data, "true")
    listed, after = [], ""
    while True:
        page = caller.client.get(f"/v1/runs?limit=20{after}")
        assert len(page.data) < 1 << 20
        listed += [run["id"] for run in page.json["data"]]
        if not page.json["has_more"]:
            break
        after = f"&after={page.json['next']}"
    assert listed == [answer.json["id"] for answer in reversed(answers)]


def _kept(caller: Caller) -> int:
    """How many bytes of SQLite's file are in use."""
    with caller.parts.database.read() as tx:
        pages, free, size = (
            int(tx.execute(text(f"PRAGMA {name}")).scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * size
