"""A row's answer is the same bytes alone, among a thousand in any order, and in the training's own evaluation."""

import json
import random
from dataclasses import replace

import pytest
import torch

from learning.cells import Cells, Row
from learning.columns import CategoricalColumn, DatetimeColumn, NumericColumn, take
from learning.experiment import prepare
from learning.keeping import Kept, keep
from learning.layout import Layout
from learning.losses import example_losses, mean_loss
from learning.metrics import per_epoch
from learning.model import MeanModel, Model, mean_prediction
from learning.network import BLOCK_ROWS, FEW_ROWS, TWO_BLOCKS, predict_blocks
from learning.preprocessing import Preprocessing
from learning.specs import ACTIVATIONS, LOSSES_OF_TASK, NORMALIZATIONS, LayerSpec, NetworkSpec
from learning.targets import Target
from learning.weights import tensors_of
from tests.learning.test_cells import cells
from tests.learning.trials import drive

ROWS = 1_000
ORDERS = {"short": 4, "full": 20}  # `pytest --full` has the other
SPECS = 50
NAN = float("nan")


def raw(seed):
    """Columns of every kind, with values missing, and a target for every task."""
    source = torch.Generator().manual_seed(seed)

    def numbers(missing=0.0):
        x = torch.randn(ROWS, generator=source, dtype=torch.float64) * 37 + 5
        return NumericColumn(torch.where(torch.rand(ROWS, generator=source) < missing, NAN, x))

    def codes(count, missing=0.0):
        found = torch.randint(count, (ROWS,), generator=source)
        return torch.where(torch.rand(ROWS, generator=source) < missing, -1, found)

    table = {f"x{place}": numbers(0.1 * (place % 3)) for place in range(9)}
    table |= {f"flag{place}": CategoricalColumn(codes(2, 0.1 * place), (False, True)) for place in range(3)}
    table |= {f"c{place}": CategoricalColumn(codes(5 + place, 0.1 * place), _words(5 + place)) for place in range(4)}
    table |= {f"many{place}": CategoricalColumn(codes(80 + place, 0.1 * place), _words(80 + place)) for place in (0, 1)}
    table["when"] = DatetimeColumn(torch.randint(10**15, (ROWS,), generator=source).double())
    x = table["x0"].values
    table |= {
        "price": NumericColumn(3 * x + table["x3"].values),
        "weight": NumericColumn(x - 7),
        "count": NumericColumn(x.abs().round()),
        "sold": CategoricalColumn((x > 5).long(), ("no", "yes")),
        "kind": CategoricalColumn((x / 40).long().abs() % 3, ("a", "b", "c")),
        "wet": CategoricalColumn((x > 0).long(), (False, True)),
        "warm": CategoricalColumn((table["x3"].values > 0).long(), (False, True)),
    }
    return table


def _words(count):
    return tuple(f"word {place:02}" for place in range(count))


FEATURES = [*(f"x{place}" for place in range(1, 9)), *(f"flag{place}" for place in range(3))]
FEATURES += [*(f"c{place}" for place in range(4)), "many0", "many1", "when"]
TARGETS = {
    "regression": ("price", ["price", "weight"]),
    "binary": ("sold", "wet"),
    "multiclass": ("kind", "c3"),
    "multilabel": (["wet", "warm"], ["wet"]),
}


