"""A receipt on its way back in: what `GET /v1/runs/{id}/receipt` says, and nothing else."""

import re
from typing import Any

from marshmallow import fields

from service.schemas.fields import Text, Whole, Worded, with_schema
from service.schemas.run_spec import MOST_EPOCHS, MOST_SEED, RunIn
from service.schemas.shapes import Items, Labels, Object, StrictSchema

MOST_GENERATIONS = 1_000
MOST_SEEDS = 1 << 20


class Written(Worded, fields.String):
    """Text of one pattern."""

    def __init__(self, pattern: str, allowed: str, **kwargs: Any) -> None:
        super().__init__(**with_schema(kwargs, pattern=f"^{pattern}$"))
        self.pattern, self.allowed = re.compile(pattern), allowed

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not self.pattern.fullmatch(value):
            raise self.refuse()
        return value


def _sha256(description: str) -> Written:
    allowed = "a SHA-256, as 64 digits of 0123456789abcdef"
    return Written("[0-9a-f]{64}", allowed, required=True, metadata={"description": description})


class ReceiptIn(StrictSchema):
    """A receipt as it was written. What it takes to train the run again is required; the rest says what to expect."""

    run = Written(
        "run_[0-9a-z]{26}",
        "the id of a run",
        metadata={"description": "The one whose receipt it is, here or elsewhere"},
    )
    dataset_sha256 = _sha256("Of the file that the dataset was made of")
    spec = Object(RunIn, required=True, metadata={"description": "The resolved spec, every field of it"})
    seeds = Items(Whole(at_least=0, at_most=MOST_SEED), longest=MOST_SEEDS, noun="seeds, one for each member")
    split_seed = Whole(at_least=0, at_most=MOST_SEED)
    epochs = Whole(
        at_least=1,
        at_most=MOST_EPOCHS,
        metadata={"description": "How many were trained: fewer than the spec says where the run was stopped"},
    )
    legs = Items(
        Whole(at_least=1, at_most=MOST_EPOCHS),
        longest=MOST_GENERATIONS,
        noun="epochs, each where the run ended before it was extended",
    )
    versions = Labels()
    cpu_capability = Text()
    device = Text()
    threads = Whole(at_least=1, at_most=MOST_EPOCHS)
    exactness = Text(longest=2_000)
    weights_sha256 = _sha256("What is to come of it")
