"""A run whose attempt ran out of memory: tried once more in smaller chunks, which give the same bits; then it fails."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete

from store import moves
from store.leases import fence, last_told
from store.memory import Memory
from store.moments import now
from store.states import TABLE, Transition
from store.tables import leases

CODE = "out_of_memory"


def reason(memory: Memory | None, asked: int = 0) -> str:
    """For whoever reads the error: what was held when it was not enough, with `asked` how many bytes more were wanted,
    and what to do.
    """
    needed = "more memory is needed than there is"
    if memory is not None:
        wanted = f" and asked for {_mebibytes(asked)} more" if asked else ""
        needed += f": the process held {_mebibytes(memory.held)}{wanted}, of {_mebibytes(memory.limit)} in all"
    return f"{needed}; fewer members or units, a smaller batch_size, or a machine with more memory would help"


def hand_back(tx: Connection, run_id: str, attempt: int, message: str) -> str:
    """The attempt found out by itself: the status that the run now has.

    Queued at once the first time, failed with `message` the second; or what was asked of it is so. Fenced if the
    attempt is over.
    """
    lease = fence(tx, run_id, attempt)
    tx.execute(delete(leases).where(leases.c.run_id == run_id))
    return settle(tx, lease, message, again="drain", over="fail")


def settle(
    tx: Connection, lease: RowMapping, message: str, *, again: str, over: str, wait: timedelta = timedelta()
) -> str:
    """Moves the run of a lease that was taken away by the action `again`, to be tried after the wait, or by `over`."""
    run_id = lease["run_id"]
    run = moves.lock(tx, run_id)
    outcome = TABLE[run["status"], over if run["memory_crashes"] else again]
    columns: dict[str, Any] = {**last_told(lease), "memory_crashes": run["memory_crashes"] + 1}
    data: dict[str, Any] = {"attempt": lease["attempt"]}
    if isinstance(outcome, Transition) and outcome.status == "failed":
        columns["error"] = {"code": CODE, "message": message}
        data |= columns["error"]
    elif isinstance(outcome, Transition) and outcome.status == "queued":
        columns["due_at"] = now() + wait
        data["reason"] = CODE
    return moves.move(tx, run_id, outcome, data, **columns) or str(run["status"])


def _mebibytes(bytes: int) -> str:
    return f"{bytes / 2**20:,.0f} MiB"
