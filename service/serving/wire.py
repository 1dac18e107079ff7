"""The plain success of a prediction, answered from the WSGI environment itself: Flask costs more than the answer does.

    POST /v1/models/{ref}/predictions, or of a run, with JSON in and JSON wanted, and nothing unusual about it

goes through the same functions as in the views: the door, the references, the models, the parser, the reader, the words
of the answer. Whatever else comes, and whatever goes wrong, is handed to Flask as if nothing had happened, so that each
refusal is made in one place.
"""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

import structlog
from werkzeug.routing import Map

from learning.cells import Cells, Row
from learning.model import Inputs, MeanModel, Model, Prediction
from service import access, answers, strict_json
from service.blueprint import Id, Ref
from service.http_server.reply import Reply
from service.parts import Parts
from service.problems import Problem
from service.serving import answering, number_rows, prediction
from service.serving.answering import Options
from service.serving.company import LARGE_BYTES, Asked, Company, Question
from service.serving.instances import columns_of
from service.serving.slices import rows_at_once
from store import runs
from store.database import Database

log = structlog.get_logger(__name__)

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

_MOST_BYTES = 8 << 20  # what is larger takes so long that Flask does not matter
_MOST_WORK = 1 << 24  # multiplications that the event loop does itself
_MEDIA = frozenset({answers.JSON, f"{answers.JSON}; charset=utf-8", f"{answers.JSON};charset=utf-8"})
_ACCEPTED = frozenset({"", "*/*", answers.JSON, f"{answers.JSON}, */*", f"{answers.JSON}, text/plain, */*"})
_UNUSUAL = ("HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT")
_PATH = re.compile(rf"/v1/(?:models/(?P<ref>{Ref.regex})|runs/(?P<run>{Id(Map(), 'run').regex}))/predictions")
_NAMES = frozenset({"instances", "probabilities", "interval"})
_NO_OPTIONS = Options(probabilities=False, interval=None, member=None)


class Wire:
    """Stands before the application that Flask is."""

    def __init__(self, flask: Application, parts: Parts, door: access.Door) -> None:
        self._flask = flask
        self._parts = parts
        self._door = door
        self._runs = KeptRuns(parts.database)
        self._company = Company(_read, _tell)

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            found = _named_in(environ["PATH_INFO"])
            if found is not None:
                content = self._answer(environ, *found) if _is_plain(environ) else None
                if content is None:
                    return self._flask(environ, start)
                reply = _reply(content, access.request_id(environ))
                start(reply.status, reply.headers)
                return [content]
        try:
            return self._flask(environ, start)
        finally:
            if environ["REQUEST_METHOD"] != "GET" and environ["PATH_INFO"].startswith("/v1/runs/"):
                self._runs.forget()

    def take(self, environ: Environ, body: bytes) -> Asked | None:
        """Return what is asked where all that is needed to answer it is in memory and little work; else None."""
        found = _named_in(environ["PATH_INFO"])
        if found is None or not _is_plain(environ) or len(body) > LARGE_BYTES:
            return None
        ref, run = found
        by: dict[str, Any]
        try:
            caller = self._door.remembered(environ)
            if caller is None:
                return None
            caller.require("predict")
            if ref is not None:
                meaning = self._parts.versions.at_once(caller.tenant, ref)
                if meaning is None:
                    return None
                blob, member, by = meaning.blob, None, {"model": meaning.ref}
            else:
                known = self._runs.at_once(caller.tenant, run)
                if known is None:
                    return None
                (blob, member), by = known, {"run": run, "member": known[1]}
        except Problem:
            return None
        model = self._parts.models.at_once(blob, member)
        if model is None or not _is_little(len(body), model):
            return None
        return Asked(model, body, by, access.request_id(environ))

    def answer(self, taken: Sequence[Asked]) -> list[Reply | None]:
        """Answer what was taken, together."""
        try:
            self._company.answer_together(taken)
        except Exception:  # each is answered again in a thread, where its own error is told
            log.info("predictions are answered one by one", exc_info=True)
        return [None if asked.content is None else _reply(asked.content, asked.request_id) for asked in taken]

    def _answer(self, environ: Environ, ref: str | None, run: str | None) -> bytes | None:
        """None where Flask is to say what there is to say; the body can then be read once more."""
        try:
            caller = self._door.admit_again(environ)
            caller.require("predict")
            if ref is not None:
                meaning = self._parts.versions.get(caller.tenant, ref)
                blob, member = meaning.blob, None
                by: dict[str, Any] = {"model": meaning.ref}
            else:
                assert run is not None, "it is one or the other"
                blob, member = self._runs.get(caller.tenant, run)
                by = {"run": run, "member": member}
            model = self._parts.models.get(blob, member)
        except Exception:  # noqa: BLE001 - Flask meets it again, and tells of it
            return None
        length = int(environ["CONTENT_LENGTH"])
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = BytesIO(body)
        try:
            if len(body) != length:
                return None
            if length > LARGE_BYTES:
                return _answer_large(model, body, by)
            return self._company.answer(Asked(model, body, by))
        except Exception:  # noqa: BLE001 - as above
            return None


