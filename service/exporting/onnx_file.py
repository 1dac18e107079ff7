"""A model as one ONNX file that takes raw features: the preprocessing, every network that answers, what it means."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from learning.model import MeanModel, Model
from learning.weights import together_sha256
from service.exporting import answers, network
from service.exporting.graph import Graph, TooLarge
from service.exporting.preprocessing import RawFeatures
from service.problems import Clash

_ABOUT = """Made by learnd. Each feature is an input of its own name, [rows, 1]: numbers as double, NaN where missing; \
true and false as 1 and 0; times as microseconds since 1970 in UTC; categories as strings, empty where missing. \
What the columns are, and what the outputs mean, is told in the model's metadata as JSON."""


def onnx_file(model: Model | MeanModel, source: Mapping[str, str]) -> bytes:
    """`source` says where the model is from, {"run": "run_…"}; it stands in the metadata with the rest.

    Raises Clash where the weights do not fit into one.
    """
    try:
        return _written(model.parts if isinstance(model, MeanModel) else (model,), source)
    except TooLarge:
        raise Clash("An ONNX file holds at most 2 GiB, and these weights are more; a member alone may fit.") from None


def _written(parts: Sequence[Model], source: Mapping[str, str]) -> bytes:
    target = parts[0].target
    graph = Graph(_ABOUT)
    features = RawFeatures(graph, parts[0].preprocessing.fitted)
    encoded = {id(part.preprocessing): part.preprocessing for part in parts}
    inputs = {key: features.encode(preprocessing) for key, preprocessing in encoded.items()}
    found = []
    for place, part in enumerate(parts):
        prefix = "" if len(parts) == 1 else f"{place}."
        found.append((part.target, network.outputs(graph, inputs[id(part.preprocessing)], part, prefix)))
    named = answers.answer(graph, target, found)
    graph.model.producer_name, graph.model.producer_version = "learnd", version("learnd")
    told = {
        **source,
        "version": version("learnd"),
        "weights_sha256": together_sha256(part.tensors for part in parts),
        "task": target.task,
        "inputs": json.dumps([{"name": each["name"], "type": each["type"]} for each in parts[0].inputs]),
        "outputs": json.dumps(named),
        "targets": json.dumps(target.outputs),
    }
    if target.outcomes is not None:
        told["classes"] = json.dumps(target.outcomes)
    return graph.finish({f"learnd.{name}": text for name, text in told.items()})
