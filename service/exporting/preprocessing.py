"""Raw features as inputs of a graph, and what a preprocessing makes of them there: `learning.preprocessing` in ONNX.

    type                    an input [N, 1] of    a missing one is
    numeric, datetime       double                NaN; a time is in microseconds since 1970 in UTC
    boolean                 double, 0 or 1        NaN
    categorical             string                empty, as no category of a dataset is

Numbers of all features are worked on together, as one matrix [N, M] of double.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from learning.datetimes import COURSES, PERIODS, YEAR
from learning.features import CategoricalFeature, DatetimeFeature, Feature, NumericFeature
from learning.numeric import Number
from learning.preprocessing import Preprocessing
from learning.scaling import CLIP
from learning.vocabulary import Vocabulary
from service.exporting.graph import DOUBLE, STRING, Graph

_ABOUT = {
    "numeric": "a number; NaN is missing",
    "boolean": "1 is true, 0 is false, NaN is missing",
    "datetime": "microseconds since 1970 in UTC; NaN is missing",
    "categorical": "a category; an empty string is missing, and any other text that training did not know is unknown",
}


@dataclass(frozen=True)
class Encoded:
    dense: str | None  # [N, F] float32; None where every feature is embedded
    embedded: tuple[str, ...]  # [N] int64 each: which row of its embedding's table


class RawFeatures:
    """The inputs of a graph; several preprocessings of the same features share what is the same for all."""

    def __init__(self, graph: Graph, features: Sequence[Feature]) -> None:
        self._graph = graph
        for feature in features:
            kind = STRING if feature.type == "categorical" else DOUBLE
            ignored = "; it tells the network nothing, and is not looked at" if not _speaks(feature) else ""
            graph.input(feature.name, kind, ["rows", 1], _ABOUT[feature.type] + ignored)
        self._numbers: dict[tuple[tuple[str, ...], ...], str] = {}
        self._indices: dict[tuple[str, Vocabulary], str] = {}

    def encode(self, preprocessing: Preprocessing) -> Encoded:
        numeric = [each for each in preprocessing.fitted if isinstance(each, NumericFeature | DatetimeFeature)]
        categorical = [each for each in preprocessing.fitted if isinstance(each, CategoricalFeature)]
        indices = {feature.name: self._index(feature) for feature in categorical}
        parts = [
            *(self._scaled(numeric, preprocessing.farthest) if numeric else []),
            *(self._one_hot(indices[each.name], each.width) for each in categorical if each.embedding is None),
        ]
        dense = self._in_order(self._beside(parts), _order(preprocessing.fitted)) if parts else None
        return Encoded(dense, tuple(indices[each.name] for each in categorical if each.embedding is not None))

    def _scaled(self, features: Sequence[NumericFeature | DatetimeFeature], farthest: float) -> list[str]:
        """The values that have an input, and the flags of those missing, each float32 and beside one another."""
        graph, numbers = self._graph, list(chain.from_iterable(feature.numbers for feature in features))
        values = self._raw(features)
        # Neither of infinity nor of NaN is this true.
        there = graph.add("LessOrEqual", graph.add("Abs", values), graph.number(sys.float_info.max), name="present")
        filled = graph.add("Where", there, values, self._row([each.fill for each in numbers], "fill"))
        scaled = graph.add("Sub", filled, self._row([each.shift for each in numbers], "middle"))
        scaled = graph.add("Div", scaled, self._row([each.scale for each in numbers], "spread"))
        scaled = graph.add("Clip", scaled, graph.number(-farthest), graph.number(farthest))
        scaled = self._clipped(scaled, numbers)
        parts = []
        if any(number.valued for number in numbers):
            valued = self._chosen(scaled, [number.valued for number in numbers])
            parts.append(graph.add("Cast", valued, to=1, name="values"))
        if any(number.flagged for number in numbers):
            missing = graph.add("Cast", graph.add("Not", there), to=1, name="missing")
            parts.append(self._chosen(missing, [number.flagged for number in numbers]))
        return parts

    def _raw(self, features: Sequence[NumericFeature | DatetimeFeature]) -> str:
        """[N, M] double: of each feature its numbers, side by side."""
        place = tuple((each.name, *(each.courses if isinstance(each, DatetimeFeature) else ())) for each in features)
        if place not in self._numbers:
            self._numbers[place] = self._beside(list(chain.from_iterable(map(self._read, features))))
        return self._numbers[place]

    def _read(self, feature: NumericFeature | DatetimeFeature) -> list[str]:
        graph, values = self._graph, feature.name
        if isinstance(feature, NumericFeature):
            return [values]
        years = graph.add("Div", values, graph.number(YEAR), name="years")
        if not feature.courses:
            return [years]
        # A cosine is the sine a quarter of a turn later.
        places = [COURSES.index(course) for course in feature.courses]
        turns = graph.add("Div", values, self._row([PERIODS[place // 2] for place in places], "periods"))
        turns = graph.add("Sub", turns, graph.add("Floor", turns))
        angles = graph.add("Mul", turns, graph.number(2 * math.pi))
        angles = graph.add("Add", angles, self._row([math.pi / 2 * (place % 2) for place in places], "quarters"))
        return [years, graph.add("Sin", angles, name="courses")]

    def _clipped(self, scaled: str, numbers: Sequence[Number]) -> str:
        clipped = [number.clipped for number in numbers]
        if not any(clipped):
            return scaled
        graph = self._graph
        ratio = graph.add("Div", scaled, graph.number(CLIP))
        root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", ratio, ratio), graph.number(1.0)))
        drawn_in = graph.add("Div", scaled, root)
        if all(clipped):
            return drawn_in
        return graph.add("Where", graph.constant(np.array([clipped])), drawn_in, scaled)

    def _index(self, feature: CategoricalFeature) -> str:
        """[N] int64: the place of each row's category in the vocabulary."""
        graph, vocabulary = self._graph, feature.vocabulary
        place = (feature.name, vocabulary)
        if place not in self._indices:
            known = [index for index in range(len(vocabulary.categories)) if index not in vocabulary.unseen]
            index = graph.add(
                "LabelEncoder",
                feature.name,
                domain="ai.onnx.ml",
                keys_strings=[*(str(vocabulary.categories[index]) for index in known), ""],
                values_int64s=[*known, vocabulary.missing_index],
                default_int64=len(vocabulary.categories),
            )
            self._indices[place] = graph.add("Squeeze", index, graph.constant(np.array([1])), name="index")
        return self._indices[place]

    def _one_hot(self, index: str, width: int) -> str:
        graph = self._graph
        depth, values = graph.constant(np.array(width)), graph.constant(np.array([0, 1], np.float32))
        return graph.add("OneHot", index, depth, values, axis=1)

    def _chosen(self, columns: str, which: Sequence[bool]) -> str:
        if all(which):
            return columns
        return self._graph.add("Gather", columns, self._graph.constant(np.flatnonzero(which)), axis=1)

    def _beside(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else self._graph.add("Concat", *parts, axis=1)

    def _in_order(self, columns: str, order: Sequence[int]) -> str:
        if list(order) == sorted(order):
            return columns
        return self._graph.add("Gather", columns, self._graph.constant(np.array(order)), axis=1, name="inputs")

    def _row(self, numbers: Sequence[float], name: str) -> str:
        """[1, M]"""
        return self._graph.constant(np.array([numbers], np.float64), name)


def _speaks(feature: Feature) -> bool:
    return feature.width > 0 or (isinstance(feature, CategoricalFeature) and feature.embedding is not None)


def _order(fitted: Sequence[Feature]) -> list[int]:
    """Of each of the network's inputs, its place where all values come first, then all flags, then what is one-hot."""
    values: list[int] = []
    flags: list[int] = []
    one_hot: list[int] = []
    at = 0
    for feature in fitted:
        if isinstance(feature, NumericFeature | DatetimeFeature):
            for number in feature.numbers:
                values += [at] * number.valued
                flags += [at + number.valued] * number.flagged
                at += number.width
        else:
            one_hot += range(at, at + feature.width)
            at += feature.width
    places = {at: place for place, at in enumerate((*values, *flags, *one_hot))}
    return [places[at] for at in range(len(places))]
