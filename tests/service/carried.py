"""An ONNX file as somebody reads it who has nothing of learnd: onnxruntime, numpy and what the file tells of itself."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

Row = Mapping[str, Any]  # as a record of a prediction request: null or absent is missing


class Carried:
    def __init__(self, content: bytes) -> None:
        self.content = content
        onnx.checker.check_model(content, full_check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    @cached_property
    def told(self) -> dict[str, Any]:
        """The metadata, JSON read where it is such."""
        found = self.session.get_modelmeta().custom_metadata_map
        lists = {"learnd.inputs", "learnd.outputs", "learnd.targets", "learnd.classes"}
        return {name: json.loads(text) if name in lists else text for name, text in found.items()}

    @cached_property
    def model(self) -> onnx.ModelProto:
        return onnx.load_from_string(self.content)

    def answer(self, rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
        """`prediction` and, where there are such, `probabilities`, however the file calls them."""
        feeds = {each["name"]: fed(each["type"], [row.get(each["name"]) for row in rows]) for each in self.inputs}
        names = self.told["learnd.outputs"]
        return dict(zip(names, self.session.run(list(names.values()), feeds), strict=True))

    @property
    def inputs(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.told["learnd.inputs"]
        return found


def fed(kind: str, values: Sequence[Any]) -> NDArray[Any]:
    """[N, 1]"""
    if kind == "categorical":
        return np.array([["" if value is None else value] for value in values], dtype=object)
    read = microseconds if kind == "datetime" else float
    return np.array([[math.nan if value is None else read(value)] for value in values], dtype=np.float64)


def microseconds(text: str) -> float:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e6
