import json
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve
from sklearn.dummy import DummyClassifier, DummyRegressor

from learning.answers import answers_of
from learning.assessment import MOST_CONFUSED, MOST_CURVES, QUANTILES, assess, summary
from learning.baseline import baseline
from learning.columns import CategoricalColumn, NumericColumn
from learning.targets import Target

ROWS = 400


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classes(count, *, rows=ROWS, seed=1):
    """A target, its encoded rows, the true classes, and answers that are often right; some classes are rare."""
    codes = (random(rows, seed=seed).abs() * count / 2.5).long().clamp(max=count - 1)
    codes[:count] = torch.arange(count)
    columns = {"y": CategoricalColumn(codes, tuple(f"c{index:05}" for index in range(count)))}
    target = Target.fit(columns, "y", "binary" if count == 2 else "multiclass", torch.arange(rows))
    logits = random(rows, count, seed=seed + 1) + 2.0 * torch.nn.functional.one_hot(codes, count)
    outputs = logits[:, 1:] - logits[:, :1] if count == 2 else logits
    return target, target.encode(columns), codes.numpy(), answers_of(target, outputs)


def labels(count=3, *, seed=1):
    codes = (random(ROWS, count, seed=seed) > 0.7).long()
    columns = {f"y{index}": CategoricalColumn(codes[:, index], (False, True)) for index in range(count)}
    target = Target.fit(columns, list(columns), "multilabel", torch.arange(ROWS))
    return target, target.encode(columns), codes.numpy(), answers_of(target, random(ROWS, count, seed=2) + codes)


def numbers(count=2, *, seed=1):
    truth = random(ROWS, count, seed=seed) * 40.0 + 300.0
    columns = {f"y{index}": NumericColumn(truth[:, index]) for index in range(count)}
    target = Target.fit(columns, list(columns), "regression", torch.arange(ROWS))
    return target, target.encode(columns), truth.numpy(), truth + 7.0 * random(ROWS, count, seed=2)


def assessed(target, encoded, answers, loss="squared_error"):
    plain = baseline(target, loss, encoded, len(encoded))
    found = assess(target, answers, encoded, baseline=plain, linear=answers)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["rows"] == len(encoded)
    return found


def test_two_classes_are_told_as_by_scikit_learn():
    target, encoded, truth, answers = classes(2)
    found, scores = assessed(target, encoded, answers), answers[:, 1].numpy()
    choices = (scores > 0.5).astype(int)
    assert found["metrics"] == found["linear"]
    assert found["metrics"] == pytest.approx(
        {
            "accuracy": reference.accuracy_score(truth, choices),
            "auc": reference.roc_auc_score(truth, scores),
            "log_loss": reference.log_loss(truth, answers.numpy()),
            "f1": reference.f1_score(truth, choices),
            "precision": reference.precision_score(truth, choices),
            "recall": reference.recall_score(truth, choices),
        },
        abs=1e-6,
    )
    assert found["confusion_matrix"] == reference.confusion_matrix(truth, choices).tolist()
    assert found["classes"] == found["confusion_classes"] == ["c00000", "c00001"]
    (roc,), (precise,) = found["roc"], found["precision_recall"]
    assert (roc["class"], precise["class"]) == ("c00001", "c00001")
    assert reference.auc(roc["fpr"], roc["tpr"]) == pytest.approx(reference.roc_auc_score(truth, scores), abs=1e-3)
    average = reference.average_precision_score(truth, scores)
    assert precise["average_precision"] == pytest.approx(average, abs=1e-6)
    assert roc["threshold"][0] is None


