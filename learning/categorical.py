"""A category of each row at the network's inputs: an input for each index of the vocabulary, 1 at the row's own; or, of
a column with many categories, the index itself, which the network turns into a learned embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from learning.columns import CategoricalColumn, Column, ColumnType, as_classes, count_codes, recode
from learning.errors import UnusableColumn
from learning.notices import Notices, constant, notice
from learning.specs import EmbeddingSpec
from learning.vocabulary import LIMIT, MOST, Vocabulary

# RealMLP's number too (see scaling.py), whatever the number of categories: rules that grow with it, such as fastai's
# 1.6 C^0.56, make hundreds of units of it, and most of a small network's weights.
UNITS = 8
MOST_ALONE = 0.9  # above this share of rows that are alone in their category, it names rows and tells nothing of others


@dataclass(frozen=True)
class CategoricalFeature:
    name: str
    vocabulary: Vocabulary
    units: int | None = None  # of its learned embedding; None: one-hot

    @property
    def type(self) -> ColumnType:
        return "categorical"

    @property
    def width(self) -> int:
        """The one-hot inputs; an embedded feature's index stands apart, behind all features' inputs."""
        return self.vocabulary.width if self.units is None else 0

    @property
    def embedding(self) -> EmbeddingSpec | None:
        return None if self.units is None else EmbeddingSpec(self.vocabulary.width, self.units)

    def indices(self, column: Column) -> Tensor:
        """[N] int64: each row's index in the vocabulary. Raises UnusableColumn for a column of times."""
        try:
            known = column if isinstance(column, CategoricalColumn) else as_classes(column)
        except TypeError:
            raise UnusableColumn(self.name, "holds times, and was categorical at training") from None
        return recode(known, self.vocabulary.indices(known.values), missing=self.vocabulary.missing_index)

    def to_json(self) -> dict[str, Any]:
        vocabulary = self.vocabulary
        found = {"name": self.name, "type": self.type, "categories": list(vocabulary.categories)}
        return {**found, "missing": vocabulary.missing, "unseen": sorted(vocabulary.unseen), "units": self.units}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "CategoricalFeature":
        # Weights of before there were embeddings and folds have neither `unseen` nor `units`.
        vocabulary = Vocabulary(tuple(found["categories"]), found["missing"], frozenset(found.get("unseen", ())))
        return cls(found["name"], vocabulary, found.get("units"))


def fit_categorical(
    name: str, among: CategoricalColumn, rows: CategoricalColumn
) -> tuple[CategoricalFeature | None, Notices]:
    """None where all rows are the same, or nearly each has a category of its own."""
    counts = count_codes(among)
    present = sum(counts)
    missing = among.rows - present
    vocabulary = Vocabulary.fit(among.values, counts, missing, None if rows is among else count_codes(rows))
    distinct = len(vocabulary.categories) + vocabulary.shared
    if distinct == 1 and not missing:
        return None, [constant(name)]
    if distinct <= LIMIT:
        return CategoricalFeature(name, vocabulary), []
    if counts.count(1) > MOST_ALONE * present:
        return None, [notice(name, "identifier_column", "has nearly a category for each train row; ignored")]
    feature = CategoricalFeature(name, vocabulary, UNITS)
    if not vocabulary.shared:
        return feature, []
    which = f"are in one train row each, or the rarest beyond {MOST}; they"
    message = f"has {distinct} categories, of which {vocabulary.shared} {which} are told apart no more"
    return feature, [notice(name, "rare_categories", message)]
