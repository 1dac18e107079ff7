"""Which weights a model's reference means at this moment: asked of the database a few times a second, and remembered.

    what is known is as old as    and whoever asks is answered
    under 0.25 s                  with it
    under 0.75 s                  with it, while another thread asks the database again
    under 60 s                    with what the database says, or with it if that says nothing within 1 s
    more                          with what the database says, or not at all

As old as the question that it is the answer to. So an alias that has moved, or a new version, is seen by every process
within a second, nobody who predicts without a pause waits for the database, and predictions go on without it for a
minute. However many threads ask for a reference, one of them asks the database.
"""

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from store import models
from store.database import Database
from store.errors import NotFound, Unavailable
from store.models import Meaning

FRESH_SECONDS = 0.25
SURE_SECONDS = 0.75
LAST_SECONDS = 60.0
PATIENCE_SECONDS = 1.0

_MOST = 4_096  # references, of all tenants; only what was found is remembered
_ASKERS = 4

Place = tuple[str, str]  # a tenant, and its reference


@dataclass(frozen=True, slots=True)
class _Known:
    meaning: Meaning
    asked_at: float


class Versions:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[Place, _Known] = OrderedDict()
        self._asking: dict[Place, Future[Meaning]] = {}
        self._lock = threading.Lock()  # of whoever changes these
        self._away_until = 0.0  # the database did not answer a moment ago
        self._askers = ThreadPoolExecutor(_ASKERS, "versions")  # whose threads start when there is work

    def get(self, tenant: str, ref: str) -> Meaning:
        """Raises NotFound, Unavailable."""
        place = (tenant, ref)
        known = self._known.get(place)
        if known is None:
            return self._ask(place, here=True).result()
        age = time.monotonic() - known.asked_at
        return known.meaning if age < FRESH_SECONDS else self._again(place, known, age)

    def at_once(self, tenant: str, ref: str) -> Meaning | None:
        """Return what is known and fresh enough, without waiting for the database; or None."""
        place = (tenant, ref)
        known = self._known.get(place)
        if known is None:
            return None
        age = time.monotonic() - known.asked_at
        if age >= SURE_SECONDS:
            return None
        if age >= FRESH_SECONDS:
            self._ask(place, here=False)
        return known.meaning

    def forget(self, tenant: str, name: str) -> None:
        """After a change of the model that this process has made itself: whoever asked for it sees it at once."""
        with self._lock:
            for places in (self._known, self._asking):  # answers that are under way may be from before the change
                for place in [each for each in places if each[0] == tenant and _model_of(each[1]) == name]:
                    del places[place]

    def _again(self, place: Place, known: _Known, age: float) -> Meaning:
        if age < LAST_SECONDS and time.monotonic() < self._away_until:
            return known.meaning
        asking = self._ask(place, here=False)
        if age < SURE_SECONDS:
            return known.meaning
        try:
            return asking.result(PATIENCE_SECONDS if age < LAST_SECONDS else None)
        except (TimeoutError, Unavailable):
            if age >= LAST_SECONDS:
                raise
            self._away_until = time.monotonic() + FRESH_SECONDS
            return known.meaning

    def _ask(self, place: Place, *, here: bool) -> Future[Meaning]:
        """The answer that is under way to whoever was first; to whom the database answers in this thread, or another.

        What nobody knows yet may be nothing at all: only its own caller waits for that.
        """
        with self._lock:
            asking = self._asking.get(place)
            if asking is not None:
                return asking
            asking = self._asking[place] = Future()
        if here:
            self._answer(place, asking)
        else:
            self._askers.submit(self._answer, place, asking)
        return asking

    def _answer(self, place: Place, asking: Future[Meaning]) -> None:
        asked_at = time.monotonic()
        try:
            with self._database.read() as tx:
                meaning = models.resolve(tx, *place)
        except BaseException as error:  # noqa: BLE001  (raised again in every thread that waits for it)
            with self._lock:
                if self._is_over(place, asking) and isinstance(error, NotFound):
                    self._known.pop(place, None)
            asking.set_exception(error)
            return
        with self._lock:
            if self._is_over(place, asking):
                self._known[place] = _Known(meaning, asked_at)
                self._known.move_to_end(place)
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
        asking.set_result(meaning)

    def _is_over(self, place: Place, asking: Future[Meaning]) -> bool:
        """Ends the asking; False if the model was changed meanwhile, and the answer is to be remembered no more."""
        if self._asking.get(place) is not asking:
            return False
        del self._asking[place]
        return True


def _model_of(ref: str) -> str:
    """The name, which stands before `@alias` or `:version`."""
    return ref.partition("@")[0].partition(":")[0]
