"""What may be asked of a run, field by field with type and range; what depends on recipe or data is filled in later.

The whole contract is known here. What of it is not made yet is refused later by its own path: `resolution/unmade.py`.
"""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema

from learning.specs import INITIALIZATIONS, OPTIMIZERS, SCHEDULES, SWEEP_PATHS
from service.schemas.fields import TEXT, Choice, ColumnName, Flag, Number, Text, Time, Whole
from service.schemas.networks import NetworkShape
from service.schemas.shapes import Either, Items, Labels, Object, StrictSchema

TASKS = ("regression", "binary", "multiclass", "multilabel")
LOSSES = ("squared_error", "absolute_error", "huber", "binary_cross_entropy", "cross_entropy", "poisson")
SCALINGS = ("standard", "robust", "none")

MOST_EPOCHS = 100_000
MOST_SEED = (1 << 63) - 1
MOST_PRIORITY = 100
MOST_SECONDS = 366 * 24 * 3600
MOST_COLUMNS = 10_000


_OF_PRIORITY = {"description": "Of the runs that wait, the one of highest priority is trained first; 0 if absent"}


class Optimizer(StrictSchema):
    name = Choice(OPTIMIZERS, load_default="adam")
    learning_rate = Number(above=0, load_default=1e-3)
    momentum = Number(at_least=0, below=1, load_default=0.0)
    nesterov = Flag(load_default=False)
    betas = Items(
        Number(at_least=0, below=1), shortest=2, longest=2, noun="numbers in [0, 1)", load_default=lambda: [0.9, 0.999]
    )
    weight_decay = Number(at_least=0, load_default=0.0)
    clip_norm = Number(above=0, allow_none=True, load_default=None)


def _about_schedules() -> str:
    told = {name: ", ".join(f"{each} {value:g}" for each, value in own.items()) for name, own in SCHEDULES.items()}
    return "With their settings and what these are if absent: " + "; ".join(
        f"{n} ({t or 'none'})" for n, t in told.items()
    )


class Schedule(StrictSchema):
    """The course of the learning rate, a factor on it; each schedule has settings of its own, and takes no other."""

    name = Choice(tuple(SCHEDULES), load_default="constant", metadata={"description": _about_schedules()})
    warmup_epochs = Whole(
        at_least=0,
        at_most=MOST_EPOCHS,
        load_default=0,
        metadata={"description": "The factor rises from 0 to 1, step by step, before the schedule begins"},
    )
    every = Whole(at_least=1, at_most=MOST_EPOCHS, metadata={"description": "step: in epochs"})
    factor = Number(
        above=0, at_most=1, metadata={"description": "step, exponential, plateau: what each turn makes of it"}
    )
    floor = Number(at_least=0, at_most=1, metadata={"description": "cosine: the factor it comes down to"})
    rise = Number(above=0, below=1, metadata={"description": "one_cycle: the share of all steps until the peak"})
    start = Number(above=0, at_most=1, metadata={"description": "one_cycle: the factor at the first step"})
    end = Number(at_least=0, at_most=1, metadata={"description": "one_cycle: the factor at the last step"})
    patience = Whole(
        at_least=0,
        at_most=MOST_EPOCHS,
        metadata={"description": "plateau: epochs without a lower validation loss that are borne"},
    )
    threshold = Number(
        at_least=0,
        below=1,
        metadata={"description": "plateau: the share by which the loss must fall to count as lower"},
    )

    @validates_schema
    def _has_its_own(self, data: dict[str, Any], **_: Any) -> None:
        own = SCHEDULES[data["name"]]
        said = f"absent: {data['name']} has {' and '.join(own) or 'no settings'}"
        if wrong := {name: [said] for name in data if name not in ("name", "warmup_epochs", *own)}:
            raise ValidationError(wrong)
        if data["name"] == "one_cycle" and data["warmup_epochs"]:
            raise ValidationError("0: one_cycle begins with a rise of its own", "warmup_epochs")

    @post_load
    def _filled(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**{name: data[name] for name in ("name", "warmup_epochs")}, **SCHEDULES[data["name"]], **data}


class Validation(StrictSchema):
    """A fraction, folds, one of the folds, or a column that says who is where."""

    fraction = Number(at_least=0, below=1)
    folds = Whole(
        at_least=2,
        at_most=1_000,
        metadata={"description": "Each setting is trained so many times, each time validated on another part"},
    )
    fold = Whole(at_least=0, at_most=999, metadata={"description": "With folds: the one part to validate on"})
    column = ColumnName(
        metadata={"description": "A categorical column that says train, validation or test of every row"}
    )

    @validates_schema
    def _is_one_form(self, data: dict[str, Any], **_: Any) -> None:
        if len({"fraction", "folds", "column"} & data.keys()) > 1 or ("fold" in data and "folds" not in data):
            raise ValidationError(
                'one of {"fraction": 0.2}, {"folds": 5}, {"folds": 5, "fold": 2} and {"column": "split"}'
            )
        if "fold" in data and data["fold"] >= data["folds"]:
            raise ValidationError(f"a fold from 0 to {data['folds'] - 1}", "fold")


