"""Making a run again from its receipt, here or on another installation that has the same file as a dataset."""

from collections.abc import Mapping
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import orjson
import torch
from flask import Response, request
from flask.views import MethodView
from marshmallow import ValidationError

from learning.specs import members_of
from service import idempotency
from service.api.runs import queued
from service.blueprint import Resource, read_json
from service.openapi import IDEMPOTENT
from service.parts import parts, tenant
from service.problems import Clash, Invalid, flatten
from service.resolution.spec import Resolved, resolve
from service.schemas.replays import ReceiptIn
from service.schemas.runs import RunOut
from store import datasets
from store.datasets import Dataset

resource = Resource("replays", __name__, url_prefix="/v1/replays", description="Runs made again from their receipts")

MOST_BYTES = 4 << 20  # a spec names every feature once it is resolved, and the layers of every network

_RECEIPT = ReceiptIn()
_REF = {"$ref": "#/components/schemas/ReceiptIn"}
_WRAPPED = {"type": "object", "required": ["receipt"], "properties": {"receipt": _REF}, "additionalProperties": False}
_BODY = {
    "required": True,
    "description": "The receipt as it was answered, or an object that has it as its `receipt`.",
    "content": {"application/json": {"schema": {"oneOf": [_REF, _WRAPPED]}}},
}
_LIBRARIES = ("learnd", "torch")  # whose versions may change the bits
_DEVICE = "cpu"
_MOVED = " then "  # between the classes of exactness of a run that was trained in more than one


@resource.route("")
class Replays(MethodView):
    @resource.response(202, RunOut, headers={"Location": {"schema": {"type": "string"}}})
    @resource.doc(requestBody=_BODY)
    @resource.header(IDEMPOTENT)
    def post(self) -> Response:
        """Make a run again from its receipt: once it has succeeded, its `replay` says whether it is identical"""
        return _replay()


@idempotency.once
def _replay() -> Response:
    body = read_json(request)
    at = "receipt." if body.keys() == {"receipt"} else ""
    try:
        return _queued(body["receipt"] if at else body)
    except Invalid as error:
        if not at:
            raise
        told = {(at + path).rstrip("."): messages for path, messages in error.errors.items()}
        raise Invalid(told, error.detail) from None


def _queued(sent: Any) -> Response:
    receipt = _read(sent)
    with parts().database.read() as tx:
        dataset = datasets.of_file(tx, tenant(), receipt["dataset_sha256"], rather=receipt["spec"]["dataset"])
    if dataset is None:
        raise Clash(
            f"There is no dataset here of the file with the sha256 {receipt['dataset_sha256']}: send it first.",
            code="dataset_missing",
        )
    resolved = _resolved(receipt, sent["spec"], dataset)
    epochs = max(member.epochs for member in members_of(resolved.spec))
    receipt.setdefault("epochs", epochs)
    _check(receipt, resolved.spec, epochs)
    resolved.warnings.extend(_differences(receipt))
    return queued(
        resolved,
        not_before=receipt["spec"].get("not_before"),
        replay={
            "of": receipt.get("run"),
            "weights_sha256": receipt["weights_sha256"],
            "epochs": receipt["epochs"],
        },
        legs=receipt.get("legs", []),
    )


def _read(sent: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = _RECEIPT.load(sent)
    except ValidationError as error:
        raise Invalid(flatten(error.messages)) from None
    return found


def _resolved(receipt: Mapping[str, Any], sent: Mapping[str, Any], dataset: Dataset) -> Resolved:
    """The spec resolved again, as if it were new; a resolved spec resolves to itself, but for its dataset."""
    asked = {**receipt["spec"], "dataset": dataset.id}
    try:
        resolved = resolve(asked, dataset, {}, parts().targets, parts().settings)
    except Invalid as error:
        errors = {f"spec.{path}": messages for path, messages in error.errors.items()}
        path, messages = next(iter(errors.items()))
        told = f"{path}: {messages[0]}. {dataset.id} is the newest dataset made of the receipt's file;"
        raise Invalid(errors, f"{told} it may have been read with other options.") from None
    same = {**resolved.spec, "dataset": sent["dataset"]}
    if missing := [name for name in same if name not in sent]:
        raise Invalid({f"spec.{name}": "required, as the receipt has it" for name in missing})
    if other := [name for name in same if same[name] != sent[name]]:
        raise Invalid({f"spec.{name}": f"resolved, as a receipt has it: {_short(same[name])}" for name in other})
    return resolved


def _check(receipt: Mapping[str, Any], spec: Mapping[str, Any], most: int) -> None:
    """What stands twice in a receipt says the same both times. Raises Invalid."""
    errors = {}
    if receipt["epochs"] > most:
        errors["epochs"] = f"at most {most}, as the spec has it"
    ends = [*receipt.get("legs", []), receipt["epochs"]]
    if any(after < before for before, after in pairwise(ends)):
        errors["legs"] = "epochs that never fall, none above `epochs`"
    if "seeds" in receipt and receipt["seeds"] != [member.seed for member in members_of(spec)]:
        errors["seeds"] = "the seed of each member of the spec, in their order"
    if receipt.get("split_seed", spec["split_seed"]) != spec["split_seed"]:
        errors["split_seed"] = f"the spec's: {spec['split_seed']}"
    if errors:
        raise Invalid(errors)


def _differences(receipt: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A warning where the bits may come out otherwise, as far as this process can know of who will train it."""
    told = {**receipt.get("versions", {}), **receipt}
    here = {name: version(name) for name in _LIBRARIES}
    here |= {"cpu_capability": torch.backends.cpu.get_cpu_capability(), "device": _DEVICE}
    other = [f"{name} {told[name]} (here {mine})" for name, mine in here.items() if name in told and told[name] != mine]
    said = []
    if other:
        said.append(
            f"The receipt's run had {', '.join(other)}: the same bits are promised only where these are the same."
        )
    if _MOVED in receipt.get("exactness", ""):
        said.append(f"It went on elsewhere than it began, which cannot be repeated: {receipt['exactness']}.")
    return [{"column": None, "code": "exactness_differs", "message": " ".join(said)}] if said else []


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
