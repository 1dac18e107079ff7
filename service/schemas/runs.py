"""Runs and what belongs to one, as they are shown: every key of the contract is there, whatever the status."""

from typing import Any

from marshmallow import fields, pre_dump

from service.schemas.fields import Choice, FlagParameter, Text, Time, Whole, WholeParameter
from service.schemas.pages import PageQuery, page_of
from service.schemas.run_spec import MOST_EPOCHS
from service.schemas.shapes import Shown, StrictSchema
from store.states import FINAL, HELD, STATUSES

MOST_WAIT = 60


class RunCreateQuery(StrictSchema):
    dry_run = FlagParameter(load_default=False)


class RunQuery(StrictSchema):
    wait = WholeParameter(
        at_least=0,
        at_most=MOST_WAIT,
        load_default=0,
        metadata={"description": "Answer when something changes, or after so many seconds"},
    )


class RunPageQuery(PageQuery):
    status = Choice(STATUSES)
    dataset = Text()


class ExtendIn(StrictSchema):
    to_epochs = Whole(
        at_least=1,
        at_most=MOST_EPOCHS,
        required=True,
        metadata={"description": "How many epochs it is to have in all, those that it has finished included"},
    )


class BestOut(Shown):
    """Of the member that is kept; of an ensemble, or of all folds of a setting, there are several: `members`."""

    member = fields.Integer(required=True, allow_none=True)
    members = fields.List(fields.Integer(), metadata={"description": "Where `member` is null: those that predict"})
    epoch = fields.Integer(required=True, allow_none=True)
    metric = fields.String(required=True)
    value = fields.Float(required=True, allow_none=True)


class MemberBestOut(Shown):
    epoch = fields.Integer(required=True)
    metric = fields.String(required=True)
    value = fields.Float(required=True, allow_none=True)


class MemberOut(Shown):
    index = fields.Integer(required=True)
    fold = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The part of the rows that it is validated on, where there are folds"},
    )
    overrides = fields.Dict(
        required=True,
        metadata={
            "description": "Its own settings by path, and what follows from them: another schedule.name brings that "
            "schedule's settings, optimizer.name gd a batch_size of full",
            "example": {"optimizer.learning_rate": 0.01, "seed": 1},
        },
    )
    status = Choice(STATUSES, required=True)
    epoch = fields.Integer(required=True)
    best = fields.Nested(MemberBestOut, required=True, allow_none=True)
    last = fields.Dict(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True)
    weights_sha256 = fields.String(required=True, allow_none=True)


_OF_FOLDS = "With folds: of the first, or of the one that is asked for; the others have at most one row more or less"


class RowCountsOut(Shown):
    train = fields.Integer(required=True, metadata={"description": _OF_FOLDS})
    validation = fields.Integer(required=True, metadata={"description": _OF_FOLDS})
    test = fields.Integer(required=True)
    dropped = fields.Integer(required=True)


class ProgressOut(Shown):
    epoch = fields.Integer(required=True)
    epochs = fields.Integer(required=True)
    fraction = fields.Float(required=True, metadata={"description": "Of all epochs of all members"})
    eta_seconds = fields.Float(required=True, allow_none=True)


class RunErrorOut(Shown):
    code = fields.String(required=True)
    message = fields.String(required=True)


class ReplayOut(Shown):
    of = fields.String(
        required=True, allow_none=True, metadata={"description": "The run of the receipt, if that names it"}
    )
    identical = fields.Boolean(
        required=True,
        allow_none=True,
        metadata={"description": "Whether it has the receipt's weights_sha256; null unless it has succeeded"},
    )


class RunOut(Shown):
    """Dumped from a store `Run` with its `queue_position` and the `members` to show."""

    id = fields.String(required=True)
    object = fields.Constant("run", required=True)
    status = Choice(STATUSES, required=True)
    dataset = fields.String(required=True)
    target = fields.Raw(
        required=True,
        attribute="spec.target",
        metadata={"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    )
    features = fields.List(fields.String(), required=True, attribute="spec.features")
    task = fields.String(required=True)
    spec = fields.Dict(required=True, metadata={"description": "Every field of the request, resolved"})
    warnings = fields.Raw(required=True, metadata={"type": "array", "items": {"$ref": "#/components/schemas/Warning"}})
    rows = fields.Nested(RowCountsOut, required=True)
    created_at = Time(required=True)
    started_at = Time(required=True, allow_none=True)
    finished_at = Time(required=True, allow_none=True)
    attempt = fields.Integer(required=True)
    queue_position = fields.Integer(required=True, allow_none=True)
    device = fields.String(required=True, allow_none=True)
    progress = fields.Nested(ProgressOut, required=True)
    metrics = fields.Dict(
        required=True,
        metadata={
            "description": "At the best epoch of the best member, by split; {} before the first epoch. With folds each "
            "is the mean of the best setting's folds, and validation_std is the deviation of what they have in "
            "validation. Of an ensemble they are the ensemble's own",
            "example": {"train": {"loss": 0.12}, "validation": {"loss": 0.11, "accuracy": 0.97}},
        },
    )
    best = fields.Nested(BestOut, required=True, allow_none=True)
    members = fields.List(fields.Nested(MemberOut), required=True)
    error = fields.Nested(RunErrorOut, required=True, allow_none=True)
    weights_sha256 = fields.String(required=True, allow_none=True)
    replay = fields.Nested(ReplayOut, required=True, allow_none=True)
    name = fields.String(required=True, allow_none=True)
    metadata = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    priority = fields.Integer(required=True)

    @pre_dump
    def _fill(self, run: dict[str, Any], **_: Any) -> dict[str, Any]:
        progress = run["progress"]
        if progress is None:
            progress = {"epoch": 0, "epochs": run["spec"]["epochs"], "fraction": 0.0, "eta_seconds": None}
        elif run["status"] not in HELD:  # what its worker last expected was to come, and does not
            progress = {**progress, "eta_seconds": 0.0 if run["status"] in FINAL else None}
        return {**run, "progress": progress, "replay": _compared(run)}


def _compared(run: dict[str, Any]) -> dict[str, Any] | None:
    """With its verdict, which stays what it was when a run that repeated another one is extended."""
    asked = run["replay"]
    if asked is None:
        return None
    identical = asked["weights_sha256"] == run["weights_sha256"] if run["status"] == "succeeded" else None
    return {"identical": identical, **asked}


class DryRunOut(Shown):
    object = fields.Constant("dry_run", required=True)
    spec = fields.Dict(required=True)
    task = fields.String(required=True)
    rows = fields.Nested(RowCountsOut, required=True)
    members = fields.Integer(required=True, metadata={"description": "How many networks would be trained"})
    memory_bytes = fields.Integer(required=True, metadata={"description": "What the run is estimated to need"})
    warnings = fields.Raw(required=True, metadata={"type": "array", "items": {"$ref": "#/components/schemas/Warning"}})


RunPage = page_of(RunOut, "RunPage")
MemberPage = page_of(MemberOut, "MemberPage")
