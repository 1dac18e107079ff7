"""Runs over HTTP: asking for one, watching it, and the verbs."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from flask import Response
from flask.views import MethodView
from sqlalchemy import Connection

from service import access, answers, idempotency, preconditions
from service.blueprint import Resource
from service.openapi import IDEMPOTENT
from service.parts import parts, tenant
from service.problems import Clash, Invalid
from service.resolution.spec import Resolved, resolve
from service.resolution.sweeps import networks_named
from service.schemas.run_spec import RunChange, RunIn
from service.schemas.runs import DryRunOut, ExtendIn, RunCreateQuery, RunOut, RunPage, RunPageQuery, RunQuery
from service.schemas.shapes import Nothing
from service.waiting import when_changed
from store import datasets, members, networks, runs
from store.errors import NotFound
from store.positions import positions
from store.runs import Run, Verb
from store.states import FINAL

resource = Resource("runs", __name__, url_prefix="/v1/runs", description="Trainings")

MEMBERS_SHOWN = 100

_RUN, _DRY_RUN = RunOut(), DryRunOut()
_EXAMPLE = {
    "dataset": "ds_06f3kq1v8nzc2w5t9xay7bm4dh",
    "target": "species",
    "network": {"layers": [{"units": 32, "activation": "relu"}]},
    "epochs": 50,
    "test": {"fraction": 0.2},
    "sweep": {"seed": [0, 1, 2]},
}


@resource.route("")
class Runs(MethodView):
    @idempotency.once
    @resource.arguments(RunCreateQuery, location="query")
    @resource.arguments(RunIn, example=_EXAMPLE)
    @resource.response(202, RunOut, headers={"Location": {"schema": {"type": "string"}}})
    @resource.alt_response(200, schema=DryRunOut, description="With dry_run=true: what would be", success=True)
    @resource.header(IDEMPOTENT)
    def post(self, query: dict[str, Any], asked: dict[str, Any]) -> Response:
        """Train: checked against the dataset at once, queued, and answered before it begins"""
        resolved = _resolve(asked)
        if query["dry_run"]:
            return answers.plain(_DRY_RUN.dump(_would_be(resolved)))
        return queued(resolved, not_before=asked.get("not_before"))

    @resource.arguments(RunPageQuery, location="query")
    @resource.response(200, RunPage)
    def get(self, query: dict[str, Any]) -> Response:
        """List runs, newest first; their members are not shown here"""
        with parts().database.read() as tx:
            page = runs.page(tx, tenant(), **query)
            waiting = positions(tx, page.data)
        data = [_dumped(run, waiting.get(run.id), []) for run in page.data]
        return answers.plain({"data": data, "has_more": page.has_more, "next": page.next})


@resource.route("/<id('run'):id>")
class OneRun(MethodView):
    @resource.arguments(RunQuery, location="query")
    @resource.response(200, RunOut)
    @resource.conditional
    def get(self, query: dict[str, Any], id: str) -> Response:
        """A run; with `wait`, when something changes"""
        run = _read(id)

        def read() -> Response:
            with parts().database.read() as tx:
                access.check_again(tx, access.caller())
                return answers.tagged(shown(tx, runs.get(tx, tenant(), id)))

        return when_changed(read, query["wait"], is_final=run.status in FINAL)

    @resource.arguments(RunChange)
    @resource.response(200, RunOut)
    @resource.conditional
    def patch(self, change: dict[str, Any], id: str) -> Response:
        """Change name, metadata or priority"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
            return answers.tagged(shown(tx, runs.update(tx, tenant(), id, **cast("runs.Changes", change))))

    @resource.response(204)
    @resource.conditional
    def delete(self, id: str) -> Response:
        """Delete a run that is final, with its metrics and weights"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
            runs.delete(tx, tenant(), id)
        return Response(status=204)


def _verb_route(verb: Verb, summary: str) -> None:
    class Asking(MethodView):
        @resource.arguments(Nothing, required=False)
        @resource.response(202, RunOut)
        @resource.conditional
        def post(self, _nothing: dict[str, Any], id: str) -> Response:
            return ask(verb, id)

    Asking.post.__doc__ = summary
    Asking.__name__ = verb.title()
    resource.route(f"/<id('run'):id>/{verb}")(Asking)


def ask(verb: Verb, id: str) -> Response:
    with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
        run = runs.request(tx, tenant(), id, verb)
        response = answers.tagged(shown(tx, run), 202)
    _ring(run)
    return response


_verb_route("cancel", "Stop within a step and keep nothing")
_verb_route("stop", "End after the current epoch and keep the best; 409 before any epoch has finished")
_verb_route("pause", "Hold after the current epoch; a queued run at once")
_verb_route("resume", "Go on with a paused run")


@resource.route("/<id('run'):id>/extend")
class Extend(MethodView):
    @idempotency.once
    @resource.arguments(ExtendIn, example={"to_epochs": 150})
    @resource.response(202, RunOut)
    @resource.header(IDEMPOTENT)
    @resource.conditional
    def post(self, asked: dict[str, Any], id: str) -> Response:
        """Go on with a run that has succeeded, from its last state; until it ends again it predicts as it does now"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
            run = runs.extend(tx, tenant(), id, asked["to_epochs"])
            body = shown(tx, run)
            response = idempotency.answer(tx, body, 202, {"ETag": answers.etag(body)})
        _ring(run)
        return response


