"""What a finished attempt leaves: its metrics, its weights as one file, and the receipt by which it can be repeated."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from learning.answers import answers_of
from learning.conformal import Calibration, scores_of
from learning.examples import Examples
from learning.experiment import Experiment
from learning.fitting import Pulse
from learning.keeping import keep
from learning.metrics import measure
from learning.model import Prediction, mean_prediction
from learning.network import Predictor
from learning.weights import together_sha256
from store import weights
from store.checkpoints import Checkpoint
from store.claims import Claim
from store.finishing import Result
from workers.exactness import versions
from workers.ranking import Metrics, means
from workers.reporting import Reporter

Told = tuple[Prediction, Examples]  # what is said of rows, and what is true of them


@dataclass(frozen=True)
class Making:
    """Where and how a run was trained; `exactness` has more than one class if it was moved to another machine."""

    device: str
    threads: int
    exactness: tuple[str, ...]


class Outcome:
    """Of a fit that ended with at least one member that did not fail."""

    def __init__(self, claim: Claim, experiment: Experiment, pulse: Pulse, reporter: Reporter) -> None:
        first = reporter.first(pulse.members)
        if first is None:
            raise ValueError("no member has finished an epoch")
        self._claim = claim
        self._experiment = experiment
        self._progress = pulse.members
        self._epochs = pulse.epoch
        self._reporter = reporter
        self._first = first
        self._members = [experiment.members[index] for index in first.members]
        self._folds = [experiment.fold_of(member) for member in self._members]
        trained = pulse.trained()
        self._predicting = [trained.tensors(index) for index in first.members]
        self._tensors, self._header = keep(experiment, trained, first.members, self._calibration())

    def weights_file(self) -> bytes:
        return weights.pack({name: tensor.numpy() for name, tensor in self._tensors.items()}, self._header)

    def result(self, blob: str, checkpoint: Checkpoint, warnings: list[dict[str, Any]], made: Making) -> Result:
        sha256 = together_sha256(self._predicting)
        metrics = self._metrics()
        best = self._first.best
        if self._claim.spec.get("ensemble") and best["metric"] == "validation.loss":
            best = {**best, "value": metrics["validation"]["loss"]}
        return Result(
            metrics=metrics,
            best=best,
            members=[
                self._reporter.member(
                    each, status="failed" if each.status == "failed" else "succeeded", weights_sha256=entry["sha256"]
                )
                for each, entry in zip(self._progress, self._header["members"], strict=True)
            ],
            weights_blob=blob,
            weights_sha256=sha256,
            checkpoint=checkpoint,
            device=made.device,
            warnings=_without_repeats([*warnings, *self._experiment.warnings]),
            receipt=self._receipt(sha256, made),
        )

    def _metrics(self) -> Metrics:
        """As told at the best epochs, with what is too dear to measure every epoch; the test split for the only time.

        Of folds the validation's are the means of each fold's own; of an ensemble all are those of its mean.
        """
        found = {split: dict(names) for split, names in self._first.metrics.items()}
        folds, members = self._folds, self._members

        def measured(said: Told, place: int) -> dict[str, float]:
            prediction, examples = said
            return measure(
                prediction.target,
                members[place].loss,
                prediction.outputs,
                examples.targets,
                examples.weights,
                smoothing=members[place].label_smoothing,
            )

        if self._by_folds:
            each_fold = [{"validation": measured(said, place)} for place, said in enumerate(self._validated)]
            for split, names in means(each_fold).items():
                found[split] = names | found.get(split, {})
        elif folds[0].validation is not None:
            exact = measured(self._validated[0], 0)
            found["validation"] = exact if len(members) > 1 else exact | found["validation"]
            found.pop("validation_std", None)
        if folds[0].test is not None:
            found["test"] = measured(self._told("test", range(len(members))), 0)
        return found

    def _calibration(self) -> Calibration | None:
        """Of folds by what each says of the rows that it was not trained on."""
        if not self._validated:
            return None
        parts = [
            scores_of(prediction.target, answers_of(prediction.target, prediction.outputs), examples.targets)
            for prediction, examples in self._validated
        ]
        return Calibration.of(self._folds[0].target, parts)

    @cached_property
    def _validated(self) -> list[Told]:
        """What is said of the validation rows: by each fold of its own, else by all that predict together."""
        places = range(len(self._members))
        if self._folds[0].validation is None:
            return []
        if self._by_folds:
            return [self._told("validation", [place]) for place in places]
        return [self._told("validation", places)]

    @property
    def _by_folds(self) -> bool:
        """Whether those that predict were validated on rows of their own; members of one fold were on the same."""
        return len({fold.index for fold in self._folds}) > 1

    def _told(self, split: str, places: Sequence[int]) -> Told:
        """By the mean of the members at these places, of the first one's rows."""
        of_each: list[Examples] = [getattr(self._folds[place], split) for place in places]
        parts = [
            Prediction(self._folds[place].target, self._predictors[place](examples.inputs))
            for place, examples in zip(places, of_each, strict=True)
        ]
        return (parts[0] if len(parts) == 1 else mean_prediction(parts)), of_each[0]

    @cached_property
    def _predictors(self) -> list[Predictor]:
        return [
            Predictor(member.network, tensors) for member, tensors in zip(self._members, self._predicting, strict=True)
        ]

    def _receipt(self, sha256: str, made: Making) -> dict[str, Any]:
        return {
            "run": self._claim.run_id,
            "dataset_sha256": self._claim.dataset.sha256,
            "spec": self._claim.spec,
            "seeds": [spec.seed for spec in self._experiment.members],
            "split_seed": self._claim.spec["split_seed"],
            "epochs": self._epochs,  # fewer than the spec's where the run was stopped
            # None that lie ahead of a run that was stopped while it repeated another one.
            "legs": [end for end in self._claim.legs if end <= self._epochs],
            "versions": versions(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "device": made.device,
            "threads": made.threads,
            # Within one of these the same spec and seeds give the same bits.
            "exactness": " then ".join(made.exactness),
            "weights_sha256": sha256,
        }


def _without_repeats(warnings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A warning that the API gave when the run was made may be found again by who trains it."""
    return list({(each["column"], each["code"]): each for each in warnings}.values())