def some_model(drawn, table):
    """With weights as they are drawn: trained or not, the arithmetic is the same."""
    task = drawn.choice(sorted(TARGETS))
    features = drawn.sample(FEATURES, drawn.randint(1, len(FEATURES)))
    names = drawn.choice(TARGETS[task])
    features = [name for name in features if name not in (names if isinstance(names, list) else [names])] or ["x1"]
    scaling = drawn.choice(["standard", "robust", "none"])
    every = torch.arange(ROWS)
    preprocessings = [
        Preprocessing.fit(table, features, rows, scaling, every) for rows in (every[:600], every[300:], every[::2])
    ]
    target = Target.fit(table, names, task, every)
    networks = [
        NetworkSpec(
            tuple(
                LayerSpec(
                    drawn.choice([1, 3, 7, 20, 33, 64, 130, drawn.randint(1, 200)]),
                    drawn.choice(ACTIVATIONS),
                    0.0,
                    drawn.choice([None, None, *NORMALIZATIONS]),
                )
                for _ in range(drawn.randint(0, 3))
            )
        )
        for _ in range(2)
    ]
    torch.manual_seed(drawn.randrange(1 << 30))

    def member(preprocessing, network):
        layout = Layout.of(network, preprocessing.width, target.width, preprocessing.embeddings)
        stacked = tensors_of(layout, torch.randn(1, layout.stride) / 4)
        own = {name: (each.abs() if name.endswith("var") else each)[0] for name, each in stacked.items()}
        return Model(preprocessing, target, network, own)

    if drawn.random() < 0.6:
        return member(preprocessings[0], networks[0])
    folded, mixed = drawn.random() < 0.5, drawn.random() < 0.5
    return MeanModel(
        tuple(
            member(preprocessings[place % 3 if folded else 0], networks[place % 2 if mixed else 0])
            for place in range(drawn.choice([2, 3, 5, 9]))
        )
    )


def said(prediction):
    """All that is told of each row, as bytes."""
    told = prediction.values() if prediction.target.outcomes is None else prediction.probabilities()
    rows = [prediction.outputs.contiguous().numpy(), told.contiguous().numpy()]
    answers = prediction.predictions()
    if prediction.target.task == "regression":  # of a row alone they are computed otherwise than the values
        assert answers == (told if prediction.target.listed else told[:, 0]).tolist()
    return [(first.tobytes(), second.tobytes(), answer) for first, second, answer in zip(*rows, answers, strict=True)]


def these(found, rows):
    return Cells(found.numbers[rows], found.codes[rows])


@pytest.mark.parametrize("seed", range(SPECS))
def test_a_row_has_the_same_bytes_alone_and_among_a_thousand_in_any_order(seed, pytestconfig):
    drawn, table, expected = random.Random(seed), raw(seed), [None]
    while all(each == expected[0] for each in expected):  # as where every unit of a layer is dead
        model = some_model(drawn, table)
        one = model.parts[0] if isinstance(model, MeanModel) else model
        whole = cells(one.preprocessing, table)
        expected = said(model.predict(whole))
    assert said(model.predict(table)) == expected, "as columns of a table"
    for _ in range(ORDERS["full" if pytestconfig.getoption("--full") else "short"]):
        order = torch.randperm(ROWS)
        found = said(model.predict(these(whole, order)))
        assert found == [expected[row] for row in order.tolist()]
    for row in drawn.sample(range(ROWS), 40):
        alone = these(whole, slice(row, row + 1))
        for each in (alone, Row(alone.numbers[0].tolist(), alone.codes[0].tolist())):
            assert said(model.predict(each)) == [expected[row]]
    company = drawn.sample(range(ROWS), FEW_ROWS)
    few = these(whole, company)
    several = [Row(*each) for each in zip(few.numbers.tolist(), few.codes.tolist(), strict=True)]
    for count in (1, 3, FEW_ROWS):
        together = model.predict_together(several[:count])
        assert said(together) == [expected[row] for row in company[:count]]
        assert [said(each) for each in together.each()] == [[expected[row]] for row in company[:count]]
    for count in (2, *(full + more for full in (FEW_ROWS, BLOCK_ROWS, TWO_BLOCKS) for more in (-1, 0, 1))):
        some = torch.randperm(ROWS)[:count]
        assert said(model.predict(these(whole, some))) == [expected[row] for row in some.tolist()]
    table_of_few = {name: take(column, torch.tensor([7, 3])) for name, column in table.items()}
    assert said(model.predict(table_of_few)) == [expected[7], expected[3]]