@pytest.mark.parametrize("count", [3, 7])
def test_several_classes_are_told_as_by_scikit_learn(count):
    target, encoded, truth, answers = classes(count)
    found, choices = assessed(target, encoded, answers), answers.argmax(1).numpy()
    for name, score in (("precision", reference.precision_score), ("recall", reference.recall_score)):
        assert found["metrics"][name] == pytest.approx(score(truth, choices, average="macro"), abs=1e-6)
    report = reference.classification_report(truth, choices, output_dict=True, zero_division=0.0)
    for index, each in enumerate(found["per_class"]):
        assert each.pop("class") == target.classes[index]
        theirs = report[str(index)]
        assert each == pytest.approx({name: theirs["f1-score" if name == "f1" else name] for name in each}, abs=1e-6)
    assert found["confusion_matrix"] == reference.confusion_matrix(truth, choices).tolist()
    for index, (roc, precise) in enumerate(zip(found["roc"], found["precision_recall"], strict=True)):
        scores, yes = answers[:, index].numpy(), truth == index
        assert roc["class"] == precise["class"] == target.classes[index]
        assert roc["auc"] == pytest.approx(reference.roc_auc_score(yes, scores), abs=1e-6)
        assert precise["average_precision"] == pytest.approx(reference.average_precision_score(yes, scores), abs=1e-6)


def test_labels_are_told_each_for_itself_as_by_scikit_learn():
    target, encoded, truth, answers = labels()
    found, choices = assessed(target, encoded, answers), (answers > 0.5).long().numpy()
    assert found["confusion_matrix"] == reference.multilabel_confusion_matrix(truth, choices).tolist()
    assert found["classes"] == ["y0", "y1", "y2"]
    for index, (each, roc) in enumerate(zip(found["per_class"], found["roc"], strict=True)):
        assert each["precision"] == pytest.approx(reference.precision_score(truth[:, index], choices[:, index]))
        assert each["support"] == truth[:, index].sum()
        assert roc["auc"] == pytest.approx(reference.roc_auc_score(truth[:, index], answers[:, index]), abs=1e-6)
    macro = reference.recall_score(truth, choices, average="macro")
    assert found["metrics"]["recall"] == pytest.approx(macro, abs=1e-6)


@pytest.mark.parametrize("kind", ["binary", "labels", "multiclass"])
def test_calibration_is_scikit_learns(kind):
    target, encoded, truth, answers = {"binary": lambda: classes(2), "labels": labels}.get(kind, lambda: classes(4))()
    found = assessed(target, encoded, answers)["calibration"]
    likeliest = answers.argmax(1).numpy()
    asked = {
        "binary": lambda: [(answers[:, 1], truth)],
        "labels": lambda: [(answers[:, index], truth[:, index]) for index in range(3)],
        "multiclass": lambda: [(answers.amax(1), truth == likeliest)],
    }[kind]()
    for each, (scores, yes) in zip(found, asked, strict=True):
        observed, predicted = calibration_curve(yes, scores, n_bins=10)
        used = [part for part in each["bins"] if part["count"]]
        assert [part["observed"] for part in used] == pytest.approx(observed.tolist(), abs=1e-6)
        assert [part["predicted"] for part in used] == pytest.approx(predicted.tolist(), abs=1e-6)
        counts = np.array([part["count"] for part in used])
        assert counts.sum() == ROWS
        assert each["expected_error"] == pytest.approx((np.abs(observed - predicted) * counts).sum() / ROWS, abs=1e-6)
        assert [part["from"] for part in each["bins"]] == pytest.approx(np.linspace(0, 0.9, 10).tolist())


