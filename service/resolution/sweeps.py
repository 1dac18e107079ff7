"""Populations: which paths sweep and members may vary, and that each value fits the field at its path."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import ValidationError, fields

from learning.specs import SWEEP_PATHS
from service.problems import Errors, flatten
from service.schemas.run_spec import EarlyStopping, Optimizer, RunIn, Schedule

ALLOWED = "seed, optimizer.*, schedule.*, network, batch_size, epochs, loss, class_weights and early_stopping.*"
_KNOWN = re.compile(
    r"seed|network|batch_size|epochs|loss|class_weights"
    r"|optimizer\.(name|learning_rate|momentum|nesterov|betas|weight_decay|clip_norm)"
    r"|schedule\.[a-z_]+|early_stopping\.(patience|min_delta)"
)
_FIELDS: dict[str, fields.Field[Any]] = {
    "seed": RunIn().fields["seed"],
    "epochs": RunIn().fields["epochs"],
    **{f"schedule.{name}": field for name, field in Schedule().fields.items()},
    **{f"early_stopping.{name}": field for name, field in EarlyStopping().fields.items()},
    **{f"optimizer.{name}": field for name, field in Optimizer().fields.items()},
}


def read(sweep: Mapping[str, Any], most: int) -> tuple[dict[str, list[Any]], Errors]:
    """The sweep with its values read, and what is wrong with it."""
    found: dict[str, list[Any]] = {}
    errors: Errors = {}
    for path in sorted(sweep):
        values = sweep[path]
        at = f"sweep.{path}"
        if not _KNOWN.fullmatch(path):
            errors["sweep"] = [*errors.get("sweep", []), f"{path!r} cannot be swept; allowed: {ALLOWED}"]
        elif not isinstance(values, list) or not values:
            errors[at] = ["a list of at least one value"]
        elif path not in SWEEP_PATHS:
            errors[at] = [f"not supported yet; {', '.join(SWEEP_PATHS)} are"]
        else:
            found[path] = [_value(path, value, f"{at}.{index}", errors) for index, value in enumerate(values)]
    count = math.prod(len(values) for values in found.values())
    if count > most:
        errors.setdefault("sweep", []).append(f"at most {most} members; this is {count}")
    return found, errors


def read_members(asked: Sequence[Any], most: int) -> tuple[list[dict[str, Any]], Errors]:
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
            if not _KNOWN.fullmatch(path):
                errors.setdefault(at, []).append(f"{path!r} cannot be a member's own; allowed: {ALLOWED}")
            elif path not in SWEEP_PATHS:
                errors[f"{at}.{path}"] = [f"not supported yet; {', '.join(SWEEP_PATHS)} are"]
        found.append({path: _value(path, own[path], f"{at}.{path}", errors) for path in own if path in SWEEP_PATHS})
    return found, errors


def _value(path: str, value: Any, at: str, errors: Errors) -> Any:
    try:
        return _FIELDS[path].deserialize(value)
    except ValidationError as error:
        errors.update(flatten(error.messages, at))
        return None
