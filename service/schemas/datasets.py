"""Datasets in and out."""

from marshmallow import fields

from service.schemas.fields import Delimiter, FlagParameter, Text, Time, WholeParameter
from service.schemas.pages import DEFAULT_LIMIT, MOST_LIMIT, page_of
from service.schemas.shapes import Shown, StrictSchema

COLUMN_TYPES = ("numeric", "categorical", "boolean", "datetime", "text")
DEFAULT_MISSING = "NA,N/A,NaN,null"


class DatasetQuery(StrictSchema):
    """How a file is to be read."""

    name = Text()
    types = Text(
        longest=60_000,
        metadata={"description": "A JSON object of columns and their types", "example": '{"zip":"categorical"}'},
    )
    missing = Text(
        shortest=0,
        longest=1_000,
        metadata={
            "description": f"Texts that mean missing, with commas between; an empty cell always does."
            f" Default: {DEFAULT_MISSING}",
            "example": "NA,?",
        },
    )
    header = FlagParameter(metadata={"description": "Whether the first line of a CSV names the columns"})
    delimiter = Delimiter(metadata={"description": "What stands between the cells of a CSV", "example": ";"})


class DatasetChange(StrictSchema):
    name = Text(required=True)


class RowsQuery(StrictSchema):
    limit = WholeParameter(at_least=1, at_most=MOST_LIMIT, load_default=DEFAULT_LIMIT)
    offset = WholeParameter(at_least=0, at_most=10**12, load_default=0)


class CategoryOut(Shown):
    value = fields.Raw(required=True, metadata={"type": ["string", "boolean", "number"]})
    count = fields.Integer(required=True)


class ColumnOut(Shown):
    name = fields.String(required=True)
    type = fields.String(required=True, metadata={"enum": list(COLUMN_TYPES)})
    missing = fields.Integer(required=True)
    distinct = fields.Integer(required=True)
    min = fields.Raw(metadata={"type": ["number", "string", "null"]})
    max = fields.Raw(metadata={"type": ["number", "string", "null"]})
    mean = fields.Float(allow_none=True)
    std = fields.Float(allow_none=True)
    integer = fields.Boolean(metadata={"description": "Of a numeric column: whether all its numbers are whole"})
    categories = fields.List(
        fields.Nested(CategoryOut),
        metadata={"description": "The commonest first, at most 100 and 16 KiB of them, 1 KiB in lists of datasets"},
    )
    categories_cut = fields.Boolean(metadata={"description": "Whether the column has categories that are not listed"})
    text_bytes = fields.Integer(
        metadata={"description": "Of a categorical column: how long its different texts are together, in UTF-8"}
    )


class WarningOut(Shown):
    column = fields.String(required=True, allow_none=True)
    code = fields.String(required=True)
    message = fields.String(required=True)


class DatasetErrorOut(Shown):
    code = fields.String(required=True)
    line = fields.Integer(allow_none=True, required=True)
    column = fields.String(allow_none=True, required=True)
    message = fields.String(required=True)


class DatasetOut(Shown):
    id = fields.String(required=True)
    object = fields.Constant("dataset", required=True)
    name = fields.String(required=True)
    status = fields.String(required=True, metadata={"enum": ["ready", "processing", "failed"]})
    error = fields.Nested(DatasetErrorOut, allow_none=True, required=True)
    rows = fields.Integer(required=True, allow_none=True)
    bytes = fields.Integer(required=True, allow_none=True)
    sha256 = fields.String(
        required=True, allow_none=True, metadata={"description": "Of the file that was sent, inflated"}
    )
    columns = fields.Raw(
        required=True,
        metadata={"type": "array", "items": {"$ref": "#/components/schemas/Column"}},
    )
    warnings = fields.Raw(required=True, metadata={"type": "array", "items": {"$ref": "#/components/schemas/Warning"}})
    created_at = Time(required=True)


class RowsOut(Shown):
    columns = fields.List(fields.String(), required=True)
    rows = fields.List(
        fields.List(fields.Raw(metadata={"type": ["number", "string", "boolean", "null"]})),
        required=True,
        metadata={"description": "Fewer than `limit` where their cells would take more than 8 MiB; at least one"},
    )
    has_more = fields.Boolean(required=True)
    next_offset = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The `offset` of the row after these; null where there is none"},
    )


DatasetPage = page_of(DatasetOut, "DatasetPage")
