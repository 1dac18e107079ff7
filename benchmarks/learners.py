"""What else a table could be given to: scikit-learn's networks and boosted trees, H2O-3's networks, as they come.

Each is a function of a table, the rows to learn from, the rows to answer for and a seed, and gives what `score` takes:
numbers [n], or probabilities [n, C] in the order of the classes.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

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


@contextmanager
def h2o_deep_learning() -> Iterator[Learner | str]:
    """H2ODeepLearningEstimator in a server of its own; or, where there is none to be had, the reason."""
    if not shutil.which("java"):
        yield "no Java here"
        return
    try:
        import h2o  # noqa: PLC0415 - half a gigabyte that nothing else needs
    except ImportError:
        yield "the package h2o is not installed"
        return
    with tempfile.TemporaryDirectory(prefix="learnd-bench-h2o-") as folder:
        h2o.init(ip="127.0.0.1", port=54_777, bind_to_localhost=True, ice_root=folder, log_dir=folder, verbose=False)
        h2o.no_progress()
        try:
            yield _h2o
        finally:
            h2o.cluster().shutdown()


def _h2o(table: DataTable, train: Rows, test: Rows, seed: int) -> np.ndarray:
    import h2o  # noqa: PLC0415

    text = [name for name, values in table.columns.items() if values.dtype == object]
    kinds = dict.fromkeys(text, "enum") | ({} if table.classes is None else {"target": "enum"})
    with tempfile.TemporaryDirectory(prefix="learnd-bench-") as folder:
        frames = [
            _imported(table, rows, kinds, Path(folder) / f"{place}.csv") for place, rows in enumerate((train, test))
        ]
    model = h2o.estimators.H2ODeepLearningEstimator(seed=seed)
    model.train(y="target", training_frame=frames[0])
    lines = model.predict(frames[1]).as_data_frame(use_pandas=False, header=False)
    h2o.remove_all()
    found = np.array([[float(cell) for cell in line] for line in lines])
    return found[:, 0] if table.classes is None else found[:, 1:]


def _imported(table: DataTable, rows: Rows, kinds: dict[str, str], path: Path) -> object:
    import h2o  # noqa: PLC0415

    columns = {**table.columns, "target": table.target}
    cells = zip(*(values[rows].tolist() for values in columns.values()), strict=True)
    lines = (",".join("" if cell != cell else str(cell) for cell in line) for line in cells)  # noqa: PLR0124 - NaN
    path.write_text("\n".join((",".join(columns), *lines)))
    return h2o.import_file(str(path), col_types=kinds)


def _places(table: DataTable) -> tuple[list[int], list[int]]:
    """Which columns hold numbers, and which text."""
    texts = [values.dtype == object for values in table.columns.values()]
    return [at for at, text in enumerate(texts) if not text], [at for at, text in enumerate(texts) if text]


def _answers(model: object, table: DataTable, train: Rows, test: Rows) -> np.ndarray:
    cells = np.stack([values.astype(object) for values in table.columns.values()], axis=1)
    model.fit(cells[train], table.target[train])
    return model.predict(cells[test]) if table.classes is None else model.predict_proba(cells[test])
