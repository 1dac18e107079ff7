"""What is to be learned of a target: the rules of the contract that turn `auto` into a task, and a task into a loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learning.specs import LOSSES_OF_TASK, class_named
from service.problems import Invalid
from service.resolution.targets import TargetFacts
from service.schemas.run_spec import LOSSES

MOST_NUMERIC_CLASSES = 20
ROWS_FOR_EACH_NUMERIC_CLASS = 10
MOST_LABEL_BYTES = 1 << 20  # predictions say all of them
_MOST_NAMES_TOLD = 20

# Every loss of the contract and the tasks it fits.
_TASKS_OF_LOSS = {
    "squared_error": ("regression",),
    "absolute_error": ("regression",),
    "huber": ("regression",),
    "poisson": ("regression",),
    "binary_cross_entropy": ("binary", "multilabel"),
    "cross_entropy": ("multiclass",),
}


@dataclass(frozen=True)
class Decision:
    task: str
    warnings: tuple[dict[str, str], ...] = ()


def decide(asked: str, target: str | Sequence[str], types: Mapping[str, str], facts: TargetFacts) -> Decision:
    """The task of these target columns (of these types). Raises Invalid at `target` or `task`."""
    names = [target] if isinstance(target, str) else list(target)
    kinds = {types[name] for name in names}
    for name in names:
        if types[name] in ("text", "datetime"):
            raise Invalid({"target": f"a numeric, categorical or boolean column; {name!r} is {types[name]}"})
    decision = _list(kinds) if not isinstance(target, str) else _single(asked, target, types[target], facts)
    if asked not in ("auto", decision.task):
        raise Invalid({"task": f"{decision.task}, or auto: {_described(target, kinds, facts)}"})
    if decision.task in ("binary", "multiclass"):
        _check_classes(decision.task, facts)
    if decision.task == "multilabel" and facts.constant:
        allowed = "a column with at least 2 classes; of the rows that have every target, all have the same here"
        raise Invalid({f"target.{names.index(name)}": allowed for name in facts.constant})
    return decision


def loss_of(task: str, facts: TargetFacts, asked: str, at: str) -> str:
    """The loss that is minimised. Raises Invalid where it does not fit the task, or the data."""
    if asked == "auto":
        return LOSSES_OF_TASK[task][0]
    if task not in _TASKS_OF_LOSS[asked]:
        fitting = [loss for loss in LOSSES if task in _TASKS_OF_LOSS[loss]]
        raise Invalid({at: f"one that fits {task}: {', '.join(fitting)}"})
    if asked == "poisson" and not facts.counts:
        raise Invalid({at: "one that fits the target: poisson takes counts, whole numbers of at least 0"})
    return asked


def class_weights(task: str, facts: TargetFacts, asked: Any, at: str) -> Any:
    """As they are asked for. Raises Invalid where they do not go with the target's classes."""
    if asked is None:
        return None
    if task == "regression":
        raise Invalid({at: "null: a regression has no classes; sample_weight may weigh its rows"})
    if task == "multilabel":
        allowed = "null: a row has no one class here, but several that are true; sample_weight may weigh its rows"
        raise Invalid({at: allowed})
    if asked == "balanced":
        return asked
    told = ", ".join(sorted(facts.labels)[:_MOST_NAMES_TOLD])
    found: dict[str, float] = {}
    errors = {}
    for name, weight in asked.items():
        label = class_named(name, facts.labels, numeric=facts.numeric)
        if label is None:
            errors[f"{at}.{name}"] = f"a class of the target: {told}"
        elif label in found:
            errors[f"{at}.{name}"] = f"one weight for class {label}"
        else:
            found[label] = weight
    if errors:
        raise Invalid(errors)
    if facts.labels <= {label for label, weight in found.items() if not weight}:
        raise Invalid({at: "a weight above 0 for at least one class"})
    return found


def _list(kinds: set[str]) -> Decision:
    if kinds == {"boolean"}:
        return Decision("multilabel")
    if kinds != {"numeric"}:
        raise Invalid({"target": f"a list of targets must be all boolean or all numeric; these are {_and(kinds)}"})
    return Decision("regression")


def _single(asked: str, name: str, kind: str, facts: TargetFacts) -> Decision:
    classes = facts.classes
    if kind != "numeric" or asked in ("binary", "multiclass"):
        if asked == "multiclass":
            return Decision("multiclass")  # two classes may be told apart by two logits as well
        return Decision("binary" if classes is not None and classes <= 2 else "multiclass")
    if asked == "regression":
        return Decision("regression")
    few = classes is not None and classes <= MOST_NUMERIC_CLASSES
    if few and facts.integral and classes * ROWS_FOR_EACH_NUMERIC_CLASS <= facts.rows:  # type: ignore[operator]
        message = (
            f"Column {name!r} is numeric with {classes} distinct whole values: they are taken as classes."
            ' Say "task": "regression" to predict a number.'
        )
        warning = {"column": name, "code": "numeric_classes", "message": message}
        return Decision("binary" if classes == 2 else "multiclass", (warning,))
    return Decision("regression")


def _check_classes(task: str, facts: TargetFacts) -> None:
    if facts.classes is None:
        raise Invalid({"target": "a column with fewer distinct values, to tell classes apart"})
    if facts.classes < 2:
        raise Invalid({"target": f"a column with at least 2 classes; this has {facts.classes}"})
    if facts.label_bytes > MOST_LABEL_BYTES:
        told = f"classes whose names take at most {MOST_LABEL_BYTES} bytes together; these take {facts.label_bytes}"
        raise Invalid({"target": f"a column of {told}"})
    if task == "binary" and facts.classes > 2:
        raise Invalid({"task": f"multiclass, or auto: the target has {facts.classes} classes"})


def _described(target: str | Sequence[str], kinds: set[str], facts: TargetFacts) -> str:
    if not isinstance(target, str):
        return f"the targets are {_and(kinds)}"
    return f"the target is {_and(kinds)}" + (f" with {facts.classes} classes" if facts.classes is not None else "")


def _and(kinds: set[str]) -> str:
    return " and ".join(sorted(kinds))
