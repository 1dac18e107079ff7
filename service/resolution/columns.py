"""Which columns a run reads, and for what: features, target, weights of rows, who is in which split."""

from collections.abc import Mapping
from typing import Any

from learning.apportionment import SPLITS
from service.problems import Errors
from store.datasets import Dataset

USABLE = ("numeric", "categorical", "boolean", "datetime")
_MOST_NAMES_TOLD = 20


def features_of(
    asked: Mapping[str, Any], types: Mapping[str, str], errors: Errors
) -> tuple[list[str], list[dict[str, str]]]:
    """The features in order: those asked for, or every other usable column of the dataset."""
    targets, told = names_of(asked["target"]), _told(asked)
    if "features" not in asked:
        others = [name for name in types if name not in targets and name not in told]
        usable = [name for name in others if types[name] in USABLE]
        if not usable and others:
            errors["features"] = ["at least one numeric, categorical, boolean or datetime column beside the target"]
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
        elif name in told:
            message = f"a column that is not the {told[name]}"
        elif name in seen:
            message = "named once; it stands here twice"
        elif types[name] not in USABLE:
            message = f"a numeric, categorical, boolean or datetime column; {name!r} is {types[name]}"
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


def check_split(asked: Mapping[str, Any], types: Mapping[str, str], errors: Errors) -> None:
    """That the column of `validation`, if it names one, can be a column of words."""
    name = split_column(asked)
    if name is None:
        return
    if name not in types:
        errors["validation.column"] = [_unknown(name, types)]
    elif name in names_of(asked["target"]):
        errors["validation.column"] = ["a column that is not the target"]
    elif types[name] != "categorical":
        errors["validation.column"] = [f"a categorical column of {', '.join(SPLITS)}; {name!r} is {types[name]}"]
    if asked.get("test", {}).get("fraction"):
        errors["test.fraction"] = [f"0.0, or absent: column {name!r} says which rows are test"]


def split_column(asked: Mapping[str, Any]) -> str | None:
    """The column that says who is in train, validation and test, if one does."""
    column: str | None = (asked.get("validation") or {}).get("column")
    return column


def _told(asked: Mapping[str, Any]) -> dict[str | None, str]:
    """What the columns are for that are neither target nor feature."""
    return {asked.get("sample_weight"): "sample_weight", split_column(asked): "validation column"}


def check_target(target: str | list[str], types: Mapping[str, str], errors: Errors) -> None:
    for index, name in enumerate(names_of(target)):
        at = "target" if isinstance(target, str) else f"target.{index}"
        if name not in types:
            errors[at] = [_unknown(name, types)]
        elif isinstance(target, list) and name in target[:index]:
            errors[at] = ["named once; it stands here twice"]


def _left_out(name: str, type: str) -> dict[str, str]:
    message = f"Column {name!r} is {type}, which no network can take as it is; left out."
    return {"column": name, "code": "feature_left_out", "message": message}


def names_of(target: str | list[str]) -> list[str]:
    return [target] if isinstance(target, str) else target


def _unknown(name: str, types: Mapping[str, str]) -> str:
    told = list(types)[:_MOST_NAMES_TOLD]
    more = f" and {len(types) - len(told)} more" if len(types) > len(told) else ""
    return f"{name!r} is no column of the dataset; its columns are {', '.join(told)}{more}"
