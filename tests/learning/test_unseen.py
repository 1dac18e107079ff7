import pytest
import torch

from learning import unseen
from learning.answers import answers_of
from learning.columns import CategoricalColumn, NumericColumn, take
from learning.experiment import prepare
from learning.fitting import fit
from learning.model import Model
from learning.unseen import Unseen, without_hidden_layers

ROWS = 130
SPEC = {
    "target": "kind",
    "features": ["x"],
    "task": "multiclass",
    "validation": {"folds": 3},
    "test": {"fraction": 0.1},
    "split_seed": 3,
    "scaling": "standard",
    "loss": "cross_entropy",
    "network": {"layers": [{"units": 4, "activation": "tanh"}]},
    "optimizer": {"name": "adam", "learning_rate": 0.1, "betas": [0.9, 0.999]},
    "epochs": 3,
    "batch_size": 8,
    "initialization": "he",
    "seed": 0,
    "sweep": {"seed": [0, 1]},
}
SETTING = (3, 4, 5)  # the second seed's folds


def experiment(**changes):
    kinds = (torch.arange(ROWS) * 7 % 3).clamp(max=1)
    x = kinds + torch.arange(ROWS, dtype=torch.float64) / ROWS
    table = {"x": NumericColumn(x), "kind": CategoricalColumn(kinds, ("a", "b")), "y": NumericColumn(x * 3 + 1)}
    return prepare(SPEC | {"task": "binary", "loss": "binary_cross_entropy"} | changes, table)


def models(found):
    for pulse in fit(found.members, found.data):
        trained = pulse.trained()
    folds = {member.index: (member, found.fold_of(member)) for member in found.members}
    return {
        index: Model(fold.preprocessing, fold.target, member.network, trained.tensors(index))
        for index, (member, fold) in folds.items()
    }


def said(rows, own):
    return torch.cat(list(rows.answers(rows.table, own)))


def of(model, found, rows):
    prediction = model.predict({name: take(column, rows) for name, column in found.table.items()})
    return answers_of(prediction.target, prediction.outputs)


def test_nobody_answers_for_rows_that_it_was_trained_on():
    found = experiment()
    rows = Unseen.of(found, SETTING, "validation")
    assert [[member.index for member in share.members] for share in rows.shares] == [[3], [4], [5]]
    for share in rows.shares:
        for member in share.members:
            assert not set(share.rows.tolist()) & set(found.fold_of(member).rows.train.tolist())
    assert rows.rows == len({row for share in rows.shares for row in share.rows.tolist()}) == 117
    (tested,) = Unseen.of(found, SETTING, "test").shares
    assert [member.index for member in tested.members] == list(SETTING)
    assert len(tested.rows) == 13


def test_each_share_is_answered_by_its_own_and_the_test_rows_by_the_mean():
    found = experiment()
    own = models(found)
    rows = Unseen.of(found, SETTING, "validation")
    alone = [of(own[index], found, found.folds[index - 3].rows.validation) for index in SETTING]
    assert said(rows, own).equal(torch.cat(alone))
    tested = Unseen.of(found, SETTING, "test")
    mean = sum(of(own[index], found, found.folds[0].rows.test) for index in SETTING) / 3
    torch.testing.assert_close(said(tested, own), mean, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_without_folds_those_that_predict_answer_together(split):
    found = experiment(validation={"fraction": 0.2})
    (share,) = Unseen.of(found, (0, 1), split).shares
    assert [member.index for member in share.members] == [0, 1]
    assert share.rows.equal(getattr(found.folds[0].rows, split))


def test_answers_are_the_same_in_blocks_of_any_size(monkeypatch):
    found = experiment()
    own, rows = models(found), Unseen.of(found, SETTING, "validation")
    whole = said(rows, own)
    monkeypatch.setattr(unseen, "BLOCK", 7)
    assert len(list(rows.answers(rows.table, own))) == 3 * 6
    assert said(rows, own).equal(whole)


def test_what_looks_at_no_feature_is_learned_from_each_folds_own_train_rows():
    found = experiment(target="y", task="regression", loss="squared_error")
    rows = Unseen.of(found, SETTING, "validation")
    means = [found.table["y"].values[found.fold_of(member).rows.train].mean() for member in rows.members]
    expected = torch.cat([mean.expand(len(share.rows)) for mean, share in zip(means, rows.shares, strict=True)])
    torch.testing.assert_close(rows.baseline()[:, 0], expected, rtol=1e-6, atol=0)
    assert len(set(rows.baseline()[:, 0].tolist())) == 3
    tested = Unseen.of(found, SETTING, "test").baseline()
    torch.testing.assert_close(tested[:, 0], (sum(means) / 3).expand(13), rtol=1e-6, atol=0)


def test_fewer_rows_are_drawn_from_every_share_alike_and_always_the_same():
    rows = Unseen.of(experiment(), SETTING, "validation")
    fewer = rows.at_most(30)
    assert [len(share.rows) for share in fewer.shares] == [10, 10, 10]
    for few, all_of_them in zip(fewer.shares, rows.shares, strict=True):
        assert few.members == all_of_them.members
        assert set(few.rows.tolist()) <= set(all_of_them.rows.tolist())
    again = Unseen.of(experiment(), SETTING, "validation").at_most(30)
    assert all(one.rows.equal(other.rows) for one, other in zip(fewer.shares, again.shares, strict=True))
    assert rows.at_most(117) is rows


def test_a_member_without_hidden_layers_is_otherwise_the_same():
    member = experiment().members[4]
    plain = without_hidden_layers(member)
    assert plain.network.layers == ()
    assert (plain.index, plain.seed, plain.fold, plain.optimizer) == (4, 1, 1, member.optimizer)
