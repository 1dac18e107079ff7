"""An inference request of the Open Inference Protocol v2, as a model's rows, and its answer.

Each feature is an input [N] or [N, 1]: numbers as any INT, UINT or FP, yes and no as BOOL, categories and times as
BYTES; one without an input is missing. A model of numbers alone takes them also as one input [N, F] of any name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from flask import Request, Response
from marshmallow import ValidationError

from learning.columns import Table
from learning.model import MeanModel, Model, Prediction
from learning.targets import Target
from service.answers import JSON
from service.blueprint import require_media
from service.json_pieces import Path
from service.problems import Invalid, Malformed, flatten
from service.schemas.inference import InferenceIn
from service.schemas.predictions import MOST_INSTANCES
from service.serving import answering, tensors
from service.serving.answering import listed
from service.serving.prediction import parsed, read_large_body
from service.serving.slices import MOST_CELLS, Rows, check_cells, sliced
from service.serving.tables import Input, check_names, table_of
from service.serving.tensors import Tensor

HEADER = "Inference-Header-Content-Length"
BINARY = "application/octet-stream"

_SCHEMA = InferenceIn()
_STREAMED: Mapping[Path, int] = {("inputs", "*", "data"): MOST_CELLS}
_OF_FEATURES = {"numeric": "FP64", "boolean": "BOOL"}  # of the others BYTES


@dataclass(frozen=True)
class Asked:
    """`outputs` maps each output that is wanted to whether it is in binary; None: all of them, as `binary` says."""

    id: str | None
    inputs: Sequence[Tensor]
    outputs: Mapping[str, bool] | None
    binary: bool


def read(request: Request) -> Asked:
    """Raises WrongMedia, Malformed, Invalid, and 413. Triton's own client says no Content-Type."""
    body = read_large_body(request)
    if request.mimetype or request.content_encoding:
        require_media(request, JSON, BINARY)
    said, rest = _parted(body, request.headers.get(HEADER))
    try:
        found: dict[str, Any] = _SCHEMA.load(parsed(said, _STREAMED))
    except ValidationError as error:
        raise Invalid(flatten(error.messages)) from None
    inputs: list[Tensor] = []
    for place, each in enumerate(found["inputs"]):
        read_one, rest = _input(each, f"inputs.{place}", rest)
        inputs.append(read_one)
    if rest:
        raise Invalid({"inputs": f"no {len(rest)} bytes more than each binary_data_size says"})
    binary = found["parameters"].get("binary_data_output", False)
    outputs = {each["name"]: each["parameters"].get("binary_data", binary) for each in found.get("outputs", ())}
    return Asked(found.get("id"), inputs, outputs or None, binary)


def _parted(body: bytes, length: str | None) -> tuple[bytes, memoryview]:
    """The JSON, and what comes after it."""
    if length is None:
        said, rest = body, memoryview(b"")
    elif re.fullmatch(r"[0-9]{1,18}", length) and int(length) <= len(body):
        said, rest = body[: int(length)], memoryview(body)[int(length) :]
    else:
        raise Malformed(f"{HEADER} is to be a whole number from 0 to {len(body)}, the length of the body.")
    if not said:
        raise Malformed("The body is empty; it must be a JSON object.")
    return said, rest


def _input(found: Mapping[str, Any], at: str, rest: memoryview) -> tuple[Tensor, memoryview]:
    name, datatype, shape = found["name"], found["datatype"], tuple(found["shape"])
    size = found["parameters"].get("binary_data_size")
    if (size is None) != ("data" in found):
        raise Invalid({f"{at}.data": "values, or else binary_data_size in the parameters"})
    if size is None:
        return tensors.of_json(name, datatype, shape, found["data"], f"{at}.data"), rest
    if size > len(rest):
        raise Invalid({f"{at}.parameters.binary_data_size": f"at most the {len(rest)} bytes that are left"})
    return tensors.of_bytes(name, datatype, shape, rest[:size], f"{at}.data"), rest[size:]


def slices(given: Sequence[Tensor], inputs: Sequence[Input], size: int) -> Iterator[Rows]:
    """At most `size` rows at a time. Raises Invalid for inputs that do not fit the features."""
    return sliced(table(given, inputs), size)


