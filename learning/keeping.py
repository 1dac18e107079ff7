"""What is kept of a run: one file of all members' tensors and a header, and the models that it holds.

    header     {"format", "task", "folds": [{"preprocessing", "target"}], "networks": [{"layers"}],
                "members": [{"index", "seed", "fold", "network", "place", "sha256"}], "predicts": [index, …],
                "calibration": null or {"rows"}}
    tensors    `<network>.layers.<i>.weight` [K, in, out] and so on: members of one shape are stacked;
                `calibration` [S, m], the scores that intervals and sets are made by

`fold` and `network` are places in these lists, `place` a member's in its stack. All folds have a column's categories in
common, and only the first one names them. `predicts` are the members that the run answers by: its best one, or all
whose mean it is. A file of one member alone has its own tensors without a first axis, by the names of
`weights.tensors_of`, and in its header nothing of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from learning.conformal import Calibration
from learning.experiment import Experiment, Fold
from learning.model import MeanModel, Model
from learning.preprocessing import Preprocessing
from learning.specs import MemberSpec, network_of
from learning.targets import Target
from learning.trained import Trained
from learning.weights import member_sha256, slice_member, together_sha256

FORMAT = "learnd.run/1"
MEMBER_FORMAT = "learnd.weights/1"


class NotKept(KeyError):
    """No such member is in the file."""


def keep(
    experiment: Experiment, trained: Trained, predicts: Sequence[int], calibration: Calibration | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a run's file; `calibration` is of all that `predicts` together."""
    tensors: dict[str, Tensor] = {}
    members: dict[int, dict[str, Any]] = {}
    # Members with other weights in the loss see the same rows in the same way: to the model that is one fold.
    folds = {_sight(fold): fold for fold in map(experiment.fold_of, experiment.members)}
    places = {sight: place for place, sight in enumerate(folds)}
    for number, stack in enumerate(trained.stacks):
        stacked = stack.tensors()
        tensors |= {f"{number}.{name}": tensor for name, tensor in stacked.items()}
        for place, spec in enumerate(stack.members):
            fold = places[_sight(experiment.fold_of(spec))]
            sha256 = member_sha256(slice_member(stacked, place))
            members[spec.index] = _entry(spec) | {"fold": fold, "network": number, "place": place, "sha256": sha256}
    header = {
        "format": FORMAT,
        "task": experiment.spec["task"],
        "folds": _told(list(folds.values())),
        "networks": [asdict(stack.members[0].network) for stack in trained.stacks],
        "members": [members[index] for index in sorted(members)],
        "predicts": list(predicts),
        "calibration": None if calibration is None else {"rows": calibration.rows},
    }
    if calibration is not None:
        tensors["calibration"] = calibration.scores
    return tensors, header


def _entry(spec: MemberSpec) -> dict[str, Any]:
    return {"index": spec.index, "seed": spec.seed}


def _sight(fold: Fold) -> tuple[int, Target]:
    return id(fold.preprocessing), fold.target


