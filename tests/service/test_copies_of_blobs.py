"""What an API process copied out of an object store goes when it is deleted."""

from collections.abc import Callable
from pathlib import Path

from store import datasets
from store.blob_copies import sweep_copies
from store.tenants import LOCAL
from tests.service.callers import Caller

TABLE = "x,y\n1,a\n2,b\n"


def _copies(caller: Caller) -> list[Path]:
    return list((caller.parts.settings.data_dir / "cache" / "sha256").glob("*/*"))


def test_copy_of_a_deleted_dataset_goes_with_its_last_row(new_caller: Callable[..., Caller]) -> None:
    caller = new_caller(blob_url="memory:///")
    first, second = caller.dataset(TABLE), caller.dataset(TABLE, "name=same")
    assert len(caller.get(f"/v1/datasets/{first}/rows")["rows"]) == 2
    assert len(_copies(caller)) == 1
    assert caller.client.delete(f"/v1/datasets/{first}").status_code == 204
    assert len(_copies(caller)) == 1, "the other dataset has the same table"
    assert caller.client.delete(f"/v1/datasets/{second}").status_code == 204
    assert _copies(caller) == []


def test_copy_of_what_another_process_deleted_is_swept(new_caller: Callable[..., Caller]) -> None:
    caller = new_caller(blob_url="memory:///")
    dataset, kept = caller.dataset(TABLE), caller.dataset("x,y\n3,c\n")
    for id in (dataset, kept):
        caller.get(f"/v1/datasets/{id}/rows")
    with caller.parts.database.write() as tx:
        datasets.delete(tx, LOCAL, dataset)
    assert len(_copies(caller)) == 2
    assert sweep_copies(caller.parts.database, caller.parts.blobs) == 1
    assert len(_copies(caller)) == 1
