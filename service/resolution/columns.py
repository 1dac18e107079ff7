"""Which columns a run reads, and for what: features, target, weights of rows."""

from collections.abc import Mapping
from typing import Any

from service.problems import Errors
from store.datasets import Dataset

USABLE = ("numeric", "categorical", "boolean")
_MOST_NAMES_TOLD = 20


def features_of(
    asked: Mapping[str, Any], types: Mapping[str, str], errors: Errors
) -> tuple[list[str], list[dict[str, str]]]:
    """The features in order: those asked for, or every other usable column of the dataset."""
    targets, weight = names_of(asked["target"]), asked.get("sample_weight")
    if "features" not in asked:
        others = [name for name in types if name not in targets and name != weight]
        usable = [name for name in others if types[name] in USABLE]
        if not usable and others:
            errors["features"] = ["at least one numeric, categorical or boolean column beside the target"]
        elif not usable:
            errors["features"] = ["at least one column beside the target"]
        return usable, [_left_out(name, types[name]) for name in others if types[name] not in USABLE]
    seen: set[str] = set()
    for index, name in enumerate(asked["features"]):
        message = ""
        if name not in types:
            message = _unknown(name, types)
        elif name in targets:
            message = "a column that is not the target"
        elif name == weight:
            message = "a column that is not the sample_weight"
        elif name in seen:
            message = "named once; it stands here twice"
        elif types[name] not in USABLE:
            message = f"not supported yet: {name!r} is {types[name]}; numeric, categorical and boolean columns are"
        if message:
            errors[f"features.{index}"] = [message]
        seen.add(name)
    return list(asked["features"]), []


def tells(column: Mapping[str, Any]) -> bool:
    """Whether there is anything to learn from: two values, or one that is there in some rows only."""
    return bool(column["distinct"] > 1 or (column["distinct"] == 1 and column["missing"]))


def check_weights(asked: Mapping[str, Any], dataset: Dataset, errors: Errors) -> None:
    name = asked.get("sample_weight")
    if name is None:
        return
    columns = {column["name"]: column for column in dataset.columns}
    if name not in columns:
        errors["sample_weight"] = [_unknown(name, dict.fromkeys(columns, ""))]
    elif name in names_of(asked["target"]):
        errors["sample_weight"] = ["a column that is not the target"]
    elif columns[name]["type"] != "numeric":
        errors["sample_weight"] = [f"a numeric column; {name!r} is {columns[name]['type']}"]
    elif columns[name]["missing"] or (columns[name]["min"] or 0) < 0 or not columns[name]["max"]:
        errors["sample_weight"] = ["a column without null, of numbers of at least 0, not all of them 0"]


def check_target(target: str | list[str], types: Mapping[str, str], errors: Errors) -> None:
    for index, name in enumerate(names_of(target)):
        at = "target" if isinstance(target, str) else f"target.{index}"
        if name not in types:
            errors[at] = [_unknown(name, types)]
        elif isinstance(target, list) and name in target[:index]:
            errors[at] = ["named once; it stands here twice"]


def _left_out(name: str, type: str) -> dict[str, str]:
    message = f"Column {name!r} is {type}, which is not supported as a feature yet; left out."
    return {"column": name, "code": "feature_left_out", "message": message}


def names_of(target: str | list[str]) -> list[str]:
    return [target] if isinstance(target, str) else target


def _unknown(name: str, types: Mapping[str, str]) -> str:
    told = list(types)[:_MOST_NAMES_TOLD]
    more = f" and {len(types) - len(told)} more" if len(types) > len(told) else ""
    return f"{name!r} is no column of the dataset; its columns are {', '.join(told)}{more}"
