"""From what a caller asks to the run that will be: every default filled in, every `auto` but the device decided.

What can be known to be wrong is refused here, with the path of the field, before a row is written. A resolved spec is
the whole truth of a run: nothing is decided later from anything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from learning.specs import drafts_of
from service.problems import Errors, Invalid
from service.resolution import capacity, columns, consistency, splits, sweeps, tasks, unmade
from service.resolution.recipes import AUTO_INITIALIZATION, DEFAULT, RECIPES, named_by, supplied
from service.resolution.targets import TargetColumns, TargetFacts
from service.schemas.fields import as_text
from store.datasets import Dataset
from store.settings import Settings


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
    stored: sweeps.Stored,
    targets: TargetColumns,
    settings: Settings,
) -> Resolved:
    """A loaded `RunIn` against its dataset; `stored` are the layers of the networks it names. Raises Invalid."""
    errors = unmade.refusals(asked)
    filled = _filled(asked, stored, dataset.rows or 0, settings, errors)
    types = {column["name"]: column["type"] for column in dataset.columns}
    columns.check_weights(asked, dataset, errors)
    features, warnings = columns.features_of(asked, types, errors)
    columns.check_target(asked["target"], types, errors)
    columns.check_split(asked, types, errors)
    if not errors and not any(columns.tells(column) for column in dataset.columns if column["name"] in features):
        errors["features"] = ["at least one column whose value is not the same in every row"]
    if errors:
        raise Invalid(errors)

    names = columns.names_of(asked["target"])
    facts = targets.facts(dataset, names, columns.split_column(asked))
    decision = tasks.decide(asked.get("task", "auto"), asked["target"], types, facts)
    sweeps.settle(filled, "loss", partial(tasks.loss_of, decision.task, facts), errors)
    sweeps.settle(filled, "class_weights", partial(tasks.class_weights, decision.task, facts), errors)
    if errors:
        raise Invalid(errors)
    rows = splits.rows_of(filled, facts)
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
        "loss": filled["loss"],
        "optimizer": filled["optimizer"],
        "schedule": filled["schedule"],
        "epochs": filled["epochs"],
        "batch_size": filled["batch_size"],
        "validation": filled["validation"],
        "test": filled["test"],
        "early_stopping": filled["early_stopping"],
        "class_weights": filled["class_weights"],
        "sample_weight": asked.get("sample_weight"),
        "sweep": filled["sweep"],
        "members": filled["members"],
        "ensemble": filled["ensemble"],
        "seed": asked.get("seed", 0),
        "split_seed": asked.get("split_seed", 0),
        "device": asked.get("device", "auto"),
        "precision": asked.get("precision", "float32"),
        "priority": asked.get("priority", 0),
        "not_before": as_text(asked["not_before"]) if asked.get("not_before") else None,
        "name": asked.get("name"),
        "metadata": asked.get("metadata", {}),
        **{name: asked[name] for name in ("max_seconds",) if name in asked},  # not in receipts of before
    }
    outputs = _outputs(decision.task, names, facts)
    memory = capacity.check(spec, dataset, rows, outputs, settings)
    return Resolved(
        spec=spec,
        rows=rows,
        warnings=[*warnings, *decision.warnings, *_dropped(names[0], facts)],
        members=[{"overrides": overrides, "fold": fold} for overrides, fold in drafts_of(spec)],
        memory_bytes=memory,
    )


def _filled(
    asked: Mapping[str, Any], stored: sweeps.Stored, rows: int, settings: Settings, errors: Errors
) -> dict[str, Any]:
    """What is asked over what its recipe supplies, with what each member has of its own."""
    name = asked.get("recipe", DEFAULT)
    if name not in RECIPES:
        errors["recipe"] = [f"one of {', '.join(RECIPES)}"]
    recipe = supplied(name if name in RECIPES else DEFAULT, rows, named_by(asked))
    filled = {**recipe, **{key: asked[key] for key in recipe if key in asked}}
    filled["recipe"] = name
    filled["loss"] = asked.get("loss", "auto")
    filled["class_weights"] = asked.get("class_weights")
    filled["ensemble"] = asked.get("ensemble", False)
    filled["test"] = asked.get("test", {"fraction": 0.0})
    if filled["validation"] == {}:
        filled["validation"] = {"fraction": 0.2}
    filled["network"] = sweeps.network(filled["network"], "network", stored, errors)
    if filled["optimizer"]["name"] == "gd" and "batch_size" not in asked:
        filled["batch_size"] = "full"
    wrong = sweeps.populate(filled, asked, stored, settings.max_members)
    errors.update(wrong or consistency.mistakes(filled, recipe["batch_size"]))
    return filled


def _smoothing(asked: Mapping[str, Any], filled: Mapping[str, Any], task: str) -> float:
    """Raises Invalid where it is asked for and there are no labels; a recipe's is for the runs that have some."""
    if task != "regression":
        return float(filled["label_smoothing"])
    if asked.get("label_smoothing"):
        raise Invalid({"label_smoothing": "0.0: a regression has no labels to smooth"})
    return 0.0


def _outputs(task: str, names: Sequence[str], facts: TargetFacts) -> int:
    return {"binary": 1, "multiclass": facts.classes or 0}.get(task, len(names))


def _dropped(column: str, facts: TargetFacts) -> list[dict[str, str]]:
    if not facts.dropped:
        return []
    message = f"Rows without a target are dropped: {facts.dropped}."
    return [{"column": column, "code": "missing_target", "message": message}]
