"""How an attempt ends: fenced, the run moved as the table of states says, that told, and the lease given back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, delete

from store import blob_ledger, checkpoints, members, moves
from store.checkpoints import Checkpoint
from store.errors import Conflict
from store.leases import fence, last_told
from store.members import MemberReport
from store.moments import now
from store.states import TABLE, Refusal, Transition
from store.tables import leases


@dataclass(frozen=True)
class Result:
    """What a run that succeeded leaves; `metrics` and `best` as the API shows them, `members` all of them."""

    metrics: dict[str, Any]
    best: dict[str, Any] | None
    members: Sequence[MemberReport]
    weights_blob: str
    weights_sha256: str
    device: str
    warnings: Sequence[dict[str, Any]] = field(default_factory=tuple)  # new ones: those of the run stay
    receipt: dict[str, Any] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None  # how the training ended, which is not the best it came by: to be extended


def succeed(tx: Connection, run_id: str, attempt: int, result: Result) -> str:
    """The status that the run now has: succeeded, or cancelled if that was asked meanwhile; then nothing is kept."""
    ending = _end(tx, run_id, attempt, "succeed")
    if ending.outcome.status != "succeeded":
        return _let_go(tx, ending, {})
    members.report(tx, run_id, result.members)
    if result.checkpoint is not None:
        checkpoints.keep(tx, ending.lease, result.checkpoint, 1)
    if ending.run["weights_blob"] != result.weights_blob:  # of the generation before
        blob_ledger.free(tx, [ending.run["weights_blob"]])
    kept = {"metrics": result.metrics, "best": result.best}
    new = [warning for warning in result.warnings if warning not in ending.run["warnings"]]
    return _let_go(
        tx,
        ending,
        {**kept, "weights_sha256": result.weights_sha256},
        **kept,
        weights_blob=result.weights_blob,
        weights_sha256=result.weights_sha256,
        device=result.device,
        warnings=[*ending.run["warnings"], *new],
        receipt=result.receipt,
        exactness=result.receipt.get("exactness"),
    )


def fail(tx: Connection, run_id: str, attempt: int, code: str, message: str) -> str:
    """The status that the run now has: failed, or cancelled if that was asked meanwhile."""
    ending = _end(tx, run_id, attempt, "fail")
    if ending.outcome.status != "failed":
        return _let_go(tx, ending, {})
    error = {"code": code, "message": message}
    return _let_go(tx, ending, error, error=error)


def acknowledge(tx: Connection, run_id: str, attempt: int) -> str:
    """The attempt has ended as it was asked to: paused or cancelled. Conflict if neither was asked."""
    return _let_go(tx, _end(tx, run_id, attempt, "acknowledge"), {})


def release(tx: Connection, run_id: str, attempt: int, *, reason: str = "drained") -> str:
    """The worker lets go of the run: it is queued again at once and no crash is counted, or what was asked of it is so.

    `reason`, told with it: it shuts down, `drained`, or has waited in vain for room to write, `store_away`.
    """
    return _let_go(tx, _end(tx, run_id, attempt, "drain"), {"reason": reason}, due_at=now())


@dataclass(frozen=True)
class _Ending:
    run_id: str
    attempt: int
    run: RowMapping
    lease: RowMapping
    outcome: Transition


def _end(tx: Connection, run_id: str, attempt: int, action: str) -> _Ending:
    lease = fence(tx, run_id, attempt)
    run = moves.lock(tx, run_id)
    outcome = TABLE[run["status"], action]
    if not isinstance(outcome, Transition):
        raise Conflict(outcome.reason if isinstance(outcome, Refusal) else f"the run is {run['status']}")
    return _Ending(run_id, attempt, run, lease, outcome)


def _let_go(tx: Connection, ending: _Ending, data: dict[str, Any], **columns: Any) -> str:
    tx.execute(delete(leases).where(leases.c.run_id == ending.run_id))
    moves.move(
        tx, ending.run_id, ending.outcome, {"attempt": ending.attempt, **data}, **{**last_told(ending.lease), **columns}
    )
    return ending.outcome.status
