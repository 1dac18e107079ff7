import json
import math

import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.inspection import permutation_importance

from learning.columns import CategoricalColumn, NumericColumn
from learning.importance import MOST_ROWS, REPEATS, Shuffling
from learning.targets import Target

ROWS = 600


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def table(rows=ROWS):
    strong, weak, idle = random(3, rows)
    colour = (torch.arange(rows) * 7 % 3).long()
    y = 3 * strong + weak + colour + 0.1 * random(rows, seed=1)
    return {
        "strong": NumericColumn(strong),
        "weak": NumericColumn(weak),
        "idle": NumericColumn(idle),
        "colour": CategoricalColumn(colour, ("red", "green", "blue")),
        "y": NumericColumn(y),
        "late": CategoricalColumn((y > 1).long(), (False, True)),
    }


FEATURES = ["idle", "weak", "colour", "strong"]


def values(columns):
    return (3 * columns["strong"].values + columns["weak"].values + columns["colour"].codes).unsqueeze(1)


def shuffling(columns, name="y", task="regression", answers=values, rows=None):
    target = Target.fit(columns, name, task, torch.arange(columns["y"].rows))
    rows = torch.arange(columns["y"].rows) if rows is None else rows
    return Shuffling(answers, target, columns, FEATURES, rows)


def test_what_a_model_leans_on_comes_first_and_what_it_ignores_changes_nothing():
    found = shuffling(table())
    told = found.told(list(found.importances(seed=4)))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert [each["name"] for each in told["features"]] == ["strong", "weak", "colour", "idle"]
    assert told["features"][-1] == {"name": "idle", "mean": 0.0, "std": 0.0}
    assert (told["metric"], told["rows"]) == ("rmse", ROWS)
    assert told["baseline"] == pytest.approx(0.1, abs=0.02)


def test_it_is_scikit_learns_up_to_the_draw():
    """A feature shuffled adds to the squares twice its variance times its weight squared: both draw near to that."""
    columns = table(5000)

    class Plain(BaseEstimator):
        def fit(self):
            pass

        def predict(self, x):
            return (3 * x[:, 3] + x[:, 1] + x[:, 2]).round(12)

    ordered = {name: columns[name] for name in FEATURES}
    x = torch.stack([c.codes.double() if hasattr(c, "codes") else c.values for c in ordered.values()], dim=1).numpy()
    theirs = permutation_importance(
        Plain(), x, columns["y"].values.numpy(), scoring="neg_root_mean_squared_error", n_repeats=30, random_state=0
    )
    ours = list(shuffling(columns).importances(seed=1))
    for place, each in enumerate(ours):
        assert each.feature == FEATURES[place]
        assert each.mean == pytest.approx(theirs.importances_mean[place], rel=0.05, abs=1e-9)
        assert each.std < 0.1


def test_the_shuffles_are_of_the_seed_and_of_nothing_else():
    first, again, other = (list(shuffling(table()).importances(seed)) for seed in (4, 4, 5))
    assert first == again
    assert first != other
    assert len({each.mean for each in first}) == len(FEATURES)


def test_each_shuffle_moves_one_column_and_loses_none_of_its_values():
    columns, seen = table(), []
    found = shuffling(columns, answers=lambda given: seen.append(given) or values(given))
    list(found.importances(seed=0))
    assert len(seen) == 1 + len(FEATURES) * REPEATS
    for index, given in enumerate(seen[1:]):
        moved = FEATURES[index // REPEATS]
        for name in FEATURES:
            now, before = (getattr(c[name], "values" if name != "colour" else "codes") for c in (given, columns))
            assert now.equal(before) == (name != moved)
            assert now.sort().values.equal(before.sort().values)
    assert not seen[1][FEATURES[0]].values.equal(seen[2][FEATURES[0]].values), "each repeat has an order of its own"


def test_classes_are_measured_by_their_log_loss():
    def probabilities(columns):
        logit = 2 * (values(columns) - 1)
        return torch.sigmoid(torch.cat([-logit, logit], dim=1))

    found = shuffling(table(), "late", "binary", probabilities)
    told = found.told(list(found.importances(seed=0)))
    assert told["metric"] == "log_loss"
    assert [each["name"] for each in told["features"]] == ["strong", "weak", "colour", "idle"]


def test_of_many_rows_some_are_drawn():
    columns = table(MOST_ROWS + 500)
    few, all_of_them = shuffling(columns, rows=torch.arange(100, 400)), shuffling(columns)
    assert few.table["weak"].values.equal(columns["weak"].values[100:400])
    assert all_of_them.rows == MOST_ROWS
    drawn = all_of_them.table["weak"].values
    assert len(torch.unique(drawn)) == MOST_ROWS
    assert not drawn.equal(columns["weak"].values[:MOST_ROWS])


def test_what_is_not_finite_is_null_and_comes_last():
    def broken(columns):
        found = values(columns)
        return torch.where(columns["idle"].values.unsqueeze(1).roll(1) > columns["idle"].values[-1], found, math.inf)

    found = shuffling(table(), answers=broken)
    told = found.told(list(found.importances(seed=0)))
    assert told["baseline"] is None
    assert all(each["mean"] is None for each in told["features"])
