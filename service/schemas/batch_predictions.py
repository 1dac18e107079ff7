"""Batch predictions in and out."""

import re
from typing import Any

from marshmallow import fields, pre_dump

from service.schemas.fields import Choice, Flag, Number, Time, WholeParameter, Worded, with_schema
from service.schemas.pages import PageQuery, page_of
from service.schemas.runs import MOST_WAIT, RunErrorOut
from service.schemas.shapes import Shown, StrictSchema
from store.batch_predictions import HELD, STATUSES
from store.models import NAME
from store.states import FINAL

_REF = rf"{NAME}(@{NAME}|:[1-9][0-9]{{0,8}})?"


class Ref(Worded, fields.String):
    """What a model's version is called by."""

    allowed = "a model's name, name@alias or name:version"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**with_schema(kwargs, pattern=f"^{_REF}$"))

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(_REF, value):
            raise self.refuse()
        return value


class BatchPredictionIn(StrictSchema):
    model = Ref(required=True)
    dataset = fields.String(required=True)
    probabilities = Flag(load_default=False)
    interval = Number(
        above=0,
        below=1,
        allow_none=True,
        load_default=None,
        metadata={"description": "How probable it is to be that the truth is within the intervals or sets"},
    )


class BatchPredictionQuery(StrictSchema):
    wait = WholeParameter(
        at_least=0,
        at_most=MOST_WAIT,
        load_default=0,
        metadata={"description": "Answer when something changes, or after so many seconds"},
    )


class BatchPredictionPageQuery(PageQuery):
    status = Choice(STATUSES)


class RowsProgressOut(Shown):
    rows = fields.Integer(
        required=True, metadata={"description": "Predicted so far; after a crash it goes on a little further back"}
    )
    total = fields.Integer(required=True)
    fraction = fields.Float(required=True)
    eta_seconds = fields.Float(required=True, allow_none=True)


class BatchPredictionOut(Shown):
    """Dumped from a store `BatchPrediction`."""

    id = fields.String(required=True)
    object = fields.Constant("batch_prediction", required=True)
    status = Choice(STATUSES, required=True)
    model = fields.String(required=True, metadata={"description": "Which version answers, as `name:version`"})
    dataset = fields.String(required=True)
    probabilities = fields.Boolean(required=True)
    interval = fields.Float(required=True, allow_none=True)
    progress = fields.Nested(RowsProgressOut, required=True)
    rows = fields.Integer(required=True, allow_none=True, metadata={"description": "Of the result, once there is one"})
    error = fields.Nested(RunErrorOut, required=True, allow_none=True)
    attempt = fields.Integer(required=True)
    created_at = Time(required=True)
    started_at = Time(required=True, allow_none=True)
    finished_at = Time(required=True, allow_none=True)

    @pre_dump
    def _fill(self, found: Any, **_: Any) -> dict[str, Any]:
        progress = found.progress
        if found.status not in HELD:  # what its worker last expected was to come, and does not
            progress = {**progress, "eta_seconds": 0.0 if found.status in FINAL else None}
        return {**vars(found), "model": f"{found.model}:{found.version}", "progress": progress}


BatchPredictionPage = page_of(BatchPredictionOut, "BatchPredictionPage")
