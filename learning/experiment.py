"""One resolved run spec and one table become all that the engine needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from learning.columns import Table, as_classes, column_of, take
from learning.examples import Data, Examples
from learning.notices import notice
from learning.preprocessing import Preprocessing
from learning.specs import MemberSpec, class_key, folds_of, members_of, overridden
from learning.splitting import Split, fold_split, split, split_by_column
from learning.targets import Link, Target, rows_with_target
from learning.weighting import Weighting

MOST_NAMED = 10  # classes in a warning


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows as some members see them, with all that was fitted on those they are trained on.

    Without folds there is one, whose index is None. All folds' inputs mean the same: what shapes them comes from the
    rows of all folds, numbers like a mean from the fold's own train rows.
    """

    index: int | None
    rows: Split  # of the table; rows without a target are in none
    preprocessing: Preprocessing
    target: Target
    train: Examples
    validation: Examples | None
    test: Examples | None

    @cached_property
    def data(self) -> Data:
        return Data(self.target, self.train, self.validation, self.preprocessing.embeddings)


@dataclass(frozen=True, eq=False)
class Experiment:
    spec: Mapping[str, Any]
    table: Table
    members: tuple[MemberSpec, ...]
    folds: tuple[Fold, ...]
    dropped: int
    warnings: list[dict[str, str]]
    _seen: dict[tuple[int | str | None, ...], Fold] = field(default_factory=dict)

    def fold_of(self, member: MemberSpec) -> Fold:
        """Its fold as this member sees it: its loss and class weights may be its own."""
        spec = overridden(self.spec, member.overrides)
        own = tuple(repr(spec.get(name)) for name in ("loss", "class_weights"))
        place = (member.fold, *own)
        if place not in self._seen:
            fold = next(fold for fold in self.folds if fold.index == member.fold)
            common = tuple(repr(self.spec.get(name)) for name in ("loss", "class_weights"))
            self._seen[place] = fold if own == common else _varied(fold, spec, self.table)
        return self._seen[place]

    @property
    def data(self) -> list[Data]:
        """Of each member, as `fitting.fit` takes it."""
        return [self.fold_of(member).data for member in self.members]

    @property
    def rows(self) -> dict[str, int]:
        """Of the first fold, which is the largest that any validates."""
        train, validation, test = map(len, self.folds[0].rows)
        return {"train": train, "validation": validation, "test": test, "dropped": self.dropped}


def prepare(spec: Mapping[str, Any], table: Table) -> Experiment:
    """Drop rows without a target, split; of each fold, fit the preprocessing on its train rows, encode each split.

    Raises UnusableColumn, NoUsableFeature or UnusableSplit where the data cannot be learned from.
    """
    names = spec["target"]
    usable = rows_with_target(table, names)
    dropped = column_of(table, names if isinstance(names, str) else names[0]).rows - len(usable)
    parts = splits(spec, table)
    among = torch.cat(parts[0][1][:2]).sort().values if parts[0][0] is not None else None
    folds = tuple(_fold(spec, table, index, rows, among) for index, rows in parts)
    return Experiment(
        spec=spec,
        table=table,
        members=members_of(spec),
        folds=folds,
        dropped=dropped,
        warnings=_dropped_warnings(names, dropped) + folds[0].preprocessing.warnings + _unseen_classes(folds),
    )


def splits(spec: Mapping[str, Any], table: Table) -> list[tuple[int | None, Split]]:
    """Return the table's rows in each split, of each fold that is asked for; rows without a target are in none.

    Of the table only the targets and the column that says who is where are looked at.
    """
    usable = rows_with_target(table, spec["target"])
    validation, test = spec.get("validation") or {}, (spec.get("test") or {}).get("fraction", 0.0)
    if "column" in validation:
        name = validation["column"]
        said = split_by_column(take(column_of(table, name), usable), name)
        return [(None, Split(*(usable[part] for part in said)))]
    classes = None
    if spec["task"] in ("binary", "multiclass"):
        classes = as_classes(take(column_of(table, spec["target"]), usable)).codes
    if "folds" in validation:
        tested, parts = fold_split(len(usable), classes, folds=validation["folds"], test=test, seed=spec["split_seed"])
        found: list[tuple[int | None, Split]] = []
        for index in folds_of(spec):
            assert index is not None, "there are folds"
            others = torch.cat([part for place, part in enumerate(parts) if place != index]).sort().values
            found.append((index, Split(usable[others], usable[parts[index]], usable[tested])))
        return found
    chosen = split(len(usable), classes, validation=validation.get("fraction", 0.0), test=test, seed=spec["split_seed"])
    return [(None, Split(*(usable[part] for part in chosen)))]


def _fold(spec: Mapping[str, Any], table: Table, index: int | None, rows: Split, among: Tensor | None) -> Fold:
    preprocessing = Preprocessing.fit(table, spec["features"], rows.train, spec["scaling"], among)
    target = _target(spec, table, rows)
    weighting = Weighting.fit(spec, table, target, rows.train)

    def examples(part: Tensor) -> Examples:
        weights = None if weighting is None else weighting.weights(table, part, target)
        return Examples(preprocessing.encode(table, part), target.encode(table, part), weights)

    return Fold(
        index=index,
        rows=rows,
        preprocessing=preprocessing,
        target=target,
        train=examples(rows.train),
        validation=examples(rows.validation) if len(rows.validation) else None,
        test=examples(rows.test) if len(rows.test) else None,
    )


def _varied(fold: Fold, spec: Mapping[str, Any], table: Table) -> Fold:
    """The same inputs, with targets and weights as another loss or other class weights want them."""
    target = _target(spec, table, fold.rows)
    weighting = Weighting.fit(spec, table, target, fold.rows.train)

    def again(examples: Examples | None, part: Tensor) -> Examples | None:
        if examples is None:
            return None
        weights = None if weighting is None else weighting.weights(table, part, target)
        return Examples(examples.inputs, target.encode(table, part), weights)

    train, validation, test = map(again, (fold.train, fold.validation, fold.test), fold.rows)
    assert train is not None, "a fold has train rows"
    return replace(fold, target=target, train=train, validation=validation, test=test)


def _target(spec: Mapping[str, Any], table: Table, rows: Split) -> Target:
    link: Link = "log" if spec["loss"] == "poisson" else "identity"
    return Target.fit(table, spec["target"], spec["task"], rows.train, link)


def _unseen_classes(folds: Sequence[Fold]) -> list[dict[str, str]]:
    """Tell of classes that a network is never shown: none of their rows is in the train rows."""
    target = folds[0].target
    if not target.classes:
        return []
    shown = torch.ones(len(target.classes), dtype=torch.bool)
    for fold in folds:
        codes = fold.train.targets.view(len(fold.train.targets), -1)[:, 0].long()
        shown &= torch.bincount(codes, minlength=len(target.classes)) > 0
    unseen = [class_key(each) for each, there in zip(target.classes, shown.tolist(), strict=True) if not there]
    if not unseen:
        return []
    named = ", ".join(unseen[:MOST_NAMED]) + (", …" if len(unseen) > MOST_NAMED else "")
    where = "in the train rows" if folds[0].index is None else "in the train rows of some fold"
    return [notice(target.names[0], "class_without_train_rows", f"has classes of which no row is {where}: {named}")]


def _dropped_warnings(names: str | list[str], dropped: int) -> list[dict[str, str]]:
    if not dropped:
        return []
    column = names if isinstance(names, str) else names[0]
    message = f"Rows without a target are dropped: {dropped}."
    return [{"column": column, "code": "missing_target", "message": message}]
