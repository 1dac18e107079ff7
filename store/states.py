"""The life of a run as one table: every status with every action is a transition, already so, or refused with a reason.

    queued -> running -> succeeded | failed | cancelled
    queued -> cancelled | paused            running -> queued (drained, or its worker lost)
    running -> pausing -> paused -> queued  running | pausing -> cancelling -> cancelled
    paused -> cancelled                     succeeded -> queued (extended: a new generation)

A request to stop is no status: the run goes on, is claimed again if it must be, and ends as succeeded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

STATUSES = ("queued", "running", "pausing", "paused", "cancelling", "succeeded", "failed", "cancelled")
FINAL = ("succeeded", "failed", "cancelled")
HELD = ("running", "pausing", "cancelling")  # those that a worker holds, with a lease

VERBS = ("cancel", "stop", "pause", "resume", "extend")
ACTIONS = (
    *VERBS,
    "claim",
    "drain",  # its worker shuts down and lets go of it
    "succeed",
    "fail",
    "acknowledge",  # its worker has ended the attempt as it was asked to
    "expire",  # its worker is lost
    "give_up",  # its worker is lost, once too often
)

KEEP = "keep"


@dataclass(frozen=True)
class Transition:
    """To `status`, telling `event` (None: nothing to tell); `requested` is what its worker then reads."""

    status: str
    event: str | None
    requested: str | None = None


@dataclass(frozen=True)
class Already:
    """What is asked for is so; nothing is written."""


@dataclass(frozen=True)
class Refusal:
    reason: str


Outcome = Transition | Already | Refusal

_PAUSED = Transition("paused", "run.paused")
_CANCELLED = Transition("cancelled", "run.cancelled")
_SUCCEEDED = Transition("succeeded", "run.succeeded")
_FAILED = Transition("failed", "run.failed")
_INTERRUPTED = Transition("queued", "run.interrupted", KEEP)

_TRANSITIONS: Mapping[str, Mapping[str, Outcome]] = {
    "queued": {
        "claim": Transition("running", "run.started", KEEP),
        "cancel": _CANCELLED,
        "stop": Transition("queued", None, "stop"),  # drained or interrupted: claimed once more, to be finalised
        "pause": _PAUSED,
        "resume": Already(),
        "fail": _FAILED,  # what it needs is gone
    },
    "running": {
        "cancel": Transition("cancelling", "run.cancelling", "cancel"),
        "stop": Transition("running", None, "stop"),
        "pause": Transition("pausing", "run.pausing", "pause"),
        "resume": Already(),
        "drain": _INTERRUPTED,
        "succeed": _SUCCEEDED,
        "fail": _FAILED,
        "expire": _INTERRUPTED,
        "give_up": _FAILED,
    },
    "pausing": {
        "cancel": Transition("cancelling", "run.cancelling", "cancel"),
        "pause": Already(),
        "drain": _PAUSED,
        "succeed": _SUCCEEDED,  # the epoch it was to pause after was its last
        "fail": _FAILED,
        "acknowledge": _PAUSED,
        "expire": _PAUSED,
        "give_up": _PAUSED,
    },
    "paused": {
        "cancel": _CANCELLED,
        "pause": Already(),
        "resume": Transition("queued", "run.queued"),
    },
    "cancelling": {  # its caller was told that it will be: whatever comes, it is
        "cancel": Already(),
        "drain": _CANCELLED,
        "succeed": _CANCELLED,
        "fail": _CANCELLED,
        "acknowledge": _CANCELLED,
        "expire": _CANCELLED,
        "give_up": _CANCELLED,
    },
    "succeeded": {
        "stop": Already(),
        "extend": Transition("queued", "run.extended"),
    },
    "failed": {},
    "cancelled": {
        "cancel": Already(),
    },
}

_REASONS = {
    "queued": "the run is queued: no worker holds it",
    "running": "the run is running",
    "pausing": "the run is pausing: wait until it is paused, or cancel it",
    "paused": "the run is paused: resume or cancel it",
    "cancelling": "the run is being cancelled",
    "succeeded": "the run has already succeeded",
    "failed": "the run has already failed",
    "cancelled": "the run was cancelled",
}

TABLE: Mapping[tuple[str, str], Outcome] = {
    (status, action): _TRANSITIONS[status].get(action, Refusal(_REASONS[status]))
    for status in STATUSES
    for action in ACTIONS
}


def decide(status: str, action: str, *, requested: str | None = None, epoch: int = 0) -> Outcome:
    """What `action` does to a run in `status`, of which `requested` was asked and `epoch` epochs have finished."""
    outcome = TABLE[status, action]
    if action == "stop" and isinstance(outcome, Transition):
        if requested == "stop":
            return Already()
        if epoch == 0:
            return Refusal("no epoch has finished yet: there is nothing to keep; cancel it instead")
    return outcome
