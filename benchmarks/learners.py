"""What else a table could be given to: scikit-learn's networks and boosted trees, H2O-3's networks, as they come.

Each is a function of a table, the rows to learn from, the rows to answer for and a seed, and gives what `score` takes:
numbers [n], or probabilities [n, C] in the order of the classes.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.h2o import H2O
from benchmarks.tables import DataTable

Rows = np.ndarray
Learner = Callable[[DataTable, Rows, Rows, int], np.ndarray]


def perceptron(table: DataTable, train: Rows, test: Rows, seed: int) -> np.ndarray:
    """MLPClassifier or MLPRegressor on standardised numbers, missing ones their mean, and one-hot categories."""
    model = MLPRegressor(random_state=seed) if table.classes is None else MLPClassifier(random_state=seed)
    numbers, texts = _places(table)
    encoding = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts),
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs are its default
        return _answers(make_pipeline(encoding, model), table, train, test)


def boosting(table: DataTable, train: Rows, test: Rows, seed: int) -> np.ndarray:
    """HistGradientBoosting, which takes missing numbers as they are and is told which columns are categories."""
    numbers, texts = _places(table)
    categories = list(range(len(numbers), len(numbers) + len(texts)))  # behind the numbers, once encoded
    kind = HistGradientBoostingRegressor if table.classes is None else HistGradientBoostingClassifier
    model = kind(random_state=seed, categorical_features=categories or None)
    unknown = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    encoding = ColumnTransformer([("numbers", "passthrough", numbers), ("texts", unknown, texts)])
    return _answers(make_pipeline(encoding, model), table, train, test)


def deep_learning(server: H2O) -> Learner:
    """H2O-3's networks."""

    def learner(table: DataTable, train: Rows, test: Rows, seed: int) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="learnd-bench-") as folder:
            for name, rows in (("train", train), ("test", test)):
                path = Path(folder) / f"{name}.csv"
                path.write_text("\n".join(_lines(table, rows)))
                server.load(path, name, "target", classes=table.classes is not None)
            model = server.train_as_it_comes(training_frame="train", response_column="target", seed=seed)
        found = server.predict(model, "test")
        server.forget()
        numbers = np.array([[float(cell) for cell in row] for row in found])
        return numbers[:, 0] if table.classes is None else numbers[:, 1:]

    return learner


def _lines(table: DataTable, rows: Rows) -> Iterator[str]:
    target = table.target if table.classes is None else table.target.astype(int)
    columns = {**table.columns, "target": target}
    yield ",".join(columns)
    for cells in zip(*(values[rows].tolist() for values in columns.values()), strict=True):
        yield ",".join("" if cell != cell else str(cell) for cell in cells)  # noqa: PLR0124 - only NaN differs from itself


def _places(table: DataTable) -> tuple[list[int], list[int]]:
    """Which columns hold numbers, and which text."""
    texts = [values.dtype == object for values in table.columns.values()]
    return [at for at, text in enumerate(texts) if not text], [at for at, text in enumerate(texts) if text]


def _answers(model: object, table: DataTable, train: Rows, test: Rows) -> np.ndarray:
    cells = np.stack([values.astype(object) for values in table.columns.values()], axis=1)
    model.fit(cells[train], table.target[train])
    return model.predict(cells[test]) if table.classes is None else model.predict_proba(cells[test])
