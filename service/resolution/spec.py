"""From what a caller asks to the run that will be: every default filled in, every `auto` but the device decided.

What can be known to be wrong is refused here, with the path of the field, before a row is written. A resolved spec is
the whole truth of a run: nothing is decided later from anything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learning.apportionment import split_counts
from learning.errors import UnusableSplit
from learning.specs import overrides_of
from service.problems import Errors, Invalid
from service.resolution import capacity, columns, consistency, sweeps, tasks, unmade
from service.resolution.recipes import AUTO_INITIALIZATION, DEFAULT, RECIPES
from service.resolution.targets import TargetColumns, TargetFacts
from service.schemas.fields import as_text
from store.datasets import Dataset
from store.settings import Settings

_MOST_NAMES_TOLD = 20


@dataclass(frozen=True)
class Resolved:
    """A run that may be queued. `rows` are the split's counts, `members` the drafts of the population."""

    spec: dict[str, Any]
    rows: dict[str, int]
    warnings: list[dict[str, str]]
    members: list[dict[str, Any]]
    memory_bytes: int


def resolve(
    asked: Mapping[str, Any],
    dataset: Dataset,
    stored: Sequence[Mapping[str, Any]] | None,
    targets: TargetColumns,
    settings: Settings,
) -> Resolved:
    """A loaded `RunIn` against its dataset; `stored` are the layers of a network named by id. Raises Invalid."""
    errors = unmade.refusals(asked)
    filled = _filled(asked, stored, settings, errors)
    types = {column["name"]: column["type"] for column in dataset.columns}
    columns.check_weights(asked, dataset, errors)
    features, warnings = columns.features_of(asked, types, errors)
    columns.check_target(asked["target"], types, errors)
    if not errors and not any(columns.tells(column) for column in dataset.columns if column["name"] in features):
        errors["features"] = ["at least one column whose value is not the same in every row"]
    if errors:
        raise Invalid(errors)

    names = columns.names_of(asked["target"])
    facts = targets.facts(dataset, names)
    decision = tasks.decide(asked.get("task", "auto"), asked["target"], types, facts)
    loss = tasks.loss_of(asked.get("loss", "auto"), decision.task, facts)
    _check_classes(asked.get("class_weights"), decision.task, facts)
    rows = _rows(filled, facts)
    spec = {
        "dataset": dataset.id,
        "target": asked["target"],
        "features": features,
        "task": decision.task,
        "recipe": filled["recipe"],
        "network": filled["network"],
        "initialization": AUTO_INITIALIZATION if filled["initialization"] == "auto" else filled["initialization"],
        "scaling": filled["scaling"],
        "label_smoothing": _smoothing(asked, filled, decision.task),
        "loss": loss,
        "optimizer": filled["optimizer"],
        "schedule": filled["schedule"],
        "epochs": filled["epochs"],
        "batch_size": filled["batch_size"],
        "validation": filled["validation"],
        "test": filled["test"],
        "early_stopping": filled["early_stopping"],
        "class_weights": asked.get("class_weights"),
        "sample_weight": asked.get("sample_weight"),
        "sweep": filled["sweep"],
        "members": filled["members"],
        "ensemble": False,
        "seed": asked.get("seed", 0),
        "split_seed": asked.get("split_seed", 0),
        "device": asked.get("device", "auto"),
        "precision": asked.get("precision", "float32"),
        "priority": asked.get("priority", 0),
        "not_before": as_text(asked["not_before"]) if asked.get("not_before") else None,
        "name": asked.get("name"),
        "metadata": asked.get("metadata", {}),
    }
    outputs = _outputs(decision.task, names, facts)
    memory = capacity.check(spec, dataset, rows, outputs, settings)
    return Resolved(
        spec=spec,
        rows=rows,
        warnings=[*warnings, *decision.warnings, *_dropped(names[0], facts)],
        members=[{"overrides": overrides, "fold": None} for overrides in overrides_of(spec)],
        memory_bytes=memory,
    )