class Test(StrictSchema):
    fraction = Number(at_least=0, below=1, load_default=0.0)


class EarlyStopping(StrictSchema):
    patience = Whole(at_least=1, at_most=MOST_EPOCHS, load_default=20)
    min_delta = Number(at_least=0, load_default=0.0)


def _batch_size(**kwargs: Any) -> Either:
    forms: dict[Any, Any] = {str: Choice(["full"]), (int, float): Whole(at_least=1, at_most=2**31 - 1)}
    return Either(
        forms,
        allowed='a whole number of at least 1, or "full"',
        metadata={"oneOf": [{"type": "integer", "minimum": 1, "maximum": 2**31 - 1}, {"const": "full"}]},
        **kwargs,
    )


class RunIn(StrictSchema):
    dataset = Text(required=True)
    target = Either(
        {str: ColumnName(), list: Items(ColumnName(), shortest=1, longest=1_000, noun="column names")},
        allowed="the name of a column, or a list of them",
        required=True,
        metadata={
            "oneOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1_000},
            ],
            "example": "species",
        },
    )
    features = Items(ColumnName(), shortest=1, longest=MOST_COLUMNS, noun="column names")
    task = Choice(("auto", *TASKS))
    recipe = Text()
    network = Either(
        {str: Text(), dict: Object(NetworkShape)},
        allowed='the id of a network, or {"layers": […]}',
        metadata={
            "oneOf": [
                {"type": "string", "minLength": 1, "maxLength": 200, "pattern": TEXT},
                {"$ref": "#/components/schemas/NetworkShape"},
            ]
        },
    )
    initialization = Choice(("auto", *INITIALIZATIONS))
    scaling = Choice(SCALINGS)
    label_smoothing = Number(at_least=0, below=1)
    loss = Choice(("auto", *LOSSES))
    optimizer = Object(Optimizer)
    schedule = Object(Schedule)
    epochs = Whole(at_least=1, at_most=MOST_EPOCHS)
    batch_size = _batch_size()
    validation = Object(Validation, allow_none=True)
    test = Object(Test)
    early_stopping = Object(EarlyStopping, allow_none=True)
    class_weights = Either(
        {
            str: Choice(["balanced"]),
            dict: fields.Dict(keys=fields.String(), values=Number(at_least=0)),
        },
        allowed='"balanced", or an object of class and weight',
        allow_none=True,
        metadata={
            "oneOf": [
                {"type": "null"},
                {"const": "balanced"},
                {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
            ]
        },
    )
    sample_weight = ColumnName(allow_none=True)
    sweep = Either(
        {dict: fields.Raw()},
        allowed='an object of paths and lists, like {"optimizer.learning_rate": [1e-4, 1e-3], "seed": [0, 1, 2]}',
        metadata={
            "description": "The members are the product of the values; what may vary: " + ", ".join(SWEEP_PATHS),
            "type": "object",
            "additionalProperties": {"type": "array", "minItems": 1},
            "example": {"optimizer.learning_rate": [1e-4, 1e-3], "seed": [0, 1, 2]},
        },
    )
    members = Either(
        {list: fields.Raw()},
        allowed='a list of objects, like [{"seed": 1, "optimizer.learning_rate": 0.01}]',
        metadata={
            "description": "Member by member what a sweep may vary, for what is no product",
            "type": "array",
            "items": {"type": "object"},
        },
    )
    ensemble = Flag(metadata={"description": "The run predicts as the mean of its members, which are two or more"})
    seed = Whole(at_least=0, at_most=MOST_SEED)
    split_seed = Whole(at_least=0, at_most=MOST_SEED)
    device = Choice(("auto", "cpu", "cuda"))
    precision = Choice(("float32", "bfloat16"))
    max_seconds = Whole(
        at_least=1,
        at_most=MOST_SECONDS,
        metadata={
            "description": "How long it may train, pauses not counted: after the epoch in which this passes it ends"
            " with the best weights so far and the warning time_limit; it fails if no epoch has ended"
        },
    )
    priority = Whole(at_least=-MOST_PRIORITY, at_most=MOST_PRIORITY, metadata=_OF_PRIORITY)
    not_before = Time(allow_none=True)
    name = Text(allow_none=True)  # as in the resolved spec, which may be sent again as it is
    metadata = Labels()


class RunChange(StrictSchema):
    name = Text()
    metadata = Labels()
    priority = Whole(at_least=-MOST_PRIORITY, at_most=MOST_PRIORITY, metadata=_OF_PRIORITY)