@resource.route("/<id('run'):id>/receipt")
class Receipt(MethodView):
    @resource.response(200, {"type": "object"})
    def get(self, id: str) -> Response:
        """What the run was made of, to make it again: dataset, spec, seeds, versions, hash"""
        run = _read(id)
        if run.receipt is None:
            raise Clash(f"The run is {run.status}; its receipt is written when it succeeds.")
        return answers.plain(run.receipt)


def queued(
    resolved: Resolved,
    *,
    not_before: datetime | None,
    replay: Mapping[str, Any] | None = None,
    legs: Sequence[int] = (),
) -> Response:
    """The answer to who asked for a run: it waits for a worker. Raises Invalid where its dataset is gone."""
    spec = resolved.spec
    with parts().database.write() as tx:
        try:
            run = runs.insert(
                tx,
                tenant(),
                dataset=spec["dataset"],
                spec=spec,
                task=spec["task"],
                rows=resolved.rows,
                warnings=resolved.warnings,
                members=resolved.members,
                priority=spec["priority"],
                not_before=not_before,
                name=spec["name"],
                metadata=spec["metadata"],
                replay=replay,
                legs=legs,
            )
        except NotFound:
            raise _no_dataset(spec["dataset"]) from None
        headers = {"Location": f"/v1/runs/{run.id}", "Retry-After": "1"}
        response = idempotency.answer(tx, shown(tx, run), 202, headers)
    _ring(run)
    return response


def _ring(run: Run) -> None:
    if run.status == "queued":
        parts().bell.ring(run.queue, run.id)


def shown(tx: Connection, run: Run) -> dict[str, Any]:
    """A run as the API shows it, with the first of its members."""
    return _dumped(run, runs.queue_position(tx, run), members.first(tx, run.tenant, run.id, MEMBERS_SHOWN))


def _tag(tx: Connection, id: str) -> str:
    """Return the ETag that the run has now, and keep others from changing the run until the transaction ends."""
    return answers.etag(shown(tx, runs.lock(tx, tenant(), id)))


def _dumped(run: Run, position: int | None, shown_members: Sequence[members.Member]) -> dict[str, Any]:
    found: dict[str, Any] = _RUN.dump({**vars(run), "queue_position": position, "members": shown_members})
    return found


def _read(id: str) -> Run:
    with parts().database.read() as tx:
        return runs.get(tx, tenant(), id)


def _resolve(asked: dict[str, Any]) -> Resolved:
    with parts().database.read() as tx:
        try:
            dataset = datasets.get(tx, tenant(), asked["dataset"])
        except NotFound:
            raise _no_dataset(asked["dataset"]) from None
        stored = {}
        for id in networks_named(asked):
            with suppress(NotFound):  # the spec tells where it is named
                stored[id] = networks.get(tx, tenant(), id).layers
    if dataset.status != "ready":
        raise Invalid({"dataset": f"a dataset that is ready; {dataset.id} is {dataset.status}"})
    return resolve(asked, dataset, stored, parts().targets, parts().settings)


def _no_dataset(id: str) -> Invalid:
    return Invalid({"dataset": f"the id of a dataset; there is no dataset {id}"})


def _would_be(resolved: Resolved) -> dict[str, Any]:
    return {**vars(resolved), "task": resolved.spec["task"], "members": len(resolved.members)}