def _reply(content: bytes, request_id: str) -> Reply:
    told = access.told_of_every_answer(request_id)
    headers = [("Content-Type", answers.JSON), ("Content-Length", str(len(content))), *told]
    return Reply("200 OK", headers, content, None, None)


def _is_little(length: int, model: Model | MeanModel) -> bool:
    """Whether a body of so many bytes cannot ask for more than a few milliseconds: a number takes two bytes or more."""
    rows = 1 + length // (2 * max(1, len(model.inputs)))
    return rows * model.size <= _MOST_WORK


@lru_cache(maxsize=256)
def _named_in(path: str) -> tuple[str | None, str | None] | None:
    """The reference or the run that is to predict; None where the path is about something else."""
    found = _PATH.fullmatch(path)
    return None if found is None else (found["ref"], found["run"])


def _is_plain(environ: Environ) -> bool:
    length = environ.get("CONTENT_LENGTH", "")
    return (
        environ.get("CONTENT_TYPE", "").lower() in _MEDIA
        and environ.get("HTTP_ACCEPT", "") in _ACCEPTED
        and not environ.get("QUERY_STRING")
        and length.isascii()
        and length.isdigit()
        and len(length) < 8
        and 0 < int(length) <= _MOST_BYTES
        and environ.keys().isdisjoint(_UNUSUAL)
    )


def _read(asked: Asked) -> Question | None:
    """None for what is not plainly right, and for more than a slice of rows; raises what the view would."""
    inputs, most = asked.model.inputs, rows_at_once(asked.model)
    found, rows = number_rows.read(asked.body, inputs, _NAMES) or _objects(asked.body, inputs, most)
    options = _options(found) if found else _NO_OPTIONS
    if options is None or rows is None or rows.rows > most:
        return None
    if found:
        prediction.check(asked.model, options)
    return Question(asked, options, rows)


def _answer_large(model: Model | MeanModel, body: bytes, by: dict[str, Any]) -> bytes | None:
    """As the view does, a slice of the rows at a time. Raises what the view would."""
    asked = prediction.of_json(body)
    if asked.member is not None:
        return None
    prediction.check(model, asked)
    return b"".join(answering.json(model, asked.slices, asked, by))


def _objects(body: bytes, inputs: Inputs, most: int) -> tuple[dict[str, Any], Cells | Row | None]:
    """What stands beside the instances, and these; None where they are not plainly right. Raises Malformed, Invalid."""
    found = strict_json.parse_large(body)
    instances = found.pop("instances", None)
    if type(instances) is not list or not 1 <= len(instances) <= most:
        return found, None
    return found, columns_of(instances, inputs)


def _options(found: dict[str, Any]) -> Options | None:
    """What `PredictionIn` would make of it, where it is plainly right."""
    if not found.keys() <= _NAMES or not isinstance(found.get("probabilities", False), bool):
        return None
    interval = found.get("interval")
    if interval is not None and not (type(interval) is float and 0.0 < interval < 1.0):
        return None
    return Options(found.get("probabilities", False), interval, None)


def _tell(question: Question, found: Prediction) -> bytes:
    told = answering.told(found, question.asked.model.calibration, question.options)
    told.update(question.asked.by)
    return answers.encoded(told)


class NoneKept(LookupError):
    """The run has not succeeded; what it predicts by is not for long."""


class KeptRuns:
    """By what weights a run that has succeeded predicts, and as which member: looked up a few times a second.

    They are other weights once the run was extended, and none once it was deleted. This process then forgets; another
    may answer by the old ones for as long as they are remembered.
    """

    FRESH_SECONDS = 0.25
    MOST = 4_096

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str], tuple[float, str, int | None]] = {}
        self._changed_at = time.monotonic()

    def get(self, tenant: str, id: str) -> tuple[str, int | None]:
        """The blob and the member, None where several answer together. Raises NoneKept, NotFound, Unavailable."""
        place, asked_at = (tenant, id), time.monotonic()
        found = self._known.get(place)
        if found is None or found[0] <= self._changed_at or asked_at - found[0] > self.FRESH_SECONDS:
            with self._database.read() as tx:
                run = runs.get(tx, tenant, id)
            if run.status != "succeeded" or run.weights_blob is None or run.best is None:
                raise NoneKept(id)
            if len(self._known) >= self.MOST:
                self._known.clear()
            found = self._known[place] = asked_at, run.weights_blob, run.best["member"]
        return found[1], found[2]

    def at_once(self, tenant: str, id: str | None) -> tuple[str, int | None] | None:
        """Return what `get` would from memory, without asking the database; or None."""
        found = self._known.get((tenant, id or ""))
        if found is None or found[0] <= self._changed_at or time.monotonic() - found[0] > self.FRESH_SECONDS:
            return None
        return found[1], found[2]

    def forget(self) -> None:
        """After a change that this process has made itself: an answer to what was asked before counts no more."""
        self._changed_at = time.monotonic()
