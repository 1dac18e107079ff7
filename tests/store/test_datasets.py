import threading
from datetime import UTC

import pytest

from store import datasets, networks, runs
from store.errors import BadCursor, Conflict, NotFound
from store.ids import new_id


def test_a_dataset_is_read_as_it_was_written(house):
    columns = [{"name": 'petal, "length"\n', "type": "numeric", "missing": 0, "mean": 3.758666666666667, "é": None}]
    warnings = [{"column": "a_2", "code": "doubled_header", "message": "…"}]
    made = house.add_dataset(columns=columns, warnings=warnings, bytes=2**40, rows=50_000_000)
    with house.database.read() as tx:
        found = datasets.get(tx, house.tenant, made.id)
    assert found == made
    assert (found.status, found.error, found.columns, found.warnings) == ("ready", None, columns, warnings)
    assert found.created_at.tzinfo == UTC


def test_a_renamed_dataset_keeps_the_rest(house):
    made = house.add_dataset()
    with house.database.write() as tx:
        renamed = datasets.rename(tx, house.tenant, made.id, "lily")
    assert renamed == made.__class__(**{**made.__dict__, "name": "lily"})


def test_pages_go_from_the_newest_on_and_stay_stable_when_rows_vanish_and_come(house):
    made = [house.add_dataset(f"{number}").id for number in range(5)]
    with house.database.write() as tx:
        first = datasets.page(tx, house.tenant, limit=2)
        datasets.delete(tx, house.tenant, made[3])  # the last of the page, where the cursor stands
    house.add_dataset("newer")
    with house.database.read() as tx:
        second = datasets.page(tx, house.tenant, limit=2, after=first.next)
        third = datasets.page(tx, house.tenant, limit=2, after=second.next)
    assert [[each.id for each in page.data] for page in (first, second, third)] == [
        [made[4], made[3]],
        [made[2], made[1]],
        [made[0]],
    ]
    assert [page.has_more for page in (first, second, third)] == [True, True, False]
    assert third.next is None


@pytest.mark.parametrize("cursor", ["", "x", "\0", "WzFd", "WyJydW5fIl0"])
def test_a_malformed_cursor_is_refused(house, cursor):
    with pytest.raises(BadCursor), house.database.read() as tx:
        datasets.page(tx, house.tenant, after=cursor)


@pytest.mark.parametrize("id", ["", "ds_", "ds_0sgf5sqm521cgrgxt1cks5t0qy", "ds_\0", "ds_" + "é" * 26, "x" * 100_000])
def test_an_id_that_there_is_not_is_not_found_whatever_it_looks_like(house, id):
    with house.database.write() as tx:
        for act in (datasets.get, datasets.delete, networks.get, networks.delete, runs.get, runs.delete):
            with pytest.raises(NotFound):
                act(tx, house.tenant, id)
        with pytest.raises(NotFound):
            datasets.rename(tx, house.tenant, id, "x")


def test_a_dataset_is_not_deleted_while_a_run_that_is_not_final_reads_it(house):
    run = house.add_run()
    with house.database.write() as tx, pytest.raises(Conflict, match=run.id):
        datasets.delete(tx, house.tenant, run.dataset)
    house.request(run, "cancel")
    with house.database.write() as tx:
        datasets.delete(tx, house.tenant, run.dataset)
    assert house.run(run).dataset == run.dataset, "the run goes on saying what it was to be trained on"


def test_deleting_frees_the_blobs_that_nothing_names_any_more(house):
    one, twin, other = house.add_dataset(blob="same"), house.add_dataset(blob="same"), house.add_dataset(blob="other")
    for dataset, freed in ((one, []), (twin, ["same"]), (other, ["other"])):
        with house.database.write() as tx:
            datasets.delete(tx, house.tenant, dataset.id)
        assert house.freed() == freed
    with house.database.read() as tx:
        assert datasets.page(tx, house.tenant).data == []


def test_a_run_needs_a_dataset_that_is_there(house):
    with pytest.raises(NotFound, match="dataset"):
        house.add_run(dataset=new_id("ds"))


def test_a_dataset_that_is_deleted_while_a_run_is_inserted_leaves_no_run_without_one(house):
    for _ in range(10):
        dataset, start = house.add_dataset(), threading.Barrier(2)
        outcomes = []

        def insert(dataset=dataset, start=start, outcomes=outcomes):
            start.wait()
            try:
                outcomes.append(house.add_run(dataset=dataset.id))
            except NotFound:
                outcomes.append(None)

        thread = threading.Thread(target=insert)
        thread.start()
        start.wait()
        try:
            with house.database.write() as tx:
                datasets.delete(tx, house.tenant, dataset.id)
        except Conflict:
            pass
        thread.join()
        with house.database.read() as tx:
            left = [each.id for each in datasets.page(tx, house.tenant).data]
        assert (dataset.id in left) == (outcomes[0] is not None)


def test_a_network_is_read_as_it_was_written_and_deleted(house):
    layers = [{"units": 32, "activation": "relu", "dropout": 0.0, "normalization": None}]
    with house.database.write() as tx:
        made = networks.insert(tx, house.tenant, name=None, layers=layers)
        linear = networks.insert(tx, house.tenant, name="linear", layers=[])
    with house.database.write() as tx:
        assert networks.get(tx, house.tenant, made.id) == made
        assert networks.page(tx, house.tenant, limit=1).data == [linear]
        assert networks.page(tx, house.tenant).data == [linear, made]
        networks.delete(tx, house.tenant, made.id)
        assert networks.page(tx, house.tenant).data == [linear]