def table(given: Sequence[Tensor], inputs: Sequence[Input]) -> Table:
    """Raises Invalid for inputs that do not fit the features."""
    names = [each["name"] for each in inputs]
    first = given[0]
    rows = first.shape[0] if first.shape else 0
    if not 1 <= rows <= MOST_INSTANCES:
        raise Invalid({"inputs.0.shape": f"1 to {MOST_INSTANCES} rows first"})
    check_cells(rows, len(inputs), "inputs.0.shape")
    if len(given) == 1 and len(first.shape) == 2 and first.name not in names:
        if not first.is_numeric or any(each["type"] != "numeric" for each in inputs) or first.shape[1] != len(names):
            allowed = f"an input for each feature, {', '.join(names)}; or one [N, {len(names)}] if all are numeric"
            raise Invalid({"inputs.0": allowed})
        return table_of(dict(zip(names, first.columns(), strict=True)), inputs, rows)
    check_names([each.name for each in given], inputs, "inputs")
    for place, each in enumerate(given):
        if each.shape not in ((rows,), (rows, 1)):
            raise Invalid({f"inputs.{place}.shape": f"[{rows}] or [{rows}, 1], with as many rows as the first input"})
    return table_of({each.name: each.column() for each in given}, inputs, rows)


def told_inputs(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    return [
        {"name": each["name"], "datatype": _OF_FEATURES.get(each["type"], "BYTES"), "shape": [-1]} for each in inputs
    ]


def told_outputs(target: Target) -> list[dict[str, Any]]:
    """Metadata of `predictions`, and of `probabilities` with the classes that its columns stand for."""
    wide = [len(target.names)] if target.listed else []
    found: list[dict[str, Any]] = [{"name": "predictions", "datatype": _datatype(target), "shape": [-1, *wide]}]
    if target.outcomes is not None:
        columns = {"shape": [-1, len(target.outcomes)], "classes": list(target.outcomes)}
        found.append({"name": "probabilities", "datatype": "FP64", **columns})
    return found


def _datatype(target: Target) -> str:
    if target.task == "regression":
        return "FP64"
    kinds = {bool} if target.classes is None else set(map(type, target.classes))
    if kinds == {bool}:
        return "BOOL"
    return "INT64" if kinds == {int} else "FP64" if kinds <= {int, float} else "BYTES"


def respond(model: Model | MeanModel, asked: Asked, name: str, version: int) -> Response:
    """Raises Invalid for an output that the model has not."""
    described = {each["name"]: each for each in told_outputs(model.target)}
    wanted = dict.fromkeys(described, asked.binary) if asked.outputs is None else asked.outputs
    unknown = [each for each in wanted if each not in described]
    if unknown:
        raise Invalid({"outputs": f"of {', '.join(described)}; there is no {unknown[0]}"})
    pieces: dict[str, list[bytes]] = {name: [] for name in wanted}
    rows = 0
    bytes_left = answering.MOST_BYTES
    with closing(answering.predictions(model, partial(slices, asked.inputs))) as predictions:
        for prediction in predictions:
            rows += len(prediction.outputs)
            for each, binary in wanted.items():
                values = _values(prediction, each)
                piece = tensors.written(values, described[each]["datatype"]) if binary else listed(_flat(values))
                pieces[each].append(piece)
                bytes_left -= len(piece)
            answering.check_size(bytes_left)
    outputs: list[bytes] = []
    rest: list[bytes] = []
    for each, binary in wanted.items():
        shape = [rows, *described[each]["shape"][1:]]
        output: dict[str, Any] = {"name": each, "datatype": described[each]["datatype"], "shape": shape}
        if binary:
            rest += pieces[each]
            output["parameters"] = {"binary_data_size": sum(map(len, pieces[each]))}
            outputs.append(orjson.dumps(output))
        else:
            outputs.append(orjson.dumps(output)[:-1] + b',"data":[' + b",".join(pieces[each]) + b"]}")
    head = {"model_name": name, "model_version": str(version)} | ({} if asked.id is None else {"id": asked.id})
    said = orjson.dumps(head)[:-1] + b',"outputs":[' + b",".join(outputs) + b"]}"
    if not rest:
        return Response(said, content_type=JSON)
    return Response([said, *rest], content_type=BINARY, headers={HEADER: str(len(said))})


def _values(prediction: Prediction, output: str) -> Any:
    return prediction.predictions() if output == "predictions" else prediction.probabilities().numpy()


def _flat(values: Any) -> Any:
    """In row-major order."""
    if isinstance(values, list):
        return [each for row in values for each in row] if isinstance(values[0], list) else values
    return values.reshape(-1)
