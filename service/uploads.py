"""A table on its way in: streamed to disk while it is counted and hashed, read, stored, and only then a dataset."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Any

from flask import Response, request
from marshmallow import ValidationError

from service import idempotency, strict_json
from service.blueprint import refuse_rest
from service.parts import parts, tenant
from service.problems import Invalid, WrongMedia
from service.schemas.datasets import COLUMN_TYPES, DatasetOut
from service.schemas.fields import Text
from store import datasets
from store.blob_ledger import Pins
from store.durable import room_needed
from store.errors import UnreadableTable
from store.inflow import CHUNK, Received, at_rest, receive
from store.tabular import ImportOptions
from store.tabular.declarations import Format

FORMATS: Mapping[str, Format] = {
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-ndjson": "ndjson",
}
_ENDINGS: Mapping[str, Format] = {".csv": "csv", ".parquet": "parquet", ".ndjson": "ndjson", ".jsonl": "ndjson"}
_DATASET = DatasetOut()
_FORM = "multipart/form-data"
_LEASE_SECONDS = 900.0  # reading a gigabyte takes minutes, and the key is this request's all that time


@dataclass(frozen=True)
class Upload:
    """What came: in which form, said to be which format, and the name it gives itself."""

    media_type: str
    format: Format
    chunks: Iterable[bytes]
    gzip: bool
    name: str | None
    path: Path | None = None  # of the file in which the body lies already, if it does


def accept(query: Mapping[str, Any]) -> Response:
    """The answer to a table sent as a raw body or as a part of a form: 201 with the dataset, or a problem."""
    options = _options(query)
    upload = _form() if request.mimetype == _FORM else _raw()
    _check_of_format(query, upload.format)
    name = query.get("name", upload.name) or "dataset"
    limit = parts().settings.max_upload_bytes
    with _received(upload, limit) as received:
        same = idempotency.fingerprint(upload.media_type, f"{upload.format} {name} {received.sha256}")
        return idempotency.answered_once(
            same, lambda: _store(received, name, upload.format, options), lease_seconds=_LEASE_SECONDS
        )


def _store(received: Received, name: str, format: Format, options: ImportOptions) -> Response:
    blobs, database = parts().blobs, parts().database
    # A folder, so that what a process leaves that dies in the middle of an import goes with it.
    with room_needed(), TemporaryDirectory(dir=blobs.scratch) as folder:
        table = Path(folder) / "table"
        try:
            imported = parts().imports.run(received.path, format, options, table)
        except UnreadableTable as error:
            if error.column in options.types and error.message.startswith("types:"):
                raise Invalid({f"types.{error.column}": error.message.removeprefix("types: ")}) from None
            raise
        pins = Pins(database, blobs)
        key = pins.put(table)
        with pins.named(key) as tx:
            dataset = datasets.insert(
                tx,
                tenant(),
                name=name,
                rows=imported.rows,
                bytes=received.bytes,
                sha256=received.sha256,
                columns=imported.columns,
                warnings=imported.warnings,
                blob=key,
            )
            location = {"Location": f"/v1/datasets/{dataset.id}"}
            return idempotency.answer(tx, _DATASET.dump(dataset), 201, location)


def _raw() -> Upload:
    format = FORMATS.get(request.mimetype)
    if format is None:
        sent = request.headers.get("Content-Type", "none")
        raise WrongMedia(f"This address takes {', '.join(FORMATS)} or {_FORM}; the Content-Type sent is {sent!r}.")
    _check_charset(request.mimetype_params)
    encoding = (request.content_encoding or "identity").lower()
    if encoding not in ("gzip", "identity"):
        raise WrongMedia(f"This address takes Content-Encoding gzip or none; {encoding!r} was sent.")
    lies_at = getattr(request.environ["wsgi.input"], "name", None)
    path = Path(lies_at) if isinstance(lies_at, str) and encoding != "gzip" else None
    return Upload(request.mimetype, format, _read(request.stream), encoding == "gzip", None, path)


@contextmanager
def _received(upload: Upload, limit: int) -> Iterator[Received]:
    if upload.path is not None:
        yield at_rest(upload.path, limit=limit)
        return
    with receive(upload.chunks, parts().blobs.scratch, limit=limit, gzip=upload.gzip) as received:
        yield received


def _form() -> Upload:
    if request.content_encoding:
        raise WrongMedia("A form takes no Content-Encoding; send the table itself as the body with gzip.")
    file = request.files.get("file")
    refuse_rest(request)
    unknown = [name for name in [*request.files, *request.form] if name not in ("file", "name")]
    if unknown:
        raise Invalid(dict.fromkeys(unknown, "unknown part; allowed: file, name"))
    if file is None or len(request.files.getlist("file")) > 1:
        raise Invalid({"file": "one part with the table, with a filename"})
    name = _name(request.form.get("name"))
    ending = PurePosixPath(file.filename or "").suffix.lower()
    format = FORMATS.get(file.mimetype) or _ENDINGS.get(ending)
    if format is None:
        raise WrongMedia(
            f"The part file is to say what it is by its Content-Type ({', '.join(FORMATS)})"
            f" or its name ({', '.join(_ENDINGS)})."
        )
    own_name = PurePosixPath(file.filename or "").stem
    return Upload(_FORM, format, _read(file.stream), gzip=False, name=name or _fitting(own_name))


def _name(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return str(Text().deserialize(given))
    except ValidationError as error:
        raise Invalid({"name": [str(message) for message in error.messages]}) from None


def _fitting(name: str) -> str | None:
    """A file's own name, if it may be a dataset's: nobody asked for it, so it is never refused."""
    try:
        return str(Text().deserialize(name))
    except ValidationError:
        return None


def _read(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _check_charset(parameters: Mapping[str, str]) -> None:
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise WrongMedia(f"Tables are read as UTF-8; the charset sent is {charset!r}.")


def _check_of_format(query: Mapping[str, Any], format: Format) -> None:
    if format != "csv":
        for option in ("header", "delimiter"):
            if option in query:
                raise Invalid({option: f"absent: it is for text/csv, and this is {format}"})


def _options(query: Mapping[str, Any]) -> ImportOptions:
    types = strict_json.parse_parameter("types", query["types"]) if "types" in query else {}
    for column, type in types.items():
        if type not in COLUMN_TYPES:
            raise Invalid({f"types.{column}": f"one of {', '.join(COLUMN_TYPES)}"})
    delimiter = query.get("delimiter")
    given: dict[str, Any] = {"types": types, "header": query.get("header"), "delimiter": delimiter}
    if "missing" in query:
        given["missing"] = tuple(query["missing"].split(","))
    return ImportOptions(**given)
