"""How many rows a run has in each split, known before it is trained: by fractions, by folds, or by a column's words."""

from collections.abc import Mapping
from typing import Any

from learning.apportionment import SplitCounts, fold_counts, split_counts, stated_counts
from learning.errors import UnusableColumn, UnusableSplit
from service.problems import Invalid
from service.resolution.targets import TargetFacts


def rows_of(filled: Mapping[str, Any], facts: TargetFacts) -> dict[str, int]:
    """Those of one network: of all folds, the first one's. Raises Invalid where a split would be too small to use."""
    validation, test = filled["validation"] or {}, filled["test"]["fraction"]
    try:
        counts = _counts(validation, test, facts)
    except UnusableColumn as error:
        raise Invalid({"validation.column": f"a word for each row that has a target: {error}"}) from None
    except UnusableSplit as error:
        allowed = f"a value that leaves at least 2 train rows and no requested split empty: {error}"
        raise Invalid({_where(error.split, validation, test, facts.rows): allowed}) from None
    return {**counts._asdict(), "dropped": facts.dropped}


def _counts(validation: Mapping[str, Any], test: float, facts: TargetFacts) -> SplitCounts:
    if "column" in validation:
        return stated_counts(validation["column"], facts.words, facts.wordless)
    if "folds" not in validation:
        return split_counts(facts.rows, validation=validation.get("fraction", 0.0), test=test)
    counts = fold_counts(facts.rows, folds=validation["folds"], test=test)
    validated = counts.folds[validation.get("fold", 0)]
    return SplitCounts(facts.rows - counts.test - validated, validated, counts.test)


def _where(split: str, validation: Mapping[str, Any], test: float, rows: int) -> str:
    """The field that could be changed so that this split is large enough."""
    if split == "test" or (test and not _leaves_train_rows(test, rows)):
        return "test.fraction"
    form = next((form for form in ("column", "folds", "fraction") if validation.get(form)), None)
    if form is None:
        return "test.fraction" if test else "dataset"
    return f"validation.{form}"


def _leaves_train_rows(test: float, rows: int) -> bool:
    """Whether it would, were there no validation."""
    try:
        split_counts(rows, validation=0.0, test=test)
    except UnusableSplit:
        return False
    return True
