"""What fits field by field and not together: each member's settings beside one another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from learning.specs import SCHEDULES, overridden
from service.problems import Errors


def mistakes(
    filled: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]], at: Callable[[int, str], str]
) -> Errors:
    """Of a filled spec with each member's overrides; `at` says where an override of a member was asked for."""
    errors: Errors = {}
    for index, own in enumerate(overrides):
        for path, allowed in _mistakes(filled, own):
            errors.setdefault(at(index, path) if path in own else path, [allowed])
    return errors


def _mistakes(filled: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if filled["early_stopping"] is None:
        for path in own:
            if path.startswith("early_stopping."):
                yield path, "absent, or with early_stopping in the run"
        own = {path: value for path, value in own.items() if not path.startswith("early_stopping.")}
    spec = overridden(filled, own)
    yield from _of_optimizer(spec["optimizer"])
    yield from _of_schedule(spec, own)
    if spec["validation"] in (None, {"fraction": 0}):
        if spec["schedule"]["name"] == "plateau":
            yield "schedule.name", "another than plateau where there is no validation"
        if spec["early_stopping"] is not None:
            yield "early_stopping", "null where there is no validation"


def _of_optimizer(optimizer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What this optimizer would not look at. Each is refused, for it was meant to do something."""
    name = optimizer["name"]
    if optimizer["momentum"] and name not in ("gd", "sgd", "rmsprop"):
        yield "optimizer.momentum", f"0.0: {name} has its betas; gd, sgd and rmsprop take a momentum"
    if optimizer["nesterov"] and name not in ("gd", "sgd"):
        yield "optimizer.nesterov", f"false: {name} knows no such step; gd and sgd do"
    elif optimizer["nesterov"] and not optimizer["momentum"]:
        yield "optimizer.nesterov", "false, or with a momentum above 0"


def _of_schedule(spec: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    schedule = spec["schedule"]
    settings = ("warmup_epochs", *SCHEDULES[schedule["name"]])
    for path in own:
        outer, _, name = path.partition(".")
        if outer == "schedule" and name not in settings:
            yield path, f"absent: {schedule['name']} has {' and '.join(settings)}"
    if schedule["name"] == "one_cycle" and schedule["warmup_epochs"]:
        yield "schedule.warmup_epochs", "0: one_cycle begins with a rise of its own"
    elif schedule["warmup_epochs"] and schedule["warmup_epochs"] >= spec["epochs"]:
        yield "schedule.warmup_epochs", f"fewer than the {spec['epochs']} epochs"
