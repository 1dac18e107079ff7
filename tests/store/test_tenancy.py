"""No tenant sees or moves another's rows: every function of the store that takes a tenant is called as a stranger."""

import importlib
import inspect
import pkgutil
from contextlib import suppress
from types import FunctionType

import pytest
from sqlalchemy import select

import store
from store import analyses, batch_predictions, idempotency, keys, models, networks
from store.errors import NotFound
from store.pages import Page
from store.tables import metadata

VERSION = {"member": 0, "inputs": [], "outputs": [], "blob": "sha256/weights", "sha256": "b" * 64}

# How each is called with the owner's ids; what a stranger must then get: NotFound, or what is empty.
READS = {
    "store.datasets.get": lambda act, at: act(at["dataset"]),
    "store.datasets.page": lambda act, at: act(),
    "store.networks.get": lambda act, at: act(at["network"]),
    "store.networks.page": lambda act, at: act(),
    "store.runs.get": lambda act, at: act(at["run"]),
    "store.runs.page": lambda act, at: act(dataset=at["dataset"]),
    "store.members.page": lambda act, at: act(at["run"], sort="value"),
    "store.members.get": lambda act, at: act(at["run"], 0),
    "store.members.first": lambda act, at: act(at["run"]),
    "store.members.count": lambda act, at: act(at["run"]),
    "store.metrics.page": lambda act, at: act(at["run"]),
    "store.events.page": lambda act, at: act(at["run"]),
    "store.events.news": lambda act, at: act(at["run"], 0).events,
    "store.datasets.of_file": lambda act, at: act("a" * 64),
    "store.analyses.get": lambda act, at: act(at["ended"], "importance", "test"),
    "store.models.get": lambda act, at: act(at["model"]),
    "store.models.page": lambda act, at: act(),
    "store.models.version": lambda act, at: act(at["model"], 1),
    "store.models.versions": lambda act, at: act(at["model"]),
    "store.models.resolve": lambda act, at: act(at["model"]),
    "store.batch_predictions.get": lambda act, at: act(at["batch"]),
    "store.batch_predictions.page": lambda act, at: act(),
}
WRITES = {
    "store.datasets.lock": lambda act, at: act(at["dataset"]),
    "store.runs.lock": lambda act, at: act(at["run"]),
    "store.models.lock": lambda act, at: act(at["model"]),
    "store.batch_predictions.lock": lambda act, at: act(at["batch"]),
    "store.datasets.rename": lambda act, at: act(at["dataset"], "mine now"),
    "store.datasets.delete": lambda act, at: act(at["dataset"]),
    "store.networks.delete": lambda act, at: act(at["network"]),
    "store.runs.insert": lambda act, at: act(
        dataset=at["dataset"], spec={}, task="", rows={}, warnings=[], members=[{}]
    ),
    "store.runs.update": lambda act, at: act(at["run"], name="mine now"),
    "store.runs.request": lambda act, at: act(at["run"], "cancel"),
    "store.runs.extend": lambda act, at: act(at["ended"], 9),
    "store.runs.delete": lambda act, at: act(at["run"]),
    "store.analyses.ask": lambda act, at: act(at["ended"], "evaluation", "test"),
    "store.models.add": lambda act, at: act(at["model"], run=at["ended"], **VERSION),
    "store.models.point": lambda act, at: act(at["model"], "prod", 1),
    "store.models.forget_alias": lambda act, at: act(at["model"], "old"),
    "store.models.delete": lambda act, at: act(at["model"]),
    "store.batch_predictions.insert": lambda act, at: act(model=at["model"], version=1, dataset=at["dataset"]),
    "store.batch_predictions.cancel": lambda act, at: act(at["batch"]),
    "store.batch_predictions.remove": lambda act, at: act(at["batch"]),
}
ELSEWHERE = {
    "store.datasets.insert": "makes a row of one's own",
    "store.networks.insert": "makes a row of one's own",
    "store.keys.create": "makes a row of one's own",
    "store.keys.set_bootstrap": "makes a row of one's own; test_keys.py",
    "store.members.create": "called by runs.insert with the run it has made",
    "store.chunks.write": "called by leases.record with the tenant that the fence answered",
    "store.owned.owned": "the condition itself",
    "store.idempotency.reserve": "test_idempotency.py",
    "store.idempotency.complete": "below",
    "store.idempotency.release": "below",
    "store.workers.list_all": "test_workers.py",
}


