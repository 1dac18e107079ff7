"""Tables, networks and questions drawn at random, of every kind of column and task that there is."""

import csv
import io
import json
import math
import random
from dataclasses import dataclass
from typing import Any

from learning.specs import ACTIVATIONS, NORMALIZATIONS

Row = dict[str, Any]
# Names that a graph has uses of its own for, and names that are awkward wherever names are written.
NAMES = ["prediction", "probabilities", "gemm", "layers.0.weight", "outputs_2", "a b", 'so "called"', "it's", "größe ☃"]
NAMES += ["x/y:0", "%s{0}", "prediction_2", "index", "#", "名前"]
KINDS = ["number", "gaps", "wide", "whole", "boolean", "maybe", "colour", "code", "day", "moment", "constant"]
TASKS = ["regression", "several", "poisson", "binary", "classes", "multilabel"]
POPULATIONS = ["alone", "folds", "ensemble", "folds of a sweep"]


@dataclass(frozen=True)
class Question:
    """A dataset's text, what is asked of it, and rows to answer for: missing, unknown and far out ones among them."""

    table: str
    target: str | list[str]
    spec: dict[str, Any]
    rows: list[Row]


def question(seed: int, task: str, population: str, rows: int = 160) -> Question:
    drawn = random.Random(f"{seed} {task} {population}")
    kinds = drawn.sample(KINDS, drawn.randint(3, 8))
    features = dict(zip(drawn.sample(NAMES, len(kinds)), kinds, strict=True))
    if "code" in kinds:  # its embedding begins at 65 categories
        rows = 900
    known = [{name: cell(kind, drawn) for name, kind in features.items()} for _ in range(rows)]
    target, asked, found = answers(task, known, drawn)
    out = io.StringIO()
    written = csv.writer(out)
    written.writerow([*features, *found])
    columns = list(zip(*found.values(), strict=True))
    for row, own in zip(known, columns, strict=True):
        written.writerow([*map(text, row.values()), *own])
    spec = {**asked, **network(drawn), **members(population, drawn), "epochs": drawn.randint(1, 4), "seed": seed}
    spec |= {"optimizer": {"name": "adam", "learning_rate": 0.01}, "features": list(features)}
    asking = [{name: new_cell(kind, drawn) for name, kind in features.items()} for _ in range(60)]
    return Question(out.getvalue(), target, spec, [{}, *asking])


def cell(kind: str, drawn: random.Random) -> Any:
    match kind:
        case "number":
            return drawn.gauss(3, 2)
        case "gaps":
            return None if drawn.random() < 0.2 else drawn.gauss(-40, 10)
        case "wide":  # as prices are, with a few far out
            return math.exp(drawn.gauss(0, 4))
        case "whole":
            return drawn.randint(0, 30)
        case "boolean":
            return drawn.random() < 0.3
        case "maybe":
            return drawn.choice([True, False, None])
        case "colour":
            return drawn.choice(["red", "green", "blue, light", 'a "quoted" one', "größe", None])
        case "code":
            return f"c{min(drawn.randrange(90), drawn.randrange(90)):02}"
        case "day":
            return f"20{drawn.randint(10, 26)}-{drawn.randint(1, 12):02}-{drawn.randint(1, 28):02}"
        case "moment":
            return None if drawn.random() < 0.1 else f"{cell('day', drawn)}T{drawn.randrange(24):02}:30:15.125Z"
        case _:
            return 7


def new_cell(kind: str, drawn: random.Random) -> Any:
    """As a caller may send it, who knows nothing of the train rows."""
    chance = drawn.random()
    if chance < 0.1:
        return None
    if chance < 0.2:
        far = {"colour": "mauve", "code": "never seen", "day": "1901-02-03", "moment": "2199-12-31T23:59:59+05:30"}
        return far.get(kind, cell(kind, drawn) if kind in ("boolean", "maybe") else -1234.5)
    return cell(kind, drawn)


def answers(task: str, rows: list[Row], drawn: random.Random) -> tuple[Any, dict[str, Any], dict[str, list[Any]]]:
    """The target, what is asked for it, and its columns: numbers that hang together with the rows, and some chance."""
    scores = [4 * drawn.random() + sum(len(text(each)) + _hash(each) % 7 for each in row.values()) for row in rows]
    middle = sorted(scores)[len(scores) // 2]
    match task:
        case "regression":
            return "y", {"task": "regression"}, {"y": [1e4 + 50 * each + drawn.gauss(0, 5) for each in scores]}
        case "several":
            columns = {"y": [-3 * each for each in scores], "z": [each * each + drawn.random() for each in scores]}
            return ["y", "z"], {"task": "regression"}, columns
        case "poisson":
            counts = [int(abs(each - middle)) for each in scores]
            return "y", {"task": "regression", "loss": "poisson"}, {"y": counts}
        case "binary":
            yes, no = drawn.choice([("yes", "no"), ("true", "false"), (1, 0)])
            return "y", {"task": "binary"}, {"y": [yes if each > middle else no for each in scores]}
        case "classes":
            kinds = drawn.choice([["small", "middling", "größer"], [2, 3, 5], [0.5, 1.5, 2.25]])
            places = [(each > middle) + (each > middle + 1) for each in scores]
            return "y", {"task": "multiclass"}, {"y": [kinds[place] for place in places]}
        case _:
            columns = {"y": [str(each > middle).lower() for each in scores]}
            columns["z"] = [str(drawn.random() < 0.4).lower() for _ in scores]
            return ["y", "z"], {"task": "multilabel"}, columns


def network(drawn: random.Random) -> dict[str, Any]:
    return {"network": {"layers": layers(drawn)}, "scaling": drawn.choice(["standard", "robust"])}


def layers(drawn: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "units": drawn.randint(1, 40),
            "activation": drawn.choice(ACTIVATIONS),
            "dropout": drawn.choice([0.0, 0.2]),
            "normalization": drawn.choice([None, *NORMALIZATIONS]),
        }
        for _ in range(drawn.randint(0, 3))
    ]


def members(population: str, drawn: random.Random) -> dict[str, Any]:
    match population:
        case "folds":
            return {"validation": {"folds": 3}}
        case "ensemble":
            several = [{"network": {"layers": layers(drawn)}}, {"seed": 1}, {"seed": 2, "epochs": 2}]
            return {"members": several, "ensemble": True}
        case "folds of a sweep":
            return {"validation": {"folds": 2}, "sweep": {"seed": [1, 2]}}
        case _:
            return {}


def text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _hash(value: Any) -> int:
    return sum(map(ord, text(value)))