def _filled(
    asked: Mapping[str, Any],
    stored: Sequence[Mapping[str, Any]] | None,
    settings: Settings,
    errors: Errors,
) -> dict[str, Any]:
    """What is asked over what its recipe supplies, with what each member has of its own."""
    name = asked.get("recipe", DEFAULT)
    if name not in RECIPES:
        errors["recipe"] = [f"one of {', '.join(RECIPES)}"]
    recipe = RECIPES.get(name, RECIPES[DEFAULT])
    filled = {**recipe, **{key: asked[key] for key in recipe if key in asked}}
    filled["recipe"] = name
    filled["test"] = asked.get("test", {"fraction": 0.0})
    if filled["validation"] == {}:
        filled["validation"] = {"fraction": 0.2}
    if stored is not None:
        filled["network"] = {"layers": [dict(layer) for layer in stored]}
    if filled["optimizer"]["name"] == "gd":
        if isinstance(asked.get("batch_size"), int):
            errors["batch_size"] = ['"full", or absent: gd takes all rows in one step; sgd takes a batch_size']
        filled["batch_size"] = "full"
    sweep, wrong = sweeps.read(asked.get("sweep", {}), settings.max_members)
    filled["sweep"] = sweep
    filled["members"], unfit = sweeps.read_members(asked.get("members", []), settings.max_members)
    wrong |= unfit
    if asked.get("sweep") and asked.get("members"):
        wrong.setdefault("members", []).append("absent where there is a sweep")
    if not wrong:
        listed = bool(filled["members"])
        wrong = consistency.mistakes(
            filled,
            overrides_of(filled),
            lambda index, path: f"members.{index}.{path}" if listed else f"sweep.{path}",
        )
    errors.update(wrong)
    return filled


def _check_classes(weights: Any, task: str, facts: TargetFacts) -> None:
    """Raises Invalid for class weights that do not go with the target's classes."""
    if weights is None:
        return
    if task == "regression":
        raise Invalid({"class_weights": "null: a regression has no classes; sample_weight may weigh its rows"})
    if task == "multilabel":
        allowed = "null: a row has no one class here, but several that are true; sample_weight may weigh its rows"
        raise Invalid({"class_weights": allowed})
    if weights == "balanced":
        return
    told = ", ".join(sorted(facts.labels)[:_MOST_NAMES_TOLD])
    if unknown := [name for name in weights if name not in facts.labels]:
        raise Invalid({f"class_weights.{name}": f"a class of the target: {told}" for name in unknown})
    if facts.labels <= {name for name, weight in weights.items() if not weight}:
        raise Invalid({"class_weights": "a weight above 0 for at least one class"})


def _smoothing(asked: Mapping[str, Any], filled: Mapping[str, Any], task: str) -> float:
    """Raises Invalid where it is asked for and there are no labels; a recipe's is for the runs that have some."""
    if task != "regression":
        return float(filled["label_smoothing"])
    if asked.get("label_smoothing"):
        raise Invalid({"label_smoothing": "0.0: a regression has no labels to smooth"})
    return 0.0


def _rows(filled: Mapping[str, Any], facts: TargetFacts) -> dict[str, int]:
    validation = (filled["validation"] or {}).get("fraction", 0.0)
    test = filled["test"]["fraction"]
    try:
        counts = split_counts(facts.rows, validation=validation, test=test)
    except UnusableSplit as error:
        where = f"{error.split}.fraction"
        if error.split == "train":
            where = "validation.fraction" if validation else "test.fraction" if test else "dataset"
        raise Invalid(
            {where: f"a value that leaves at least 2 train rows and no requested split empty: {error}"}
        ) from None
    return {"train": counts.train, "validation": counts.validation, "test": counts.test, "dropped": facts.dropped}


def _outputs(task: str, names: Sequence[str], facts: TargetFacts) -> int:
    return {"binary": 1, "multiclass": facts.classes or 0}.get(task, len(names))


def _dropped(column: str, facts: TargetFacts) -> list[dict[str, str]]:
    if not facts.dropped:
        return []
    message = f"Rows without a target are dropped: {facts.dropped}."
    return [{"column": column, "code": "missing_target", "message": message}]
