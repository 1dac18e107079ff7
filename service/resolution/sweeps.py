"""Populations: which paths sweep and members may vary, and that each value fits the field at its path."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marshmallow import ValidationError, fields

from learning.specs import SWEEP_PATHS, folds_of, settings_of
from service.problems import Errors, Invalid, flatten
from service.schemas.run_spec import EarlyStopping, Optimizer, RunIn, Schedule

ALLOWED = "seed, optimizer.*, schedule.*, network, batch_size, epochs, loss, class_weights and early_stopping.*"
_SCHEMAS = {"optimizer": Optimizer(), "schedule": Schedule(), "early_stopping": EarlyStopping()}

Stored = Mapping[str, Sequence[Mapping[str, Any]]]  # the layers of networks by id


def _field(path: str) -> fields.Field[Any]:
    outer, _, inner = path.partition(".")
    return (_SCHEMAS[outer].fields[inner]) if inner else RunIn().fields[outer]


_FIELDS = {path: _field(path) for path in SWEEP_PATHS}


def populate(filled: dict[str, Any], asked: Mapping[str, Any], stored: Stored, most: int) -> Errors:
    """Puts what each member has of its own into a filled spec; what is wrong with it."""
    filled["sweep"], errors = read(asked.get("sweep", {}), most, stored)
    filled["members"], unfit = read_members(asked.get("members", []), most, stored)
    errors |= unfit
    if asked.get("sweep") and asked.get("members"):
        errors.setdefault("members", []).append("absent where there is a sweep")
    if not errors:
        settings, folds = len(settings_of(filled)), len(folds_of(filled))
        if settings * folds > most:
            said = f"at most {most} members in all; {folds} folds of {settings} settings are {settings * folds}"
            errors["validation.folds"] = [said]
        if filled["ensemble"] and folds > 1:
            errors["ensemble"] = ["false where there are folds: the run predicts as their mean as it is"]
        elif filled["ensemble"] and settings < 2:
            errors["ensemble"] = ["false, or with two members or more, by sweep or members"]
    return errors


def read(sweep: Mapping[str, Any], most: int, stored: Stored) -> tuple[dict[str, list[Any]], Errors]:
    """The sweep with its values read, and what is wrong with it."""
    found: dict[str, list[Any]] = {}
    errors: Errors = {}
    for path in sorted(sweep):
        values = sweep[path]
        at = f"sweep.{path}"
        if path not in _FIELDS:
            errors["sweep"] = [*errors.get("sweep", []), f"{path!r} cannot be swept; allowed: {ALLOWED}"]
        elif not isinstance(values, list) or not values:
            errors[at] = ["a list of at least one value"]
        else:
            found[path] = [_value(path, value, f"{at}.{index}", stored, errors) for index, value in enumerate(values)]
    count = math.prod(len(values) for values in found.values())
    if count > most:
        errors.setdefault("sweep", []).append(f"at most {most} members; this is {count}")
    return found, errors


def read_members(asked: Sequence[Any], most: int, stored: Stored) -> tuple[list[dict[str, Any]], Errors]:
    """The members with their values read, and what is wrong with them."""
    found: list[dict[str, Any]] = []
    errors: Errors = {}
    if len(asked) > most:
        errors["members"] = [f"at most {most} members; these are {len(asked)}"]
    for index, own in enumerate(asked[:most]):
        at = f"members.{index}"
        if not isinstance(own, dict):
            errors[at] = ["an object of paths and values"]
            continue
        for path in own:
            if path not in _FIELDS:
                errors.setdefault(at, []).append(f"{path!r} cannot be a member's own; allowed: {ALLOWED}")
        known = [path for path in own if path in _FIELDS]
        found.append({path: _value(path, own[path], f"{at}.{path}", stored, errors) for path in known})
    return found, errors


def networks_named(asked: Mapping[str, Any]) -> set[str]:
    """Every id of a network that a loaded `RunIn` names, wherever it may stand."""
    swept = asked.get("sweep", {}).get("network", [])
    own = [each.get("network") for each in asked.get("members", []) if isinstance(each, dict)]
    named = [asked.get("network"), *(swept if isinstance(swept, list) else []), *own]
    return {each for each in named if isinstance(each, str)}


def network(asked: str | Mapping[str, Any], at: str, stored: Stored, errors: Errors) -> dict[str, Any]:
    """The layers that are meant, by id or as they are."""
    if not isinstance(asked, str):
        return dict(asked)
    if asked not in stored:
        errors[at] = [f'the id of a network, or {{"layers": […]}}; there is no network {asked}']
    return {"layers": [dict(layer) for layer in stored.get(asked, [])]}


def settle(filled: Mapping[str, Any], path: str, settled: Callable[[Any, str], Any], errors: Errors) -> None:
    """In place of each value that is there at this path, sweep and members included, what `settled(value, at)` makes.

    What it raises as Invalid is put to the errors.
    """

    def put(there: Any, key: Any, at: str) -> None:
        try:
            there[key] = settled(there[key], at)
        except Invalid as error:
            errors.update(error.errors)

    put(filled, path, path)
    for index in range(len(filled["sweep"].get(path, []))):
        put(filled["sweep"][path], index, f"sweep.{path}.{index}")
    for index, own in enumerate(filled["members"]):
        if path in own:
            put(own, path, f"members.{index}.{path}")


def _value(path: str, value: Any, at: str, stored: Stored, errors: Errors) -> Any:
    try:
        found = _FIELDS[path].deserialize(value)
    except ValidationError as error:
        errors.update(flatten(error.messages, at))
        return None
    return network(found, at, stored, errors) if path == "network" else found
