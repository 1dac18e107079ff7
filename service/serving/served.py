"""Models in memory, ready to predict: each loaded once however many ask at the same time, the least used forgotten."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from functools import lru_cache

from learning.model import MeanModel, Model
from service.problems import Clash
from service.serving import kept
from store.blobs import Blobs

_MOST_MODELS = 256
_MOST_BYTES = 512 << 20


class ServedModels:
    """Weights are immutable and named by their content, so a model that is here is right for ever."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._models: OrderedDict[tuple[str, int | None], Future[Model | MeanModel]] = OrderedDict()
        self._lock = threading.Lock()
        self.predicts = lru_cache(_MOST_MODELS)(self._predicts)

    def get(self, blob: str, member: int | None) -> Model | MeanModel:
        """Raises Clash for a member whose weights are not finite, BlobMissing where they are gone."""
        place = (blob, member)
        with self._lock:
            found = self._models.get(place)
            if found is not None:
                self._models.move_to_end(place)
            else:
                mine: Future[Model | MeanModel] = Future()
                self._models[place] = mine
        if found is not None:
            return found.result()
        try:
            mine.set_result(self._load(blob, member))
        except BaseException as error:
            with self._lock:
                self._models.pop(place, None)  # whoever asks next tries again
            mine.set_exception(error)
            raise
        with self._lock:
            self._forget()
        return mine.result()

    def _predicts(self, blob: str) -> tuple[int, ...]:
        """The members that the run answers by, as its weights say themselves. Raises BlobMissing."""
        return kept.read(self._blobs, blob).predicts

    def _load(self, blob: str, member: int | None) -> Model | MeanModel:
        model = kept.read(self._blobs, blob).model(member)
        if not model.is_finite:
            raise Clash(f"Member {member} failed before it had weights to keep.")
        return model

    def _forget(self) -> None:
        sizes = {place: _bytes(model.result()) for place, model in self._models.items() if model.done()}
        while len(sizes) > 1 and (len(sizes) > _MOST_MODELS or sum(sizes.values()) > _MOST_BYTES):
            oldest = next(iter(sizes))
            del sizes[oldest], self._models[oldest]


def _parts(model: Model | MeanModel) -> Sequence[Model]:
    return model.parts if isinstance(model, MeanModel) else [model]


def _bytes(model: Model | MeanModel) -> int:
    return sum(tensor.nbytes for part in _parts(model) for tensor in part.tensors.values())