def test_a_thousand_members_together_say_what_each_says_alone():
    table = raw(0)
    drawn = random.Random(1)
    one = some_model(drawn, table)
    while isinstance(one, MeanModel) or one.target.task != "multiclass":
        one = some_model(drawn, table)
    parts = []
    for member in range(1_000):
        torch.manual_seed(member)
        parts.append(replace(one, tensors={name: torch.randn_like(each).abs() for name, each in one.tensors.items()}))
    few = these(cells(one.preprocessing, table), slice(0, 70))
    assert said(MeanModel(tuple(parts)).predict(few)) == said(mean_prediction([part.predict(few) for part in parts]))


SPEC = {
    "features": FEATURES,
    "class_weights": None,
    "test": {"fraction": 0.1},
    "split_seed": 3,
    "label_smoothing": 0.05,
    "optimizer": {"name": "adam", "learning_rate": 1e-3, "betas": [0.9, 0.999]},
    "epochs": 3,
    "batch_size": 50,
    "initialization": "he",
    "seed": 0,
    "sweep": {"seed": [0, 1]},
}
NETWORKS = [
    [{"units": 33, "activation": "relu"}, {"units": 7, "activation": "tanh"}],
    [{"units": 20, "activation": "gelu", "normalization": "layer", "dropout": 0.2}],
    [{"units": 50, "activation": "silu", "normalization": "batch"}, {"units": 3, "activation": "softplus"}],
]
SPLITS = [{"fraction": 0.2}, {"folds": 3}]


@pytest.mark.parametrize("loss", [(task, loss) for task in TARGETS for loss in LOSSES_OF_TASK[task]], ids=str)
@pytest.mark.parametrize("validation", SPLITS, ids=["fraction", "folds"])
def test_a_kept_model_says_of_raw_rows_what_the_training_said_of_them(loss, validation):
    task, name = loss
    table = raw(2)
    for place, layers in enumerate(NETWORKS):
        names = "count" if name == "poisson" else TARGETS[task][place % 2]
        asked = {
            "task": task,
            "loss": name,
            "target": names,
            "features": [each for each in FEATURES if each not in (names if isinstance(names, list) else [names])],
            "network": {"layers": layers},
            "validation": validation,
            "scaling": ["standard", "robust", "none"][place] if name != "poisson" else "robust",
            "label_smoothing": 0.05 if task in ("binary", "multiclass", "multilabel") else 0.0,
        }
        experiment = prepare(SPEC | asked, table)
        found = drive(experiment.members, experiment.data)
        predicts = [member.index for member in experiment.members]
        tensors, header = keep(experiment, found.trained, predicts)
        file = Kept(tensors, json.loads(json.dumps(header)))
        for member in experiment.members:
            ended = found.last.members[member.index]
            assert ended.status == "succeeded"
            fold, model = experiment.fold_of(member), file.model(member.index)
            rows, examples = fold.rows.validation, fold.validation
            raw_rows = {each: take(column, rows) for each, column in table.items()}
            outputs = model.predict(cells(model.preprocessing, raw_rows)).outputs
            assert outputs.equal(predict_blocks(member.network, found.trained.tensors(member.index), examples.inputs))
            told = found.reports[ended.best["epoch"] - 1].values
            losses = example_losses(member.loss, outputs, examples.targets, member.label_smoothing)
            expected = mean_loss(losses, examples.weights).float().item()
            assert expected == told["validation", "loss"][member.index].item() == ended.best["value"]
            for metric, value in per_epoch(fold.target, outputs.unsqueeze(0), examples.targets).items():
                assert value.float().item() == told["validation", metric][member.index].item()
        together, tested = file.model(), {each: take(column, fold.rows.test) for each, column in table.items()}
        own = cells(together.parts[0].preprocessing, tested)
        assert said(together.predict(own)) == said(mean_prediction([part.predict(own) for part in together.parts]))
