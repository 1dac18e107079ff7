"""Which member of a run stands first, or which members together: what `best` and the run's own metrics are of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan
from statistics import fmean, pstdev
from typing import Any

from learning.specs import MemberSpec
from learning.trained import MemberProgress

Metrics = dict[str, dict[str, float]]
Measured = Callable[[MemberProgress], Metrics]  # a member's metrics at its best epoch

# By what members are compared whose losses are not of one kind, and whether more of it is better.
_FIGURES = {"accuracy": -1.0, "rmse": 1.0}
_OWN_LOSS = ("loss", "class_weights")


@dataclass(frozen=True)
class Standing:
    """`members` are what the run predicts as; `best` and `metrics` are as the API shows them."""

    members: tuple[int, ...]
    best: dict[str, Any]
    metrics: Metrics


class Ranking:
    """Of a resolved spec and its members, which come setting by setting, each setting with all its folds."""

    def __init__(self, spec: Mapping[str, Any], members: Sequence[MemberSpec]) -> None:
        self._ensemble = bool(spec.get("ensemble"))
        self._folds = len({member.fold for member in members})
        self._alike = not any(name in member.overrides for member in members for name in _OWN_LOSS)

    def first(self, members: Sequence[MemberProgress], measured: Measured) -> Standing | None:
        """None before an epoch has finished, and where all have failed."""
        able = [each for each in members if each.best and each.status != "failed"]
        if not able:
            return None
        if self._ensemble:
            return _together(able, measured)
        if self._folds == 1:
            best = min(able, key=lambda each: (self._value(each, measured), each.index))
            assert best.best is not None, "it is able"
            by = self._figure(best, measured) or {}
            return Standing((best.index,), {"member": best.index, **best.best, **by}, measured(best))
        settings: dict[int, list[MemberProgress]] = {}
        for each in able:
            settings.setdefault(each.index // self._folds, []).append(each)

        def place(setting: int) -> tuple[int, float, int]:
            """A setting with a failed fold comes after all that have none."""
            folds = settings[setting]
            return -len(folds), fmean(self._value(each, measured) for each in folds), setting

        return _together(settings[min(settings, key=place)], measured)

    def metrics_of(self, first: Standing, members: Sequence[MemberProgress], measured: Measured) -> Metrics:
        """Other metrics of the same members, measured at another epoch."""
        own = [members[index] for index in first.members]
        return measured(own[0]) if len(own) == 1 else means([measured(each) for each in own])

    def _value(self, member: MemberProgress, measured: Measured) -> float:
        """The lower the better."""
        by = self._figure(member, measured)
        if by is not None:
            return float(by["value"]) * _FIGURES[by["metric"].removeprefix("validation.")]
        assert member.best is not None, "it is able"
        return float(member.best["value"])

    def _figure(self, member: MemberProgress, measured: Measured) -> dict[str, Any] | None:
        """What stands for the loss where losses differ; None where they do not, or there are no validation rows."""
        told = {} if self._alike else measured(member).get("validation", {})
        return next(({"metric": f"validation.{name}", "value": told[name]} for name in _FIGURES if name in told), None)


def _together(members: Sequence[MemberProgress], measured: Measured) -> Standing:
    """Means over these members, and how far they differ."""
    values = [each.best["value"] for each in members if each.best]
    metric = next(each.best["metric"] for each in members if each.best)
    best = {
        "member": None,
        "members": [each.index for each in members],
        "epoch": None,
        "metric": metric,
        "value": fmean(values),
    }
    return Standing(tuple(each.index for each in members), best, means([measured(each) for each in members]))


def means(told: Sequence[Metrics]) -> Metrics:
    """Of each metric that all have, NaN being none; of the validation rows' how far they differ, too."""
    metrics: Metrics = {}
    for split in told[0]:
        names = [name for name in told[0][split] if not any(isnan(each.get(split, {}).get(name, nan)) for each in told)]
        metrics[split] = {name: fmean(each[split][name] for each in told) for name in names}
        if split == "validation":
            metrics["validation_std"] = {name: _deviation([each[split][name] for each in told]) for name in names}
    return metrics


def _deviation(values: Sequence[float]) -> float:
    return pstdev(values) if all(map(isfinite, values)) else nan  # which pstdev cannot say
