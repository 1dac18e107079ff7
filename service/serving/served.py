"""Models in memory, ready to predict: each made once however many ask at the same time, the least used forgotten."""

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

from learning.keeping import Kept, NotKept
from learning.model import MeanModel, Model
from learning.network import FEW_ROWS
from service.problems import Clash, Invalid
from service.serving import kept
from service.serving.instances import columns_of
from service.serving.sizes import bytes_held
from store.blobs import Blobs

Place = tuple[str, int | None]  # a blob, and one member of it or what it answers by

_MOST_NAMED = 20  # members, in a refusal


@dataclass(slots=True)
class _Ready:
    model: Model | MeanModel
    predicts: tuple[int, ...]  # the members that the blob answers by
    bytes: int
    used: bool = False  # since it came, or was last asked whether it may go


class ServedModels:
    """At most so many models, and so many bytes; the one that was asked for last stays, however large.

    Weights are immutable and named by their content, so a model that is here is right for ever. Whoever finds it takes
    no lock: a look into the dictionary, and a mark. To make room the models are asked in turn, and go unless they were
    used since (a clock, or second chance): a step costs the same however many there are, and a model that is asked for
    once does not drive out those that are asked for again and again.
    """

    def __init__(self, blobs: Blobs, most_models: int, most_bytes: int) -> None:
        self._blobs = blobs
        self._most_models = most_models
        self._most_bytes = most_bytes
        self._bytes = 0
        self._ready: OrderedDict[Place, _Ready] = OrderedDict()
        self._loading: dict[Place, Future[_Ready]] = {}
        self._lock = threading.Lock()  # of whoever changes these

    def get(self, blob: str, member: int | None) -> Model | MeanModel:
        """Raises Invalid for a member that is not in the blob, Clash for one whose weights are not finite, BlobMissing
        where they are gone, and what else reading them raises; then whoever asks next tries again.
        """
        return self._get((blob, member)).model

    def at_once(self, blob: str, member: int | None) -> Model | MeanModel | None:
        """Return the model if it is in memory, else None."""
        found = self._ready.get((blob, member))
        if found is None:
            return None
        found.used = True
        return found.model

    def predicts(self, blob: str) -> tuple[int, ...]:
        """The members that a run or version answers by, as its weights say themselves. Raises as `get` does."""
        return self._get((blob, None)).predicts

    def _get(self, place: Place) -> _Ready:
        found = self._ready.get(place)
        if found is None:
            return self._loaded_once(place)
        found.used = True
        return found

    def _loaded_once(self, place: Place) -> _Ready:
        with self._lock:
            found = self._ready.get(place)
            if found is not None:  # another thread has brought it between our two looks
                return found
            loading = self._loading.get(place)
            if loading is None:
                mine: Future[_Ready] = Future()
                self._loading[place] = mine
        if loading is not None:
            return loading.result()
        try:
            ready = self._load(*place)
        except BaseException as error:
            with self._lock:
                del self._loading[place]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._loading[place]
            self._keep(place, ready)
        mine.set_result(ready)
        return ready

    def _load(self, blob: str, member: int | None) -> _Ready:
        found = kept.read(self._blobs, blob)
        model = usable(found, member)
        for rows in (1, FEW_ROWS + 1):  # of nothing: what first predictions prepare is made now, and counted
            model.predict(columns_of([[None] * len(model.inputs)] * rows, model.inputs))
        return _Ready(model, found.predicts, bytes_held(model))

    def _keep(self, place: Place, ready: _Ready) -> None:
        while self._ready and self._is_too_much(ready.bytes):
            eldest, its = next(iter(self._ready.items()))
            if its.used:
                its.used = False
                self._ready.move_to_end(eldest)
            else:
                del self._ready[eldest]
                self._bytes -= its.bytes
        self._ready[place] = ready
        self._bytes += ready.bytes

    def _is_too_much(self, more_bytes: int) -> bool:
        """Whether there is no room for another one."""
        return len(self._ready) >= self._most_models or self._bytes + more_bytes > self._most_bytes


def usable(found: Kept, member: int | None) -> Model | MeanModel:
    """What the file answers by, or one member of it.

    Raises Invalid for a member that is not in it, Clash for one whose weights are not finite.
    """
    try:
        model = found.model(member)
    except NotKept:
        there = [str(each["index"]) for each in found.header["members"]]
        named = ", ".join(there[:_MOST_NAMED]) + (", …" if len(there) > _MOST_NAMED else "")
        raise Invalid({"member": f"one of those that this model has: {named}"}) from None
    if not model.is_finite:
        raise Clash(f"Member {member} failed before it had weights to keep.")
    return model
