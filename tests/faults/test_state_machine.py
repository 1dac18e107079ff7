"""The store beside a model of it in plain Python: the same random steps for both, and after each the same state.

Workers claim, report and end; some are zombies that go on with an attempt that is over. Reconcilers expire leases by
what they saw some steps ago. Callers ask for whatever they like. Any of them may die before it commits.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, delete, select, update

from store import (
    analyses,
    analysing,
    checkpoints,
    claims,
    datasets,
    expiry,
    finishing,
    leases,
    metrics,
    out_of_memory,
    runs,
)
from store.blobs import sha256_of
from store.checkpoints import Checkpoint
from store.chunks import Chunk
from store.database import Database
from store.errors import Conflict, Fenced, StoreError
from store.finishing import Result
from store.leases import Report
from store.members import MemberReport
from store.moments import now
from store.processes import ProcessIdentity
from store.states import TABLE, Already, Transition
from store.tables import blob_deletions, metadata
from store.tenants import LOCAL
from tests.faults.model import FINAL, HELD, Analysis, Attempt, Run

Action = Callable[[Connection], Any]

STEPS_A_WALK = 100
LATER = 3600.0
OF_RUNS = ("leases", "events", "checkpoints", "metric_chunks", "members", "analyses")
ME: dict[str, Any] = {"worker": "wk_1", "slot_pid": 1, "owner": ProcessIdentity.current()}

# Without its dataset a queued run fails, and no walk deletes that; the others come at the third crash in a row.
RARE = {("queued", "fail"), ("pausing", "give_up"), ("cancelling", "give_up")}

died = object()  # the answer of one who died before the commit
deaths = st.sampled_from([False] * 7 + [True])
works = st.sampled_from(
    ["report"] * 3 + ["beat", "save", "save", "succeed", "succeed", "fail", "acknowledge", "acknowledge"]
    + ["release", "release", "release", "run out"]
)  # fmt: skip


def _freed(tx: Connection) -> set[str]:
    return set(tx.execute(select(blob_deletions.c.key)).scalars())


class Died(Exception):
    pass


class Walks:
    """What all walks together have come by: by the status a run had, and what was done with it."""

    def __init__(self) -> None:
        self.steps = 0
        self.moves: Counter[tuple[str, str]] = Counter()


class Store(RuleBasedStateMachine):
    """`_do` is the only way to the store, and the model changes only by what that answers."""

    def __init__(self, database: Database, walks: Walks) -> None:
        super().__init__()
        self.database = database
        self.walks = walks
        self.runs: list[Run] = []
        self.attempts: list[Attempt] = []
        self.sights: list[tuple[Run, expiry.Lease]] = []
        self.told: Any = None
        self.analyses: dict[str, Analysis] = {}
        self.analysing: list[tuple[Analysis, analysing.Claim]] = []
        self.analyses_seen: list[tuple[Analysis, analysing.Lease]] = []
        facts: dict[str, Any] = {"rows": 3, "bytes": 9, "sha256": "a" * 64, "columns": [], "warnings": []}
        with database.write() as tx:
            for table in reversed(metadata.sorted_tables):
                if table.name != "tenants":
                    tx.execute(delete(table))
            self.dataset = datasets.insert(tx, LOCAL, name="iris", blob="iris", **facts).id

    def _do(self, action: Action, *, dies: bool = False) -> Any:
        """Its answer, the refusal, or `died`; who is refused or dies has changed nothing."""
        try:
            with self.database.write() as tx:
                answer = action(tx)
                if dies:
                    raise Died  # noqa: TRY301
        except (StoreError, Died) as error:
            assert self._everything() == self.found
            return died if isinstance(error, Died) else error
        return answer

    def _everything(self) -> dict[str, list[Any]]:
        with self.database.read() as tx:
            return {name: tx.execute(select(metadata.tables[name])).all() for name in ("runs", *OF_RUNS)}

    def _going(self) -> list[Run]:
        return [run for run in self.runs if run.status not in FINAL]

    def _ended(self) -> list[Run]:
        return [run for run in self.runs if run.status in FINAL]

    def _alive(self) -> list[Attempt]:
        return [each for each in self.attempts if each.lives]

    def _zombies(self) -> list[Attempt]:
        return [each for each in self.attempts[-12:] if not each.lives]

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """Somebody does something that makes sense now. One rule for all: hypothesis leaves out rules in many walks."""
        going, ended, kept = self._going(), self._ended(), [run for run in self.runs if run.results]
        able: dict[Callable[[st.DataObject], None], int] = {
            self.start: 2 * (len(going) < 2 and len(self.runs) < 4),
            self.ask: 3 * bool(self.runs),
            self.extend: bool(self.runs) + 2 * bool(kept),
            self.remove: len(ended),
            self.change: bool(self.runs),
            self.time_passes: 2 * any(not run.due for run in going),
            self.claim: 4 * any(run.status == "queued" for run in going),
            self.work: 6 * bool(self._alive()),
            self.haunt: bool(self._zombies()),
            self.expire: 3 * bool(self._alive()) + bool(self.sights),
            self.ask_for_analysis: bool(kept),
            self.analyse: 2 * bool(self.analyses),
        }
        action = data.draw(st.sampled_from([each for each, weight in able.items() for _ in range(weight)]))
        action(data)

    # Callers

    def start(self, data: st.DataObject) -> None:
        priority, later, dies = data.draw(st.integers(0, 1)), data.draw(deaths), data.draw(deaths)
        draft: dict[str, Any] = {"spec": {}, "task": "binary", "rows": {}, "warnings": [], "members": [{}]}
        draft |= {"dataset": self.dataset, "priority": priority}
        draft |= {"not_before": now() + timedelta(seconds=LATER) if later else None}
        made = self._do(lambda tx: runs.insert(tx, LOCAL, **draft), dies=dies)
        if made is not died:
            self.runs.append(Run(made.id, priority, due=not later))

    def ask(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([*self._going() * 3, *self.runs]))
        verb: runs.Verb = data.draw(st.sampled_from(("stop", "stop", "pause", "pause", *["resume"] * 4, "cancel")))
        answer = self._do(lambda tx: runs.request(tx, LOCAL, run.id, verb), dies=data.draw(deaths))
        if answer is not died:
            self._answered(run, run.status, verb, answer, run.asked(verb))

    def extend(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        to_epochs = max(1, run.epoch + data.draw(st.sampled_from([-1, 0, 2, 2, 2])))
        answer = self._do(lambda tx: runs.extend(tx, LOCAL, run.id, to_epochs), dies=data.draw(deaths))
        if answer is not died:
            self._answered(run, run.status, "extend", answer, run.extended(to_epochs))

    def _answered(self, run: Run, before: str, verb: str, answer: Any, allowed: bool) -> None:
        assert isinstance(answer, runs.Run if allowed else Conflict)
        self.walks.moves[before, verb if allowed else "refused"] += 1
        if allowed:
            assert answer.status == run.status

    def remove(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([*self._ended(), *self.runs[-1:]]))

        def remove(tx: Connection) -> set[str]:
            runs.delete(tx, LOCAL, run.id)
            return _freed(tx)

        answer = self._do(remove, dies=data.draw(deaths))
        if answer is died:
            return
        if run.status not in FINAL:
            assert isinstance(answer, Conflict)
            return
        assert answer >= {run.blob(*each) for each in run.saved} | {run.weights} - {None}
        self.runs.remove(run)
        self.analyses.pop(run.id, None)

    def change(self, data: st.DataObject) -> None:
        priority = data.draw(st.integers(0, 1))
        run = data.draw(st.sampled_from(self.runs))
        self._do(lambda tx: runs.update(tx, LOCAL, run.id, priority=priority))
        run.priority = priority

    def time_passes(self, _data: st.DataObject) -> None:
        with self.database.write() as tx:
            tx.execute(update(metadata.tables["runs"]).values(due_at=now()))
        for run in self.runs:
            run.due = True

    # Workers

    def claim(self, data: st.DataObject) -> None:
        waiting = [run for run in self.runs if run.status == "queued" and run.due]
        claim = self._do(lambda tx: claims.claim(tx, **ME), dies=data.draw(deaths))
        if claim is died:
            return
        if not waiting:
            assert claim is None
            return
        run = min(waiting, key=lambda each: (-each.priority, each.id))
        self.walks.moves[run.status, "claim"] += 1
        assert (claim.run_id, claim.attempt, claim.generation) == (run.id, run.attempt + 1, run.generation)
        assert (claim.requested, claim.told_epoch) == (run.requested, run.told)
        assert [each.blob for each in claim.checkpoints] == [run.blob(*each) for each in run.saved]
        run.taken()
        self.attempts.append(Attempt(run, run.attempt, run.saved[0][1] if run.saved else 0))

    def work(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self._alive()))
        what, dies = data.draw(works), data.draw(deaths)
        match what:
            case "report":
                self._report(attempt, data.draw(st.integers(0, 3)), dies)
            case "beat":
                self._beat(attempt, dies)
            case "save":
                self._save(attempt, dies)
            case _:
                self._end(attempt, what, dies)

    def haunt(self, data: st.DataObject) -> None:
        """What an attempt that is over tries is refused, and the model stays as it is."""
        what = data.draw(works)
        zombie = data.draw(st.sampled_from(self._zombies()))
        match what:
            case "report":
                action = self._reporting(zombie, 2)
            case "beat":
                action = self._beating(zombie)
            case "save":
                action = self._saving(zombie)
            case _:
                action = self._ending(zombie, what)
        assert isinstance(self._do(action), Fenced)
        self.walks.moves[zombie.run.status, "haunt"] += 1

    def _report(self, attempt: Attempt, epochs: int, dies: bool) -> None:
        run = attempt.run
        answer = self._do(self._reporting(attempt, epochs), dies=dies)
        if answer is not died:
            assert answer == run.requested
            run.held += 1
            attempt.epoch += epochs
            run.reported(attempt.epoch)

    def _reporting(self, attempt: Attempt, epochs: int) -> Action:
        # What a zombie would write is another number than what is true of an epoch.
        sign, first, last = 1 if attempt.lives else -1, attempt.epoch + 1, attempt.epoch + epochs
        steps = np.arange(first, last + 1).reshape(-1, 1)
        report = Report(
            progress={"epoch": last},
            metrics={},
            chunks=[Chunk("train", "loss", first, steps, (sign * steps).astype(np.float32))] if epochs else [],
            members=[MemberReport(0, "running", last)],
            told={"epoch": last, "metrics": {}} if epochs else None,
        )
        return lambda tx: leases.record(tx, attempt.run.id, attempt.number, report)

    def _beat(self, attempt: Attempt, dies: bool) -> None:
        answer = self._do(self._beating(attempt), dies=dies)
        if answer is not died:
            assert answer == attempt.run.requested
            attempt.run.held += 1

    def _beating(self, attempt: Attempt) -> Action:
        return lambda tx: leases.beat(tx, attempt.run.id, attempt.number, 1)

    def _save(self, attempt: Attempt, dies: bool) -> None:
        run = attempt.run
        answer = self._do(self._saving(attempt), dies=dies)
        if answer is died:
            return
        kept = sorted({(attempt.number, attempt.epoch), *run.saved}, reverse=True)
        assert answer >= {run.blob(*each) for each in kept[checkpoints.KEPT :]}
        run.saved = kept[: checkpoints.KEPT]
        run.held += 1
        if all(epoch < attempt.epoch for _, epoch in run.saved[1:]):  # else it has got no further
            run.crashes = 0
        run.events.append("run.checkpointed")

    def _saving(self, attempt: Attempt) -> Action:
        def save(tx: Connection) -> set[str]:
            checkpoints.advance(tx, attempt.run.id, attempt.number, self._checkpoint(attempt))
            return _freed(tx)

        return save

    def _checkpoint(self, attempt: Attempt) -> Checkpoint:
        return Checkpoint(attempt.epoch, attempt.epoch, attempt.run.blob(attempt.number, attempt.epoch))

    def _end(self, attempt: Attempt, how: str, dies: bool) -> None:
        run = attempt.run
        answer = self._do(self._ending(attempt, how), dies=dies)
        if answer is died:
            return
        self.walks.moves[run.status, {"release": "drain", "run out": "fail"}.get(how, how)] += 1
        if how == "acknowledge" and run.status == "running":
            assert isinstance(answer, Conflict)
            return
        match how:
            case "succeed":
                attempt.epoch = max(attempt.epoch, run.told)
                run.succeeds(attempt.number, attempt.epoch, run.blob("weights", attempt.number))
            case "fail":
                run.fails()
            case "run out":
                (run.fails if run.memory_crashes else run.interrupted)()
                run.memory_crashes += 1
            case _:
                run.interrupted()
        assert answer == run.status

    def _ending(self, attempt: Attempt, how: str) -> Action:
        held, run = (attempt.run.id, attempt.number), attempt.run
        weights = run.blob("weights", attempt.number)
        ended = Attempt(run, attempt.number, max(attempt.epoch, run.told))  # never before what was told of the run
        members = [MemberReport(0, "succeeded", ended.epoch)]
        result = Result({}, None, members, weights, sha256_of(weights), "cpu", checkpoint=self._checkpoint(ended))

        def succeed(tx: Connection) -> str:
            self._reporting(attempt, ended.epoch - attempt.epoch)(tx)
            return finishing.succeed(tx, *held, result)

        actions: dict[str, Action] = {
            "succeed": succeed,
            "fail": lambda tx: finishing.fail(tx, *held, "invalid_data", "it cannot be learned"),
            "acknowledge": lambda tx: finishing.acknowledge(tx, *held),
            "release": lambda tx: finishing.release(tx, *held),
            "run out": lambda tx: out_of_memory.hand_back(tx, *held, "it does not fit"),
        }
        return actions[how]

    # Reconcilers

    def expire(self, data: st.DataObject) -> None:
        """By what is seen now, or was some steps ago, since when another reconciler may have acted by the same."""
        how, waits = data.draw(st.sampled_from(["crashed", "crashed", "starved", "starved", "gone"])), data.draw(deaths)
        held = {run.id: run for run in self.runs if run.held is not None}
        with self.database.read() as tx:
            now_seen = [(held[lease.run_id], lease) for lease in expiry.leases(tx)]
        run, lease = data.draw(st.sampled_from([*now_seen * 2, *self.sights]))
        self.sights = [*self.sights, *now_seen][-3:]
        ways: dict[str, Any] = {"crashed": how != "gone", "starved": how == "starved", "backoff": [LATER * waits]}
        expire: Action = lambda tx: expiry.expire(tx, run.id, lease.attempt, lease.seq, **ways)  # noqa: E731
        answer = self._do(expire, dies=data.draw(deaths))
        if answer is died:
            return
        still = run in self.runs and (run.attempt, run.held) == (lease.attempt, lease.seq)
        assert answer == still
        if not still:
            self.walks.moves[run.status, "outrun"] += 1
            return
        if how == "starved":
            over = run.memory_crashes > 0
            run.memory_crashes += 1
        else:
            run.crashes += how == "crashed"
            over = run.crashes >= expiry.MAX_CRASHES
        self.walks.moves[run.status, "give_up" if over else "expire"] += 1
        if over:
            run.fails(pauses=True)
        else:
            run.interrupted()
        if run.status == "queued" and how != "gone":
            run.due = not waits

    # Whoever finds out about a run that has ended

    def ask_for_analysis(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([run for run in self.runs if run.results]))
        asked = self._do(lambda tx: analyses.ask(tx, LOCAL, run.id, "evaluation", "test"), dies=data.draw(deaths))
        if asked is died:
            return
        known = self.analyses.get(run.id)
        if known is None or known.weights != run.weights:
            before = known or Analysis(run, "")
            known = Analysis(run, str(run.weights), attempt=before.attempt, seq=before.seq)
            self.analyses[run.id] = known
        assert asked.status == known.status

    def analyse(self, data: st.DataObject) -> None:
        what = data.draw(st.sampled_from(["claim", "claim", "beat", "finish", "fail", "release", "look", "expire"]))
        if what == "claim":
            self._claim_analysis(data.draw(deaths))
        elif what == "look":
            with self.database.read() as tx:
                found = analysing.leases(tx)
            self.analyses_seen += [(self.analyses[lease.place.run_id], lease) for lease in found]
        elif what == "expire" and self.analyses_seen:
            self._expire_analysis(*data.draw(st.sampled_from(self.analyses_seen[-3:])), data.draw(deaths))
        elif self.analysing:
            self._act_on_analysis(*data.draw(st.sampled_from(self.analysing[-3:])), what, data.draw(deaths))

    def _claim_analysis(self, dies: bool) -> None:
        claim = self._do(lambda tx: analysing.claim(tx, **ME), dies=dies)
        if claim is died:
            return
        waiting = {each.run.id: each for each in self.analyses.values() if each.status == "pending"}
        if claim is None:
            assert not waiting
            return
        analysis = waiting[claim.run_id]
        analysis.status, analysis.attempt, analysis.seq = "running", analysis.attempt + 1, 0
        assert (claim.attempt, claim.weights_blob) == (analysis.attempt, analysis.weights)
        self.analysing.append((analysis, claim))

    def _act_on_analysis(self, analysis: Analysis, claim: analysing.Claim, what: str, dies: bool) -> None:
        actions: dict[str, Action] = {
            "beat": lambda tx: claim.beat(tx, 1),
            "finish": lambda tx: analysing.finish(tx, claim, {}),
            "fail": lambda tx: analysing.fail(tx, claim, "internal", "it went wrong"),
            "release": lambda tx: analysing.release(tx, claim),
        }
        answer = self._do(actions.get(what, actions["beat"]), dies=dies)
        if answer is died:
            return
        if not self._is_made(analysis, claim.attempt):
            assert isinstance(answer, Fenced)
            return
        assert answer is None
        analysis.seq += 1
        analysis.status = {"finish": "ready", "fail": "failed", "release": "pending"}.get(what, "running")

    def _expire_analysis(self, analysis: Analysis, lease: analysing.Lease, dies: bool) -> None:
        answer = self._do(lambda tx: analysing.expire(tx, lease), dies=dies)
        if answer is died:
            return
        assert answer == (self._is_made(analysis, lease.attempt) and analysis.seq == lease.seq)
        if answer:
            analysis.crashes += 1
            analysis.status = "failed" if analysis.crashes >= analysing.MAX_CRASHES else "pending"

    def _is_made(self, analysis: Analysis, attempt: int) -> bool:
        current = self.analyses.get(analysis.run.id) is analysis
        return current and (analysis.status, analysis.attempt) == ("running", attempt)

    # What must be so after every step

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        self.walks.steps += 1
        self.found = self._everything()
        rows: dict[str, dict[str, list[Any]]] = {run.id: {} for run in self.runs}
        for name in OF_RUNS:
            for row in self.found[name]:
                rows[row.run_id].setdefault(name, []).append(row)
        of_runs = {row.id: row for row in self.found["runs"]}
        assert of_runs.keys() == rows.keys()
        for run in self.runs:
            self._agree(run, of_runs[run.id], rows[run.id])
        told = (self.found["metric_chunks"], [run.told for run in self.runs])
        if told != self.told:
            self.told = told
            with self.database.read() as tx:
                measured = [[each["value"] for each in metrics.page(tx, LOCAL, run.id).data] for run in self.runs]
            assert measured == [list(range(1, run.told + 1))[:50] for run in self.runs]

    def _agree(self, run: Run, row: Any, rows: dict[str, list[Any]]) -> None:
        assert (row.status, row.requested, row.attempt) == (run.status, run.requested, run.attempt)
        assert (row.crashes, row.memory_crashes) == (run.crashes, run.memory_crashes)
        assert (row.generation, row.weights_blob) == (run.generation, run.weights)
        assert (row.finished_at is not None) == (run.status in FINAL)
        held = [(each.attempt, each.seq) for each in rows.get("leases", [])]
        assert held == ([(run.attempt, run.held)] if run.status in HELD else [])
        self._agree_in_events(run, sorted(rows["events"], key=lambda each: each.seq))
        saved = [(each.attempt, each.epoch) for each in rows.get("checkpoints", [])]
        assert sorted(saved, reverse=True) == run.saved
        made = [(each.status, each.attempt, each.weights_blob) for each in rows.get("analyses", [])]
        known = self.analyses.get(run.id)
        assert made == ([(known.status, known.attempt, known.weights)] if known else [])

    def _agree_in_events(self, run: Run, told: list[Any]) -> None:
        assert [each.seq for each in told] == list(range(1, len(told) + 1))
        assert [each.type for each in told] == run.events
        tried = [each.data["attempt"] for each in told if each.type in ("run.started", "run.resumed")]
        assert tried == list(range(1, run.attempt + 1))
        generations = " ".join(run.events).split("run.extended")
        endings = [sum(f"run.{final}" in part.split() for final in FINAL) for part in generations]
        assert endings == [1] * (run.generation - 1) + [int(run.status in FINAL)]
        shown = [each.data["epoch"] for each in told if each.type == "run.progress"]
        assert shown == sorted(set(shown))


def test_any_walk_leaves_the_store_as_the_model_says(database, times, full, tell):
    walks, steps = Walks(), times(500, 10_000)
    run_state_machine_as_test(
        lambda: Store(database, walks),
        settings=settings(
            max_examples=steps * 5 // 4 // STEPS_A_WALK,
            stateful_step_count=STEPS_A_WALK,
            derandomize=True,  # the same walks every time
            phases=[Phase.generate],  # one that fails is told as it is: to make it short takes minutes
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    tell(f"{walks.steps} steps: {sorted(walks.moves.items())}")
    assert walks.steps >= steps
    if full:
        moves = {place for place, outcome in TABLE.items() if isinstance(outcome, Transition | Already)}
        missed = sorted(moves - walks.moves.keys())
        tell(f"moves that no walk has made: {missed}")
        assert not set(missed) - RARE