def _told(folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """The folds as JSON, categories in the first one only: with thousands in each, they would outgrow any header."""
    return _without_repeats(
        [{"preprocessing": fold.preprocessing.to_json(), "target": fold.target.to_json()} for fold in folds]
    )


def _without_repeats(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for fold in told[1:]:
        for feature, first in zip(fold["preprocessing"]["features"], told[0]["preprocessing"]["features"], strict=True):
            if "categories" in feature and feature["categories"] == first.get("categories"):
                del feature["categories"]
    return told


def _whole(fold: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """The preprocessing of a fold with what only the first one says."""
    told = fold["preprocessing"]
    features = [
        {"categories": shared["categories"], **own} if "categories" in shared else own
        for own, shared in zip(told["features"], first["preprocessing"]["features"], strict=True)
    ]
    return {**told, "features": features}


@dataclass(frozen=True, eq=False)
class Kept:
    """A run's file, read."""

    tensors: Mapping[str, Tensor]
    header: Mapping[str, Any]

    @property
    def predicts(self) -> tuple[int, ...]:
        return tuple(self.header["predicts"])

    def model(self, member: int | None = None) -> Model | MeanModel:
        """What the run predicts as, or one member of it. Raises NotKept."""
        members = self.predicts if member is None else (member,)
        parts = tuple(self._model(each) for each in members)
        calibration = self.calibration if members == self.predicts else None
        return replace(parts[0], calibration=calibration) if len(parts) == 1 else MeanModel(parts, calibration)

    @property
    def calibration(self) -> Calibration | None:
        """Of what the run predicts as; None where there were no rows to learn it from."""
        told = self.header.get("calibration")
        if told is None:
            return None
        _, target = self._folds[self._entry(self.predicts[0])["fold"]]
        return Calibration(target, self.tensors["calibration"], told["rows"])

    def member(self, member: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and the header of a file of this member alone. Raises NotKept."""
        own = self._entry(member)
        fold = self.header["folds"][own["fold"]]
        header = {
            "format": MEMBER_FORMAT,
            "task": self.header["task"],
            "preprocessing": _whole(fold, self.header["folds"][0]),
            "target": fold["target"],
            "network": self.header["networks"][own["network"]],
            "members": [{name: own[name] for name in ("index", "seed", "sha256")}],
            "best": member,
        }
        return self._tensors(own), header

    def only(self, members: Sequence[int]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and the header of a run's file that holds these members, and answers by them. Raises NotKept."""
        entries = [dict(self._entry(member)) for member in members]
        networks = sorted({entry["network"] for entry in entries})
        folds = sorted({entry["fold"] for entry in entries})
        tensors: dict[str, Tensor] = {}
        for number, network in enumerate(networks):
            own = [entry for entry in entries if entry["network"] == network]
            places = [entry["place"] for entry in own]
            tensors |= {f"{number}.{name}": tensor[places] for name, tensor in self._stacks[str(network)].items()}
            for place, entry in enumerate(own):
                entry |= {"network": number, "place": place, "fold": folds.index(entry["fold"])}
        told = [self.header["folds"][fold] for fold in folds]
        whole = [{**fold, "preprocessing": _whole(fold, self.header["folds"][0])} for fold in told]
        header = {
            **self.header,
            "folds": _without_repeats(whole),
            "networks": [self.header["networks"][network] for network in networks],
            "members": sorted(entries, key=lambda entry: int(entry["index"])),
            "predicts": list(members),
            "calibration": None,
        }
        if tuple(members) == self.predicts and self.header.get("calibration") is not None:
            header["calibration"] = self.header["calibration"]
            tensors["calibration"] = self.tensors["calibration"]
        return tensors, header

    def sha256(self, members: Sequence[int]) -> str:
        """That of these members' bytes in order, as a run's `weights_sha256`. Raises NotKept."""
        return together_sha256(self._tensors(self._entry(member)) for member in members)

    def _model(self, member: int) -> Model:
        own = self._entry(member)
        preprocessing, target = self._folds[own["fold"]]
        return Model(preprocessing, target, network_of(self.header["networks"][own["network"]]), self._tensors(own))

    def _tensors(self, own: Mapping[str, Any]) -> dict[str, Tensor]:
        return slice_member(self._stacks[str(own["network"])], own["place"])

    def _entry(self, member: int) -> Mapping[str, Any]:
        found: Mapping[str, Any] | None = self._members.get(member)
        if found is None:
            raise NotKept(member)
        return found

    @cached_property
    def _members(self) -> dict[int, Mapping[str, Any]]:
        return {each["index"]: each for each in self.header["members"]}

    @cached_property
    def _stacks(self) -> dict[str, dict[str, Tensor]]:
        """By network, the tensors by the names of `weights.tensors_of`."""
        found: dict[str, dict[str, Tensor]] = {}
        for name, tensor in self.tensors.items():
            network, _, own = name.partition(".")
            found.setdefault(network, {})[own] = tensor
        return found

    @cached_property
    def _folds(self) -> list[tuple[Preprocessing, Target]]:
        return [
            (Preprocessing.from_json(_whole(each, self.header["folds"][0])), Target.from_json(each["target"]))
            for each in self.header["folds"]
        ]
