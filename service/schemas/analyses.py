"""What is found out about a run after it ended. A figure that is undefined is null; JSON knows no NaN."""

from typing import Any

from marshmallow import fields

from service.schemas.fields import Choice
from service.schemas.shapes import Shown, StrictSchema

_LABEL = {"type": ["string", "number", "boolean", "null"]}


def _label(description: str) -> fields.Raw:
    return fields.Raw(data_key="class", required=True, metadata={**_LABEL, "description": description})


def _numbers(description: str | None = None) -> fields.List[Any]:
    told: dict[str, Any] = {"description": description} if description else {}
    return fields.List(fields.Float(allow_none=True), required=True, metadata=told)


def _metrics(description: str, **options: Any) -> fields.Dict:
    values = fields.Float(allow_none=True)
    return fields.Dict(keys=fields.String(), values=values, metadata={"description": description}, **options)


class AnalysisQuery(StrictSchema):
    split = Choice(("test", "validation"), metadata={"description": "Default: test if it has rows, else validation"})


class PendingOut(Shown):
    object = fields.String(required=True)
    run = fields.String(required=True)
    split = fields.String(required=True)
    status = Choice(("pending", "running"), required=True)


class AnalysisOut(Shown):
    run = fields.String(required=True)
    split = fields.String(required=True)
    rows = fields.Integer(
        required=True,
        metadata={"description": "Rows looked at. With folds, `validation` is those of all, each told by its own fold"},
    )


class ClassReportOut(Shown):
    label = _label("A class, or the name of a target of yes and no")
    precision = fields.Float(required=True)
    recall = fields.Float(required=True)
    f1 = fields.Float(required=True)
    support = fields.Integer(required=True, metadata={"description": "Rows of which it is true"})


class RocOut(Shown):
    """Of one class against the others: at each threshold, from the highest."""

    label = _label("The class that counts as positive")
    auc = fields.Float(required=True)
    fpr = _numbers("The share of the others that are taken for it")
    tpr = _numbers("The share of its rows that are found")
    threshold = _numbers("The least probability that counts; null at the first point, where nothing does")


class PrecisionRecallOut(Shown):
    label = _label("The class that counts as positive")
    average_precision = fields.Float(required=True)
    recall = _numbers()
    precision = _numbers()
    threshold = _numbers()


class BinOut(Shown):
    start = fields.Float(required=True, data_key="from")
    to = fields.Float(required=True)
    count = fields.Integer(required=True)
    predicted = fields.Float(required=True, allow_none=True, metadata={"description": "The mean probability told"})
    observed = fields.Float(required=True, allow_none=True, metadata={"description": "How often it was so"})


class CalibrationOut(Shown):
    label = _label("Null: of whatever class was the likeliest")
    expected_error = fields.Float(required=True)
    bins = fields.List(fields.Nested(BinOut), required=True)


class TargetReportOut(Shown):
    target = fields.String(required=True)
    rmse = fields.Float(required=True, allow_none=True)
    mae = fields.Float(required=True, allow_none=True)
    r2 = fields.Float(allow_none=True)


class ResidualsOut(Shown):
    """Of truth - prediction."""

    target = fields.String(required=True)
    levels = _numbers()
    values = _numbers()


class EvaluationOut(AnalysisOut):
    object = fields.Constant("evaluation", required=True)
    metrics = _metrics("Those of the run's own `metrics`, but the loss", required=True)
    baseline = _metrics("Of the best answer that looks at no feature", required=True)
    linear = _metrics(
        "Of the same network without hidden layers, trained as it was; null where its loss became infinite",
        required=True,
        allow_none=True,
    )
    classes = fields.List(fields.Raw(metadata=_LABEL))
    per_class = fields.List(fields.Nested(ClassReportOut))
    confusion_classes = fields.List(
        fields.Raw(metadata=_LABEL),
        metadata={"description": "Of many classes the commonest; a last line is all others"},
    )
    confusion_matrix = fields.Raw(
        metadata={"type": "array", "items": {"type": "array"}, "description": "Rows are true, columns predicted"}
    )
    roc = fields.List(fields.Nested(RocOut))
    precision_recall = fields.List(fields.Nested(PrecisionRecallOut))
    calibration = fields.List(fields.Nested(CalibrationOut))
    per_target = fields.List(fields.Nested(TargetReportOut))
    residual_quantiles = fields.List(fields.Nested(ResidualsOut))


class FeatureImportanceOut(Shown):
    name = fields.String(required=True)
    mean = fields.Float(required=True, allow_none=True, metadata={"description": "By how much the metric grows"})
    std = fields.Float(required=True, allow_none=True, metadata={"description": "Between one shuffling and another"})


class ImportanceOut(AnalysisOut):
    object = fields.Constant("importance", required=True)
    metric = Choice(("log_loss", "rmse"), required=True)
    baseline = fields.Float(
        required=True, allow_none=True, metadata={"description": "The metric with every feature as it is"}
    )
    features = fields.List(
        fields.Nested(FeatureImportanceOut),
        required=True,
        metadata={"description": "The one that matters most first"},
    )
