"""Models: versions count up without a gap and never change, aliases move, and what is in use stays."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, insert, select, text, update

from store import models, runs
from store.database import Database
from store.errors import BadCursor, Conflict, NotFound
from store.ids import new_id
from store.moments import now
from store.references import unreferenced
from store.tables import batch_predictions, model_versions
from tests.functional.running import wait_for

BLOB = "sha256/weights"


def made_of(house, **changes):
    """The id of a run that has succeeded."""
    claim = house.start()
    house.succeed(claim, **changes)
    return claim.run_id


def add(house, name, run, *, blob=BLOB, alias=None, member=0):
    with house.database.write() as tx:
        return models.add(
            tx,
            house.tenant,
            name,
            run=run,
            member=member,
            inputs=[{"name": "x", "type": "numeric"}],
            outputs=[{"name": "y", "type": "numeric"}],
            blob=blob,
            sha256="b" * 64,
            alias=alias,
        )


def get(house, name):
    with house.database.read() as tx:
        return models.get(tx, house.tenant, name)


def resolve(house, ref):
    with house.database.read() as tx:
        return models.resolve(tx, house.tenant, ref)


def remove(house, name):
    with house.database.write() as tx:
        models.delete(tx, house.tenant, name)
    return house.freed()


def names(house, limit=50, after=None):
    with house.database.read() as tx:
        return models.page(tx, house.tenant, limit=limit, after=after)


def test_a_version_says_what_it_is_of_and_which_aliases_point_to_it(house):
    run = made_of(house)
    first = add(house, "iris", run, alias="prod")
    assert (first.name, first.version, first.run, first.member, first.aliases) == ("iris", 1, run, 0, ("prod",))
    second = add(house, "iris", run, alias="prod", member=None)
    found = get(house, "iris")
    assert (found.latest, found.aliases) == (2, {"prod": 2})
    assert [(each.version, each.aliases, each.member) for each in found.versions] == [(2, ("prod",), None), (1, (), 0)]
    assert found.versions[0] == second
    with house.database.read() as tx:
        assert models.version(tx, house.tenant, "iris", 1).created_at == first.created_at == found.created_at


def test_a_reference_means_the_newest_an_alias_or_a_number(house):
    run = made_of(house)
    add(house, "iris", run, alias="old", blob="sha256/1")
    add(house, "iris", run, blob="sha256/2")
    meant = {ref: resolve(house, ref) for ref in ("iris", "iris@old", "iris:1", "iris:2")}
    assert {ref: each.ref for ref, each in meant.items()} == {
        "iris": "iris:2",
        "iris@old": "iris:1",
        "iris:1": "iris:1",
        "iris:2": "iris:2",
    }
    assert [meant[ref].blob for ref in ("iris", "iris@old")] == ["sha256/2", "sha256/1"]


@pytest.mark.parametrize(
    "ref",
    ["", "wine", "iris:3", "iris:0", "iris:01", "iris@new", "iris@", "iris:", "@old", "iris:1@old", "iris\n", "í"],
)
def test_a_reference_to_nothing_is_not_found(house, ref):
    add(house, "iris", made_of(house), alias="old")
    with pytest.raises(NotFound):
        resolve(house, ref)


def test_eight_threads_that_add_at_once_count_without_a_gap_and_without_a_double(house):
    run = made_of(house)
    together = threading.Barrier(8)
    others = [Database(house.database.url) for _ in range(8)]

    def one(database, dies):
        with database.write() as tx:
            made = models.add(tx, house.tenant, "iris", run=run, member=0, inputs=[], outputs=[], blob=BLOB, sha256="")
            if dies:  # a request that ends before its commit leaves no hole
                raise KeyboardInterrupt
        return made.version

    def several(database):
        together.wait()
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                one(database, dies=True)
            yield from (one(database, dies=False), one(database, dies=False))

    with ThreadPoolExecutor(8) as pool:
        accepted = [version for some in pool.map(lambda each: list(several(each)), others) for version in some]
    for each in others:
        each.close()
    assert sorted(accepted) == list(range(1, 33))
    assert [each.version for each in get(house, "iris").versions] == list(range(32, 0, -1))


def test_an_alias_moves_and_goes_and_its_versions_stay(house):
    run = made_of(house)
    add(house, "iris", run, alias="prod")
    add(house, "iris", run)
    with house.database.write() as tx:
        moved = models.point(tx, house.tenant, "iris", "prod", 2)
    assert moved.aliases == {"prod": 2} == get(house, "iris").aliases
    with house.database.write() as tx:
        models.forget_alias(tx, house.tenant, "iris", "prod")
    assert get(house, "iris").aliases == {}
    assert resolve(house, "iris:1").version == 1
    with house.database.write() as tx, pytest.raises(NotFound):
        models.forget_alias(tx, house.tenant, "iris", "prod")


@pytest.mark.parametrize(("name", "version", "noun"), [("iris", 2, "version"), ("wine", 1, "model")])
def test_an_alias_of_what_is_not_there_is_refused(house, name, version, noun):
    add(house, "iris", made_of(house))
    with house.database.write() as tx, pytest.raises(NotFound) as refused:
        models.point(tx, house.tenant, name, "prod", version)
    assert refused.value.noun == noun
    assert get(house, "iris").aliases == {}


def test_a_model_that_is_made_again_counts_on_and_keeps_nothing_else(house):
    run = made_of(house)
    before = add(house, "iris", run, alias="prod")
    add(house, "iris", run, alias="new")
    remove(house, "iris")
    with pytest.raises(NotFound):
        get(house, "iris")
    for ref in ("iris", "iris@prod", "iris:1"):
        with pytest.raises(NotFound):
            resolve(house, ref)
    assert names(house).data == []
    with pytest.raises(NotFound):
        remove(house, "iris")
    with house.database.write() as tx, pytest.raises(NotFound):
        models.point(tx, house.tenant, "iris", "prod", 1)
    again = add(house, "iris", run)
    assert (again.version, again.aliases) == (3, ())
    found = get(house, "iris")
    assert ([each.version for each in found.versions], found.aliases) == ([3], {})
    assert found.created_at == again.created_at > before.created_at
    with pytest.raises(NotFound):
        resolve(house, "iris:1")


def test_pages_are_stable_when_models_vanish_and_are_made_again(house):
    run = made_of(house)
    for number in range(7):
        add(house, f"m{number}", run)
    add(house, "m3", run)
    first = names(house, limit=3)
    assert ([each.name for each in first.data], first.has_more) == (["m6", "m5", "m4"], True)
    assert [len(each.versions) for each in names(house).data] == [1] * 7
    assert next(each for each in names(house).data if each.name == "m3").versions[0].version == 2
    for gone in ("m4", "m2", "m6"):
        remove(house, gone)
    add(house, "m6", run)
    second = names(house, limit=3, after=first.next)
    assert ([each.name for each in second.data], second.has_more, second.next) == (["m3", "m1", "m0"], False, None)
    assert names(house, limit=1).data[0].name == "m6"


def test_models_of_the_same_moment_have_an_order(house):
    run = made_of(house)
    for name in ("b", "a", "c"):
        add(house, name, run)
    at = now()
    with house.database.write() as tx:
        tx.execute(update(models.models).values(created_at=at))
    seen, after = [], None
    for _ in range(3):
        page = names(house, limit=1, after=after)
        seen, after = [*seen, page.data[0].name], page.next
    assert (seen, after) == (["c", "b", "a"], None)


@pytest.mark.parametrize("cursor", ["x", "WyIyMDI2Il0", "WyJub3cgISIsImEiXQ", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwiYSJd"])
def test_a_cursor_that_no_page_gave_is_refused(house, cursor):
    with pytest.raises(BadCursor):
        names(house, after=cursor)


def test_all_versions_can_be_read_by_pages_and_the_model_shows_the_newest(house):
    run = made_of(house)
    for _ in range(models.SHOWN_VERSIONS + 2):
        add(house, "iris", run)
    found = get(house, "iris")
    assert (found.latest, len(found.versions), found.versions[-1].version) == (102, 100, 3)
    with house.database.read() as tx:
        first = models.versions(tx, house.tenant, "iris", limit=100)
        last = models.versions(tx, house.tenant, "iris", limit=100, after=first.next)
        with pytest.raises(NotFound):
            models.versions(tx, house.tenant, "wine")
    assert [each.version for each in (*first.data, *last.data)] == list(range(102, 0, -1))
    assert (first.has_more, last.next) == (True, None)


def test_a_version_of_no_run_is_refused_and_begins_no_model(house):
    for run in (new_id("run"), "run_x", "x\0"):
        with pytest.raises(NotFound):
            add(house, "iris", run)
    with pytest.raises(NotFound):
        get(house, "iris")


def test_a_run_that_a_version_was_made_of_stays_as_long_as_the_model(house):
    run = made_of(house)
    add(house, "iris", run)
    with house.database.write() as tx, pytest.raises(Conflict, match="version 1 of model iris was made of it"):
        runs.delete(tx, house.tenant, run)
    remove(house, "iris")
    with house.database.write() as tx:
        runs.delete(tx, house.tenant, run)
    assert house.freed() == [BLOB]


def test_a_run_is_not_deleted_while_a_version_is_being_made_of_it(house):
    run = made_of(house)
    deleted = threading.Event()

    def delete_run():
        with house.database.write() as tx:
            deleted.set()
            return runs.delete(tx, house.tenant, run)

    with ThreadPoolExecutor(1) as pool:
        with house.database.write() as tx:
            models.add(tx, house.tenant, "iris", run=run, member=0, inputs=[], outputs=[], blob=BLOB, sha256="")
            deleting = pool.submit(delete_run)
            if tx.dialect.name == "postgresql":  # on SQLite the deletion cannot even begin
                waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                wait_for(lambda: deleted.is_set() and tx.execute(waiting).scalar_one())
        with pytest.raises(Conflict, match="version 1 of model iris"):
            deleting.result()
    with house.database.read() as tx:
        assert runs.get(tx, house.tenant, run).id == run


def test_a_version_keeps_its_weights_when_the_run_is_extended_to_others(house):
    run = made_of(house)
    add(house, "iris", run)
    with house.database.write() as tx:
        runs.extend(tx, house.tenant, run, 2)
    house.succeed(house.claim(), weights_blob="sha256/others")
    assert resolve(house, "iris").blob == BLOB
    with house.database.read() as tx:
        assert runs.get(tx, house.tenant, run).weights_blob == "sha256/others"
        assert unreferenced(tx, [BLOB, "sha256/others"]) == []
    assert remove(house, "iris") == [BLOB]


def test_a_deleted_model_frees_those_blobs_that_nobody_else_names(house):
    run = made_of(house)
    add(house, "iris", run, blob="sha256/own")
    add(house, "iris", run, blob="sha256/shared")
    add(house, "iris", run)  # the very bytes that the run keeps
    add(house, "wine", run, blob="sha256/shared")
    assert remove(house, "iris") == ["sha256/own"]
    assert remove(house, "wine") == ["sha256/shared"]


def test_a_model_stays_while_a_batch_prediction_answers_by_it(house):
    run = made_of(house)
    add(house, "iris", run)
    with house.database.write() as tx:
        tx.execute(
            insert(batch_predictions).values(
                id="bp_1",
                tenant_id=house.tenant,
                model="iris",
                version=1,
                dataset_id="ds_1",
                probabilities=False,
                status="running",
                attempt=1,
                crashes=0,
                created_at=now(),
            )
        )
    with pytest.raises(Conflict, match="batch prediction bp_1 still answers by this model"):
        remove(house, "iris")
    with house.database.write() as tx:
        tx.execute(update(batch_predictions).values(status="succeeded"))
    remove(house, "iris")
    with house.database.read() as tx:
        assert tx.execute(select(func.count()).select_from(model_versions)).scalar_one() == 0
