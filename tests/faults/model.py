"""What the store should say of runs, in plain Python and without a database: the other half of the state machine."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

FINAL = ("succeeded", "failed", "cancelled")
HELD = ("running", "pausing", "cancelling")


@dataclass
class Run:
    """`held` is the seq of its lease, None while nobody holds it."""

    id: str
    priority: int
    due: bool
    status: str = "queued"
    requested: str | None = None
    attempt: int = 0
    crashes: int = 0
    memory_crashes: int = 0
    generation: int = 1
    held: int | None = None
    epoch: int = 0  # as its progress shows
    to_epochs: int = 0  # as it was extended
    told: int = 0  # the last epoch whose metrics were written
    saved: list[tuple[int, int]] = field(default_factory=list)  # attempt and epoch of its checkpoints, newest first
    events: list[str] = field(default_factory=lambda: ["run.queued"])
    results: list[str] = field(default_factory=list)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(f"{self.id} ({self.status}, attempt {self.attempt})")  # as hypothesis tells a walk that fails

    @property
    def weights(self) -> str | None:
        return self.results[-1] if self.results else None

    def blob(self, *place: object) -> str:
        """Of its weights or of a checkpoint: one that no other run, attempt or epoch has."""
        name = sha256(f"{self.id} {place}".encode()).hexdigest()
        return f"sha256/{name[:2]}/{name[2:]}"

    def becomes(self, status: str, event: str | None = None, requested: str | None = None) -> None:
        self.status, self.requested = status, requested
        if event is not None:
            self.events.append(event)
        if status in ("failed", "cancelled"):
            self.saved = []

    def asked(self, verb: str) -> bool:
        """A caller asks it; whether that is allowed."""
        idle, moving = self.status in ("queued", "paused"), self.status in ("queued", "running")
        match verb:
            case "cancel" if idle:
                self.becomes("cancelled", "run.cancelled")
            case "cancel" if self.status in ("running", "pausing"):
                self.becomes("cancelling", "run.cancelling", "cancel")
            case "cancel":
                return self.status in ("cancelling", "cancelled")
            case "pause" if self.status == "queued":
                self.becomes("paused", "run.paused")
            case "pause" if self.status == "running":
                self.becomes("pausing", "run.pausing", "pause")
            case "pause":
                return self.status in ("pausing", "paused")
            case "resume" if self.status == "paused":
                self.becomes("queued", "run.queued")
            case "resume":
                return moving
            case "stop" if moving and self.requested != "stop" and self.epoch:
                self.becomes(self.status, None, "stop")
            case "stop":
                return self.status == "succeeded" or (moving and self.requested == "stop")
        return True

    def extended(self, to_epochs: int) -> bool:
        """A caller asks for more epochs; whether that is allowed."""
        if self.status not in (*FINAL, "cancelling") and self.to_epochs == to_epochs:
            return True
        if self.status != "succeeded" or to_epochs < self.epoch:
            return False
        if to_epochs > self.epoch:
            self.becomes("queued", "run.extended")
            self.generation += 1
            self.crashes = self.memory_crashes = 0
            self.due, self.to_epochs = True, to_epochs
        return True

    def taken(self) -> None:
        self.attempt += 1
        self.held = 0
        self.becomes("running", "run.started" if self.attempt == 1 else "run.resumed", self.requested)

    def reported(self, epoch: int) -> None:
        self.epoch = epoch
        if epoch > self.told:
            self.told = epoch
            self.events.append("run.progress")

    def interrupted(self) -> None:
        self.let_go(lambda: self.becomes("queued", "run.interrupted", self.requested), pauses=True)

    def fails(self, *, pauses: bool = False) -> None:
        self.let_go(lambda: self.becomes("failed", "run.failed"), pauses=pauses)

    def succeeds(self, attempt: int, epoch: int, weights: str) -> None:
        self.epoch = epoch
        self.let_go(lambda: self.becomes("succeeded", "run.succeeded"), pauses=False)
        if self.status == "succeeded":
            self.saved = [(attempt, epoch)]
            self.results.append(weights)

    def let_go(self, otherwise: Callable[[], None], *, pauses: bool) -> None:
        """An attempt ends: what was promised to a caller is so, whatever else it ended by."""
        self.held = None
        if self.status == "cancelling":
            self.becomes("cancelled", "run.cancelled")
        elif self.status == "pausing" and pauses:
            self.becomes("paused", "run.paused")
        else:
            otherwise()


@dataclass
class Attempt:
    run: Run
    number: int
    epoch: int

    @property
    def lives(self) -> bool:
        return self.run.held is not None and self.run.attempt == self.number


@dataclass
class Analysis:
    """Of the weights that its run had when it was asked for."""

    run: Run
    weights: str
    status: str = "pending"
    attempt: int = 0
    crashes: int = 0
    seq: int = 0
