"""What a finished attempt leaves: its metrics, its weights as one file, and the receipt by which it can be repeated."""

import platform
from functools import cache
from importlib.metadata import version
from typing import Any

import torch

from learning.examples import Examples
from learning.experiment import Experiment
from learning.fitting import Pulse
from learning.metrics import measure
from learning.network import Predictor
from learning.weights import member_sha256, slice_member
from store import weights
from store.claims import Claim
from store.finishing import Result
from workers.reporting import Reporter, best_of, shown

FORMAT = "learnd.weights/1"
_LIBRARIES = ("learnd", "torch", "numpy")


class Outcome:
    """Of a fit that ended with at least one member that did not fail."""

    def __init__(self, claim: Claim, experiment: Experiment, pulse: Pulse) -> None:
        best = best_of(pulse.members)
        if best is None:
            raise ValueError("no member has finished an epoch")
        self._claim = claim
        self._experiment = experiment
        self._members = pulse.members
        self._best = best
        self._tensors = pulse.trained().stacked()
        members = range(len(pulse.members))
        self._hashes = [member_sha256(slice_member(self._tensors, index)) for index in members]

    def weights_file(self) -> bytes:
        experiment = self._experiment
        members = zip(experiment.members, self._hashes, strict=True)
        header = {
            "format": FORMAT,
            "task": self._claim.task,
            "preprocessing": experiment.preprocessing.to_json(),
            "target": experiment.target.to_json(),
            "network": self._claim.spec["network"],
            "members": [{"index": spec.index, "seed": spec.seed, "sha256": sha256} for spec, sha256 in members],
            "best": self._best.index,
        }
        return weights.pack({name: tensor.numpy() for name, tensor in self._tensors.items()}, header)

    def result(
        self, reporter: Reporter, blob: str, warnings: list[dict[str, Any]], device: str, threads: int
    ) -> Result:
        sha256 = self._hashes[self._best.index]
        return Result(
            metrics=self._metrics(reporter),
            best=shown(self._best),
            members=[
                reporter.member(each, status="failed" if each.status == "failed" else "succeeded", weights_sha256=hash_)
                for each, hash_ in zip(self._members, self._hashes, strict=True)
            ],
            weights_blob=blob,
            weights_sha256=sha256,
            device=device,
            warnings=_without_repeats([*warnings, *self._experiment.warnings]),
            receipt=self._receipt(sha256, device, threads),
        )

    def _metrics(self, reporter: Reporter) -> dict[str, dict[str, float]]:
        """As told at the best epoch, with what is too dear to measure every epoch; the test split for the only time."""
        found = reporter.metrics(self._best)
        spec = self._experiment.members[self._best.index]
        predict = Predictor(spec.network, slice_member(self._tensors, self._best.index))

        def measured(examples: Examples) -> dict[str, float]:
            outputs = predict(examples.inputs)
            return measure(self._experiment.target, spec.loss, outputs, examples.targets, examples.weights)

        if self._experiment.validation is not None:
            found["validation"] = measured(self._experiment.validation) | found["validation"]
        if self._experiment.test is not None:
            found["test"] = measured(self._experiment.test)
        return found

    def _receipt(self, sha256: str, device: str, threads: int) -> dict[str, Any]:
        versions = _versions()
        capability = torch.backends.cpu.get_cpu_capability()
        return {
            "dataset_sha256": self._claim.dataset.sha256,
            "spec": self._claim.spec,
            "seeds": [spec.seed for spec in self._experiment.members],
            "split_seed": self._claim.spec["split_seed"],
            "versions": versions,
            "cpu_capability": capability,
            "device": device,
            "threads": threads,
            # Within one of these the same spec and seeds give the same bits.
            "exactness": f"torch {versions['torch']}, {platform.machine()} {capability}, {device}",
            "weights_sha256": sha256,
        }


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def _without_repeats(warnings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A warning that the API gave when the run was made may be found again by who trains it."""
    return list({(each["column"], each["code"]): each for each in warnings}.values())
