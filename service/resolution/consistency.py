"""What fits field by field and not together: each member's settings beside one another."""

from collections.abc import Iterator, Mapping
from typing import Any

from learning.specs import SCHEDULES, overridden, settings_of
from service.problems import Errors


def mistakes(filled: Mapping[str, Any], batch_size: Any) -> Errors:
    """Of a filled spec, each where it was asked for; `batch_size` is what its recipe has."""
    errors: Errors = {}
    batched = filled["batch_size"] not in ("full", batch_size)
    for index, own in enumerate(settings_of(filled)):
        at = f"members.{index}" if filled["members"] else "sweep"
        for path, allowed in _mistakes(filled, own, batched):
            errors.setdefault(f"{at}.{path}" if path in own else path, [allowed])
    return errors


def _mistakes(filled: Mapping[str, Any], own: Mapping[str, Any], batched: bool) -> Iterator[tuple[str, str]]:
    if filled["early_stopping"] is None:
        for path in own:
            if path.startswith("early_stopping."):
                yield path, "absent, or with early_stopping in the run"
        own = {path: value for path, value in own.items() if not path.startswith("early_stopping.")}
    spec = overridden(filled, own)
    yield from _of_optimizer(spec["optimizer"])
    yield from _of_batches(spec, own, batched)
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


def _of_batches(spec: Mapping[str, Any], own: Mapping[str, Any], batched: bool) -> Iterator[tuple[str, str]]:
    """`batched`: the run itself asks for batches, which a member with gd of its own would not take."""
    if spec["optimizer"]["name"] != "gd":
        return
    if spec["batch_size"] != "full":
        yield "batch_size", '"full", or absent: gd takes all rows in one step; sgd takes a batch_size'
    elif batched and "batch_size" not in own:
        yield "optimizer.name", 'another than gd, or with a batch_size of "full": gd takes all rows in one step'


def _of_schedule(spec: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    schedule = spec["schedule"]
    settings = ("warmup_epochs", *SCHEDULES[schedule["name"]])
    for path in own:
        outer, _, name = path.partition(".")
        if outer == "schedule" and name not in ("name", *settings):
            yield path, f"absent: {schedule['name']} has {' and '.join(settings)}"
    if schedule["name"] == "one_cycle" and schedule["warmup_epochs"]:
        yield "schedule.warmup_epochs", "0: one_cycle begins with a rise of its own"
    elif schedule["warmup_epochs"] and schedule["warmup_epochs"] >= spec["epochs"]:
        yield "schedule.warmup_epochs", f"fewer than the {spec['epochs']} epochs"