@pytest.fixture
def at(house, chunk):
    """The owner's ids: of one of everything."""
    ended = house.start()
    house.succeed(ended)
    claim = house.start()
    house.record(claim, 1, chunks=[chunk("train", "loss", 1, [[1.0]])])
    with house.database.write() as tx:
        network = networks.insert(tx, house.tenant, name="n", layers=[])
        analyses.ask(tx, house.tenant, ended.run_id, "importance", "test")
        models.add(tx, house.tenant, "iris", run=ended.run_id, alias="old", **VERSION)
        wanted = {"model": "iris", "version": 1, "dataset": claim.dataset.id}
        batch = batch_predictions.insert(tx, house.tenant, **wanted)
    ids = {"run": claim.run_id, "ended": ended.run_id, "dataset": claim.dataset.id, "network": network.id}
    return ids | {"model": "iris", "batch": batch.id}


def call(name, tx, tenant, at):
    module, function = name.rsplit(".", 1)
    act = getattr(importlib.import_module(module), function)
    return (READS | WRITES)[name](lambda *args, **kwargs: act(tx, tenant, *args, **kwargs), at)


def test_every_function_that_takes_a_tenant_is_on_the_lists():
    found = set()
    for module in pkgutil.iter_modules(store.__path__, "store."):
        for name, each in vars(importlib.import_module(module.name)).items():
            public = isinstance(each, FunctionType) and each.__module__ == module.name and not name.startswith("_")
            if public and "tenant" in inspect.signature(each).parameters:
                found.add(f"{module.name}.{name}")
    assert found == READS.keys() | WRITES.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("name", READS)
def test_a_stranger_reads_nothing(house, stranger, at, name):
    with house.database.read() as tx:
        assert _something(call(name, tx, house.tenant, at)), "there is something to be read"
        with suppress(NotFound):
            assert not _something(call(name, tx, stranger, at))


@pytest.mark.parametrize("name", WRITES)
def test_a_stranger_changes_nothing(house, stranger, at, name):
    before = _everything(house)
    with house.database.write() as tx, pytest.raises(NotFound):
        call(name, tx, stranger, at)
    assert _everything(house) == before


def test_a_stranger_ends_no_request_of_another(house, stranger):
    with house.database.write() as tx:
        idempotency.reserve(tx, house.tenant, "key", "1" * 64, "me")
        before = tx.execute(select(metadata.tables["idempotency_keys"])).all()
        idempotency.release(tx, stranger, "key", "me")
        with pytest.raises(idempotency.Conflict):
            idempotency.complete(tx, stranger, "key", "me", status=200, headers={}, body=b"")
        assert tx.execute(select(metadata.tables["idempotency_keys"])).all() == before


def test_a_key_is_its_tenants(house, stranger):
    with house.database.write() as tx:
        key = keys.find(tx, keys.create(tx, stranger, ["read"]))
    assert key is not None
    assert key.tenant == stranger


def test_every_row_that_belongs_to_somebody_says_to_whom():
    nobodys = {"tenants", "workers", "worker_slots", "blobs", "blob_pins", "blob_deletions", "blob_store"}
    assert {table.name for table in metadata.sorted_tables if "tenant_id" not in table.c} == nobodys
    assert not any(table.c.tenant_id.nullable for table in metadata.sorted_tables if table.name not in nobodys)


def test_all_that_comes_of_a_run_is_its_tenants(house, at):
    with house.database.read() as tx:
        for table in metadata.sorted_tables:
            if "run_id" in table.c:
                assert set(tx.execute(select(table.c.tenant_id)).scalars()) <= {house.tenant}, table.name


def _something(found):
    return bool(found.data) if isinstance(found, Page) else bool(found)


def _everything(house):
    with house.database.read() as tx:
        return [tx.execute(select(table)).all() for table in metadata.sorted_tables]