def test_a_bin_without_rows_has_no_share():
    target, encoded, _, answers = classes(2)
    (found,) = assessed(target, encoded, answers * 0 + 0.5)["calibration"]
    assert [(each["count"], each["observed"] is None) for each in found["bins"][3:6]] == [
        (0, True),
        (ROWS, False),
        (0, True),
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_a_regression_is_told_target_by_target_as_by_scikit_learn(count):
    target, encoded, truth, answers = numbers(count)
    found, values = assessed(target, encoded, answers), answers.numpy()
    assert found["metrics"].keys() == {"rmse", "mae", "r2"}
    for index, (each, residuals) in enumerate(zip(found["per_target"], found["residual_quantiles"], strict=True)):
        true, told = truth[:, index], values[:, index]
        assert each["target"] == residuals["target"] == f"y{index}"
        assert each["rmse"] == pytest.approx(reference.root_mean_squared_error(true, told), rel=1e-6)
        assert each["mae"] == pytest.approx(reference.mean_absolute_error(true, told), rel=1e-6)
        assert each["r2"] == pytest.approx(reference.r2_score(true, told), abs=1e-6)
        assert residuals["levels"] == list(QUANTILES)
        assert residuals["values"] == pytest.approx(np.quantile(true - told, QUANTILES).tolist(), abs=1e-4)
    assert found["metrics"]["r2"] == pytest.approx(reference.r2_score(truth, values), abs=1e-6)


def test_the_baseline_is_scikit_learns_dummy():
    target, encoded, truth, answers = classes(3)
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((ROWS, 1)), truth)
    found = assessed(target, encoded, answers)["baseline"]
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, dummy.predict_proba(np.zeros((ROWS, 1)))))
    assert found["accuracy"] == pytest.approx(dummy.score(np.zeros((ROWS, 1)), truth))
    assert found["auc"] == 0.5

    target, encoded, truth, answers = numbers()
    for loss, strategy in (("squared_error", "mean"), ("absolute_error", "median")):
        dummy = DummyRegressor(strategy=strategy).fit(np.zeros((ROWS, 1)), truth)
        expected = reference.mean_absolute_error(truth, dummy.predict(np.zeros((ROWS, 1))))
        assert assessed(target, encoded, answers, loss)["baseline"]["mae"] == pytest.approx(expected, rel=1e-6)


def test_the_baseline_knows_the_train_rows_alone():
    target, encoded, truth, _ = labels()
    found = baseline(target, "binary_cross_entropy", encoded[:100], 7)
    assert found.shape == (7, 3)
    assert found[3].tolist() == pytest.approx(truth[:100].mean(0).tolist())


def test_what_is_undefined_is_null_or_left_out():
    target, encoded, _, answers = classes(3)
    alone = encoded == 1
    found = assessed(target, encoded[alone], answers[alone])
    assert (found["roc"], found["precision_recall"]) == ([], [])
    assert "auc" not in found["metrics"]
    target, encoded, _, answers = numbers(1)
    assert "r2" not in assessed(target, encoded[:1], answers[:1])["metrics"]
    hopeless = answers.clone()
    hopeless[3] = math.inf
    found = assessed(target, encoded, hopeless)
    assert found["metrics"]["rmse"] is None
    assert found["residual_quantiles"][0]["values"][4] is not None


def test_a_linear_fit_that_did_not_come_to_an_end_is_null():
    target, encoded, _, answers = numbers(1)
    assert assess(target, answers, encoded, baseline=answers, linear=None)["linear"] is None


def test_of_many_classes_the_commonest_are_told_apart_and_the_others_together():
    target, encoded, truth, answers = classes(250, rows=3000)
    found, choices = assessed(target, encoded, answers), answers.argmax(1).numpy()
    assert len(found["roc"]) == len(found["precision_recall"]) == MOST_CURVES
    assert len(found["per_class"]) == 250
    matrix = np.array(found["confusion_matrix"])
    assert matrix.shape == (MOST_CONFUSED + 1, MOST_CONFUSED + 1)
    assert matrix.sum() == 3000
    apart = [target.classes.index(name) for name in found["confusion_classes"]]
    assert apart == sorted(apart)
    whole = reference.confusion_matrix(truth, choices, labels=range(250))
    assert (matrix[:-1, :-1] == whole[np.ix_(apart, apart)]).all()
    assert min(whole.sum(1)[apart]) >= max(np.delete(whole.sum(1), apart))
    told = [each["class"] for each in found["roc"]]
    assert told == [name for name in target.classes if name in told]
    assert summary(target, answers, encoded) == found["metrics"]
