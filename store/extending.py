"""Whether a run that succeeded can go on to more epochs, and what of its row changes when it does.

It goes on from its last state as if it had been asked for more from the start, but for its patience. So whatever would
have gone otherwise from the start, had the total been another, cannot be extended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select, update

from store.errors import Conflict
from store.moments import now
from store.states import FINAL
from store.tables import members

if TYPE_CHECKING:  # which asks here
    from store.runs import Run

OF_THE_TOTAL = ("cosine", "one_cycle")  # the schedules whose every step depends on how many epochs there are in all


@dataclass(frozen=True)
class Standing:
    """Of the run's members: how many there are, how many failed, and at which epochs the others ended."""

    count: int
    failed: int
    ended: frozenset[int]


def is_extended_to(run: "Run", to_epochs: int) -> bool:
    """Whether the run is on its way to so many epochs because it was asked before."""
    going = run.status not in (*FINAL, "cancelling")
    return bool(going and run.generation > 1 and run.spec["epochs"] == to_epochs)


def standing(tx: Connection, run_id: str) -> Standing:
    counts = select(members.c.status, members.c.epoch, func.count()).where(members.c.run_id == run_id)
    rows = tx.execute(counts.group_by(members.c.status, members.c.epoch)).all()
    failed = sum(count for status, _, count in rows if status == "failed")
    ended = frozenset(epoch for status, epoch, _ in rows if status != "failed")
    return Standing(sum(count for _, _, count in rows), failed, ended)


def check(spec: Mapping[str, Any], finished: int, members: Standing, to_epochs: int) -> None:
    """Raises Conflict, with the reason, where a succeeded run of this spec cannot go on to `to_epochs`."""
    if to_epochs < finished:
        raise Conflict(f"the run has finished {finished} epochs already, more than {to_epochs}")
    own = _own(spec)
    schedules = {spec.get("schedule", {}).get("name", "constant"), *own.get("schedule.name", ())}
    for name in OF_THE_TOTAL:
        if name in schedules:
            raise Conflict(f"its schedule {name} depends on how many epochs there are in all: ask for a new run")
    if "epochs" in own:
        raise Conflict("its members have epochs of their own, so there is no one number of them to go on to")
    if len(members.ended) > 1:
        told = f"the first after {min(members.ended)} epochs, the last after {max(members.ended)}"
        raise Conflict(f"the patience of its members ended at different epochs, {told}: they cannot go on together")


def go_on(tx: Connection, run_id: str) -> None:
    """The members that have not failed are whatever their run is again."""
    going = (members.c.run_id == run_id) & (members.c.status != "failed")
    tx.execute(update(members).where(going).values(status=None))


def changes(run: "Run", finished: int, members: Standing, to_epochs: int) -> dict[str, Any]:
    """The columns of a run that is extended; what it has kept stays until it ends again."""
    to_do = members.count - members.failed
    fraction = (members.failed + to_do * finished / to_epochs) / members.count
    progress = {"epoch": finished, "epochs": to_epochs, "fraction": fraction, "eta_seconds": None}
    return {
        "spec": {**run.spec, "epochs": to_epochs},
        "generation": run.generation + 1,
        "legs": [*(end for end in run.legs if end <= finished), finished],
        "replay": _settled(run, to_epochs),
        "progress": progress,
        "crashes": 0,
        "memory_crashes": 0,
        "due_at": now(),
        "error": None,
        "finished_at": None,
    }


def _settled(run: "Run", to_epochs: int) -> dict[str, Any] | None:
    """Of a run that repeats another one, how that came out: from now on it is no longer the same run."""
    if run.replay is None:
        return None
    identical = run.replay.get("identical", run.replay["weights_sha256"] == run.weights_sha256)
    return {**run.replay, "epochs": to_epochs, "identical": identical}


def _own(spec: Mapping[str, Any]) -> dict[str, set[Any]]:
    """The values of schedule and epochs that members have of their own, by path."""
    found: dict[str, set[Any]] = {}
    sweep = spec.get("sweep") or {}
    for path in ("schedule.name", "epochs"):
        values = {*sweep.get(path, ()), *(each[path] for each in spec.get("members") or () if path in each)}
        if values:
            found[path] = values
    return found
