"""What a network's outputs mean, in a graph: `learning.targets` and `learning.model.mean_prediction` in ONNX.

    task         prediction                                          probabilities
    regression   [N] double; [N, T] where the target is a list       none
    binary       [N], the class in the type of its column            [N, 2] double
    multiclass   the same                                            [N, C] double
    multilabel   [N, T] boolean                                      [N, T] double

Several networks answer by the mean of their values in their own units, or of their probabilities.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from learning.targets import LARGEST_EXPONENT, Target
from learning.vocabulary import Value
from service.exporting.graph import DOUBLE, STRING, Graph

PREDICTION, PROBABILITIES = "prediction", "probabilities"


def answer(graph: Graph, target: Target, parts: Sequence[tuple[Target, str]]) -> dict[str, str]:
    """The graph's outputs, from those of each network [N, width] with its own target; by what each is called there."""
    if target.task == "regression":
        return {PREDICTION: _numbers(graph, target, _mean(graph, [_values(graph, *part) for part in parts]))}
    probabilities = _mean(graph, [_probabilities(graph, *part) for part in parts])
    if target.classes is None:
        labels = graph.add("Greater", probabilities, graph.number(0.5))
        shape: list[str | int] = ["rows", len(target.names)]
        prediction = graph.output(labels, PREDICTION, TensorProto.BOOL, shape, "in the targets' order")
    else:
        prediction = _class(graph, target.classes, probabilities)
    assert target.outcomes is not None, "only a regression has none"
    shape = ["rows", len(target.outcomes)]
    about = "in the order of learnd.classes, in the metadata"
    return {
        PREDICTION: prediction,
        PROBABILITIES: graph.output(probabilities, PROBABILITIES, DOUBLE, shape, about),
    }


def _numbers(graph: Graph, target: Target, values: str) -> str:
    if target.listed:
        return graph.output(values, PREDICTION, DOUBLE, ["rows", len(target.names)], "in the targets' units and order")
    alone = graph.add("Squeeze", values, graph.constant(np.array([1])))
    return graph.output(alone, PREDICTION, DOUBLE, ["rows"], "in the target's unit")


def _values(graph: Graph, target: Target, outputs: str) -> str:
    """[N, T] double, in the targets' own units."""
    values = graph.add("Cast", outputs, to=DOUBLE)
    if target.link == "log":
        values = graph.add("Exp", graph.add("Min", values, graph.number(LARGEST_EXPONENT)))
    values = graph.add("Mul", values, graph.constant(np.array([target.scale])))
    return graph.add("Add", values, graph.constant(np.array([target.shift])))


def _probabilities(graph: Graph, target: Target, outputs: str) -> str:
    """[N, C] double, one for each outcome."""
    logits = graph.add("Cast", outputs, to=DOUBLE)
    if target.task == "multilabel":
        powers = graph.add("Exp", graph.add("Neg", logits))
        return graph.add("Reciprocal", graph.add("Add", powers, graph.number(1.0)))
    if target.task == "binary":  # the softmax of the logits 0 and z is s(-z) and s(z)
        logits = graph.add("Mul", logits, graph.constant(np.array([[0.0, 1.0]])))
    return graph.add("Softmax", logits, axis=1)


def _mean(graph: Graph, parts: Sequence[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    return graph.add("Div", graph.add("Sum", *parts), graph.number(len(parts)))


def _class(graph: Graph, classes: Sequence[Value], probabilities: str) -> str:
    kind, array = _typed(classes)
    likeliest = graph.add("ArgMax", probabilities, axis=1, keepdims=0)
    label = graph.add("Gather", graph.constant(array, "classes"), likeliest, axis=0)
    return graph.output(label, PREDICTION, kind, ["rows"], "the likeliest class")


def _typed(classes: Sequence[Value]) -> tuple[int, NDArray[np.generic]]:
    """As ONNX has them."""
    match classes[0]:
        case str():
            return STRING, np.array(classes, dtype=object)
        case bool():
            return TensorProto.BOOL, np.array(classes)
        case int():
            return TensorProto.INT64, np.array(classes, dtype=np.int64)
        case _:
            return DOUBLE, np.array(classes)
