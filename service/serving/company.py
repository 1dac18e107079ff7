"""Plain requests that wait at the same time are answered together, by whichever of their threads comes first.

Each operation of torch lets go of the interpreter's lock and asks for it again: threads that predict at the same time
spend most of it handing that round. Here one works at a time, and answers all that wait behind it. So the others sleep,
sixteen rows for a model are computed in the time of one, and what the work needs is at hand in the processor's caches.
A row's answer is the same bytes in whatever company, and nobody waits for company.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from learning.cells import Cells, Row
from learning.model import MeanModel, Model, Prediction
from learning.network import FEW_ROWS
from service.serving.answering import Options

# With a larger body, or a larger model, most of the time is torch's own and in nobody's way; in turns it would be.
LARGE_BYTES = 128 << 10
LARGE_MODEL = 1 << 18  # numbers

Made = TypeVar("Made")


@dataclass(eq=False, slots=True)
class Asked:
    """A body, the model that answers it, and by what name; `content` is the answer, None where others must give it."""

    model: Model | MeanModel
    body: bytes
    by: Mapping[str, Any]
    request_id: str = ""
    content: bytes | None = None
    is_over: bool = False


@dataclass(slots=True)
class Question:
    asked: Asked
    options: Options
    rows: Cells | Row


class Company:
    """`read` says what is asked, None where that is not plainly right; `tell` words the answer. Both may raise."""

    def __init__(self, read: Callable[[Asked], Question | None], tell: Callable[[Question, Prediction], bytes]) -> None:
        self._read = read
        self._tell = tell
        self._turn = threading.Lock()
        self._waiting: deque[Asked] = deque()

    def answer(self, mine: Asked) -> bytes | None:
        """None where others must answer. Raises what the model raises."""
        if len(mine.body) > LARGE_BYTES or mine.model.size > LARGE_MODEL:
            self._answer([mine])
            return mine.content
        self._waiting.append(mine)
        with self._turn:
            if not mine.is_over:
                self._answer(self._take(mine))
        return mine.content

    def answer_together(self, several: Sequence[Asked]) -> None:
        """Answer these without a turn. Leave `content` None where others must answer."""
        for first in range(0, len(several), FEW_ROWS):
            self._answer(several[first : first + FEW_ROWS])

    def _take(self, mine: Asked) -> list[Asked]:
        """It and those that wait already, as many as are computed in one block."""
        self._waiting.remove(mine)
        found = [mine]
        while self._waiting and len(found) < FEW_ROWS:
            found.append(self._waiting.popleft())
        return found

    def _answer(self, several: Sequence[Asked]) -> None:
        try:
            alone: dict[int, list[tuple[Question, Row]]] = {}
            for asked in several:
                question = _or_none(self._read, asked)
                if question is None:
                    continue
                if isinstance(question.rows, Row):
                    alone.setdefault(id(asked.model), []).append((question, question.rows))
                else:
                    asked.content = _or_none(self._tell, question, asked.model.predict(question.rows))
            for pairs in alone.values():
                together = pairs[0][0].asked.model.predict_together([row for _, row in pairs])
                for (question, _), prediction in zip(pairs, together.each(), strict=True):
                    question.asked.content = _or_none(self._tell, question, prediction)
        finally:
            for asked in several:
                asked.is_over = True


def _or_none(act: Callable[..., Made], *given: Any) -> Made | None:
    """None of what fails: one request's failure is told by others, and is nothing to the rest."""
    try:
        return act(*given)
    except Exception:  # noqa: BLE001 - whatever it is, it comes again where it is told
        return None
