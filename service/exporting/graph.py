"""An ONNX graph as it grows, value by value.

Only operators that have been the same since opset 13 stand in it, and of `ai.onnx.ml` the label encoder of 2, so that
every runtime of the last years can read it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
ML_OPSET = 2
IR_VERSION = 7  # the first that knew opset 13
MOST_BYTES = (2 << 30) - (64 << 20)  # what protobuf holds in a file, less room for all that is no weight

DOUBLE, STRING = TensorProto.DOUBLE, TensorProto.STRING

Shape = list[str | int]  # a dimension by its name where it varies


class TooLarge(ValueError):
    """The constants of a graph do not fit into one ONNX file."""


class Graph:
    """Values go by their names, each its own: whatever a feature is called, nothing else is called that."""

    def __init__(self, about: str) -> None:
        self.model = onnx.ModelProto(
            ir_version=IR_VERSION,
            opset_import=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        )
        self._graph = self.model.graph
        self._graph.name = "learnd"
        self._graph.doc_string = about
        self._used: dict[str, int] = {}
        self._bytes = 0

    def input(self, name: str, kind: int, shape: Shape, about: str) -> str:
        assert name not in self._used, "inputs come first"
        self._used[name] = 1
        self._graph.input.append(helper.make_tensor_value_info(name, kind, shape, about))
        return name

    def output(self, value: str, name: str, kind: int, shape: Shape, about: str) -> str:
        """Let the value be an output called `name`, or `name_2` where a feature is called that; what it is called."""
        named = self.add("Identity", value, name=name)
        self._graph.output.append(helper.make_tensor_value_info(named, kind, shape, about))
        return named

    def add(self, operator: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """The value that the operator makes of others."""
        value = self._own(name or operator.lower())
        node = helper.make_node(operator, list(inputs), [value], name=value, domain=domain or None, **attributes)
        self._graph.node.append(node)
        return value

    def constant(self, array: NDArray[Any], name: str = "constant") -> str:
        """Raises TooLarge where all of them no longer fit."""
        self._bytes += array.nbytes
        if self._bytes > MOST_BYTES:
            raise TooLarge
        value = self._own(name)
        # Filled where it stays: with large weights every copy counts.
        self._graph.initializer.add().CopyFrom(numpy_helper.from_array(array, value))
        return value

    def number(self, value: float, kind: type = np.float64) -> str:
        return self.constant(np.array(value, kind))

    def finish(self, properties: Mapping[str, str]) -> bytes:
        """The file."""
        helper.set_model_props(self.model, dict(properties))
        content: bytes = self.model.SerializeToString(deterministic=True)
        return content

    def _own(self, wanted: str) -> str:
        name = wanted
        while name in self._used:
            self._used[wanted] = self._used.get(wanted, 1) + 1
            name = f"{wanted}_{self._used[wanted]}"
        self._used[name] = 1
        return name
