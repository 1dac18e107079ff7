"""What must be so whatever was killed, frozen or cut off: read from the events, the rows and the client's log."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Row, Select, Table, select

from store import metrics, tables
from store.blobs import Blobs
from store.database import Database
from store.errors import StoreError
from store.states import FINAL, HELD, TABLE, Transition
from tests.faults.client import Answer

_IDLE = ("name", "metadata", "priority", "not_before", "dataset")  # of a spec, what changes no bit of the weights
_MANY = 20_000
_OF_RUN = (tables.events, tables.leases, tables.members, tables.metric_chunks, tables.checkpoints)


class Witness(Protocol):
    """Whoever saw it: a House, or what a test makes to look like one."""

    @property
    def database(self) -> Database: ...

    @property
    def blobs(self) -> Blobs: ...

    @property
    def log(self) -> list[Answer]: ...


def check(house: Witness) -> None:
    """Fails the test with every rule that is broken. May be asked at any time, while runs go on too."""
    found = problems(house)
    assert not found, "\n".join([f"{len(found)} rules are broken:", *found[:50]])


def problems(house: Witness) -> list[str]:
    """A line for each rule that is broken, and by which run."""
    answers = list(house.log)  # before the database is read, which then knows no less
    with house.database.read() as tx:
        runs = {row.id: row for row in tx.execute(select(tables.runs))}
        of = {table.name: _by_run(tx, table) for table in _OF_RUN if table is not tables.metric_chunks}
        datasets = {row.id: row.sha256 for row in tx.execute(select(tables.datasets))}
        found = list(_answered(answers, runs))
        for id, run in runs.items():
            events = of["events"][id]
            broken = [
                *_in_order(run, events),
                *_attempts(run, events, of["leases"][id], of["checkpoints"][id]),
                *_results(run, events, house.blobs),
                *_metrics(tx, run, events, of["leases"][id], of["members"][id]),
            ]
            found += [f"{id} ({run.status}, attempt {run.attempt}): {each}" for each in broken]
    return found + list(_hashes(runs.values(), datasets))


def rows_of(house: Witness, id: str) -> dict[str, list[Row[Any]]]:
    """Everything that is written of a run, to be compared with what is written later."""
    with house.database.read() as tx:
        found = {table.name: tx.execute(_rows(table, id)).all() for table in _OF_RUN}
        return found | {"runs": tx.execute(select(tables.runs).where(tables.runs.c.id == id)).all()}


def _rows(table: Table, id: str) -> Select[Any]:
    return select(table).where(table.c.run_id == id).order_by(*table.primary_key.columns)


def _by_run(tx: Connection, table: Table) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in tx.execute(select(table).order_by(*table.primary_key.columns)):
        found[row.run_id].append(row)
    return found


def _answered(answers: Sequence[Answer], runs: dict[str, Row[Any]]) -> Iterator[str]:
    """What was promised to the client is there, once, and it was refused in no other way than may be."""
    deleted = {each.path.split("/")[-1] for each in answers if each.method == "DELETE" and each.status == 204}
    ids: dict[str, set[str]] = defaultdict(set)
    posts = [each for each in answers if each.method == "POST" and each.path in ("/v1/runs", "/v1/replays")]
    for each in answers:
        if each.status is not None and each.status >= 500 and not (each.status in (503, 507) and each.detail):
            yield f"{each.method} {each.path} was answered with {each.status}: {each.detail}"
        if each.status == 503 and each.path != "/readyz" and each.retry_after is None:
            yield f"{each.method} {each.path} was answered with 503 and no Retry-After"
        if each.method == "POST" and each.path.endswith("/cancel") and each.status == 202:
            run = runs.get(each.path.split("/")[-2])
            if run is not None and run.status not in ("cancelling", "cancelled"):
                yield f"{run.id} is {run.status}, and its cancelling was promised"
    for each in posts:
        if each.status == 202 and each.id is not None:
            if each.id not in runs and each.id not in deleted:
                yield f"{each.id} was promised and does not exist"
            if each.key is not None:
                ids[each.key].add(each.id)
    for key, several in ids.items():
        if len(several) > 1:
            yield f"the key {key} made {len(several)} runs: {sorted(several)}"
    asked = len({each.key for each in posts if each.key}) + sum(each.key is None for each in posts)
    if posts and len(runs) > asked:
        yield f"{len(runs)} runs exist, and {asked} were asked for"


def _in_order(run: Row[Any], events: Sequence[Row[Any]]) -> Iterator[str]:
    """The events tell a way through the table of states that ends where the run is.

    As nothing but an extension leads out of a final state, there is one final event for each generation.
    """
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        yield f"the events' seq is {[event.seq for event in events]}"
    if not events or events[0].type != "run.queued":
        yield "its first event is not run.queued"
        return
    status, generation, told = "queued", 1, 0
    for event in events[1:]:
        if event.type in ("run.progress", "run.checkpointed"):
            if status not in HELD:
                yield f"event {event.seq} ({event.type}) is told while it is {status}"
        else:
            kind = "run.started" if event.type == "run.resumed" else event.type
            ways = {
                outcome.status
                for (before, _), outcome in TABLE.items()
                if before == status and isinstance(outcome, Transition) and outcome.event == kind
            }
            if len(ways) != 1:
                yield f"event {event.seq} ({event.type}) is told while it is {status}"
                return
            (status,) = ways
            generation += event.type == "run.extended"
        if event.type == "run.progress":
            if event.data["epoch"] <= told:
                yield f"event {event.seq} tells epoch {event.data['epoch']} after epoch {told}"
            told = event.data["epoch"]
    if (status, generation) != (run.status, run.generation):
        yield f"its events end as {status}, generation {generation}, its row as {run.status}, {run.generation}"
    if (run.finished_at is not None) < (status in FINAL):
        yield "it is final and has no finished_at"


def _attempts(
    run: Row[Any], events: Sequence[Row[Any]], leases: Sequence[Row[Any]], saved: Sequence[Row[Any]]
) -> Iterator[str]:
    """Attempts count up by one, and what an attempt tells it tells while it is the last."""
    attempt = 0
    for event in events:
        if event.type in ("run.started", "run.resumed"):
            attempt += 1
        if event.data.get("attempt", attempt) != attempt:
            yield f"event {event.seq} ({event.type}) is of attempt {event.data['attempt']} within attempt {attempt}"
    if attempt != run.attempt:
        yield f"its events tell {attempt} attempts"
    if [lease.attempt for lease in leases] != [run.attempt] * (run.status in HELD):
        yield f"its leases are of attempts {[lease.attempt for lease in leases]}"
    if any(not 1 <= checkpoint.attempt <= run.attempt for checkpoint in saved):
        yield f"its checkpoints are of attempts {[checkpoint.attempt for checkpoint in saved]}"


def _results(run: Row[Any], events: Sequence[Row[Any]], blobs: Blobs) -> Iterator[str]:
    """A result where it succeeded, that which was told; none where it never did."""
    told = [event.data.get("weights_sha256") for event in events if event.type == "run.succeeded"]
    if (run.weights_sha256, run.weights_blob is None) != ((told or [None])[-1], not told):
        yield f"its weights are {run.weights_sha256} in {run.weights_blob}, and told were {told}"
    if run.weights_blob is None:
        return
    if (run.receipt or {}).get("weights_sha256") != run.weights_sha256:
        yield "its receipt tells of other weights"
    try:
        blobs.get(run.weights_blob)
    except StoreError as error:
        yield f"its weights cannot be read: {error}"


def _metrics(
    tx: Connection, run: Row[Any], events: Sequence[Row[Any]], leases: Sequence[Row[Any]], members: Sequence[Row[Any]]
) -> Iterator[str]:
    """Every epoch that was ever told can be read, of every member and series."""
    told = [event.data["epoch"] for event in events if event.type == "run.progress"]
    shown = [each.progress["epoch"] for each in (run, *leases) if each.progress]
    last = max([0, *told, *shown])
    ended = {member.index: member.epoch for member in members if member.status is not None}
    if run.status == "succeeded" and not 0 < last == max(ended.values(), default=0):
        yield f"it told of epoch {last}, and its members of epoch {max(ended.values(), default=0)}"
    wanted = {member.index: min(last, ended.get(member.index, last)) for member in members}
    known: Counter[tuple[int, str, str]] = Counter()
    for row in _rows_of_metrics(tx, run):
        known[row["member"], row["split"], row["name"]] += row["epoch"] <= wanted[row["member"]]
    series = {(split, name) for _, split, name in known}
    if last and not series:
        yield f"of {last} epochs no metric can be read"
    for index, epochs in wanted.items():
        for split, name in series:
            if known[index, split, name] != epochs:
                yield f"{known[index, split, name]} of {epochs} epochs can be read of {split}.{name}, member {index}"


def _rows_of_metrics(tx: Connection, run: Row[Any]) -> Iterator[metrics.Row]:
    """As the API shows them; none twice, for a cursor only goes on."""
    after = None
    while True:
        page = metrics.page(tx, run.tenant_id, run.id, limit=_MANY, after=after)
        yield from page.data
        if not page.has_more:
            return
        after = page.next


def _hashes(runs: Sequence[Row[Any]], datasets: dict[str, str]) -> Iterator[str]:
    """The same spec on the same table gives the same bits."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        if run.status == "succeeded":
            spec = {name: value for name, value in run.spec.items() if name not in _IDLE}
            same = [spec, datasets.get(run.dataset_id), run.exactness, (run.progress or {}).get("epoch")]
            found[json.dumps(same, sort_keys=True)][run.weights_sha256] += 1
    for spec, hashes in found.items():
        if len(hashes) > 1:
            yield f"{sum(hashes.values())} runs of one spec have {len(hashes)} hashes {dict(hashes)}: {spec[:300]}"
