"""A run's file: what members have in common stands in it once, and each is read whole again."""

import torch

from learning.columns import CategoricalColumn, NumericColumn
from learning.experiment import prepare
from learning.fitting import fit
from learning.keeping import Kept, keep

ROWS = 40
SPEC = {
    "features": ["x", "colour"],
    "target": "y",
    "task": "binary",
    "loss": "binary_cross_entropy",
    "class_weights": None,
    "validation": {"folds": 3},
    "test": {"fraction": 0.0},
    "scaling": "standard",
    "network": {"layers": []},
    "optimizer": {"name": "adam", "learning_rate": 0.02, "betas": [0.9, 0.999]},
    "epochs": 1,
    "batch_size": 8,
    "initialization": "xavier",
    "seed": 0,
    "split_seed": 1,
    "sweep": {"class_weights": [None, "balanced", {"no": 1.0, "yes": 5.0}]},
}


def kept():
    x = torch.randn(ROWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table = {
        "x": NumericColumn(x),
        "colour": CategoricalColumn(torch.arange(ROWS) % 3, ("blue", "green", "red")),
        "y": CategoricalColumn((x > 0).long(), ("no", "yes")),
    }
    experiment = prepare(SPEC, table)
    *_, last = fit(experiment.members, experiment.data)
    return experiment, Kept(*keep(experiment, last.trained(), [0, 1, 2])), table


def test_each_members_rows_are_seen_as_in_training_though_categories_stand_in_the_file_once():
    experiment, found, table = kept()
    assert str(found.header).count("green") == 1
    assert len(found.header["folds"]) == 3, "other weights in the loss make no other fold"
    for member in experiment.members:
        fold = experiment.fold_of(member)
        model = found.model(member.index)
        assert model.preprocessing == fold.preprocessing
        assert model.target == fold.target
        assert bool(model.preprocessing.encode(table, fold.rows.train).equal(fold.train.inputs))


def test_the_file_of_one_member_names_its_categories_itself():
    experiment, found, _ = kept()
    for member in experiment.members:
        _, header = found.member(member.index)
        assert header["preprocessing"] == experiment.fold_of(member).preprocessing.to_json()
