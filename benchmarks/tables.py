"""Tables to compare learners on: five real ones that come with scikit-learn, and eight made here, larger and harder.

The made ones are drawn once, from a fixed seed, by rules that were written down before anything was trained on them.
Each has the trouble it is named for, and a truth that is partly smooth and partly in steps, as real ones are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn import datasets

FEW_ROWS = 1_000  # below which one test row more or less decides, so that more splits are tried
Columns = dict[str, np.ndarray]  # float64 with NaN for missing, or objects: text with None for missing


@dataclass(frozen=True, eq=False)
class DataTable:
    name: str
    about: str
    metric: str  # accuracy, r2 or auc
    columns: Columns
    target: np.ndarray  # float64 of a regression, else whole numbers
    repeats: int = 5  # how many splits it is tried on

    @property
    def rows(self) -> int:
        return len(self.target)

    @property
    def classes(self) -> int | None:
        return None if self.metric == "r2" else len(np.unique(self.target))


def tables() -> Iterator[DataTable]:
    for name, load, metric in (
        ("iris", datasets.load_iris, "accuracy"),
        ("wine", datasets.load_wine, "accuracy"),
        ("breast cancer", datasets.load_breast_cancer, "accuracy"),
        ("digits", datasets.load_digits, "accuracy"),
        ("diabetes", datasets.load_diabetes, "r2"),
    ):
        found = load()
        repeats = 20 if len(found.target) < FEW_ROWS else 5
        yield DataTable(name, "real", metric, _numbered(found.data), found.target, repeats)
    for make in (smooth, steps, categorical, missing, skewed, noisy, unbalanced, large):
        yield make()


def smooth() -> DataTable:
    """Friedman's first function: 5 of 10 numbers count, noise of a standard deviation of 1."""
    x, y = datasets.make_friedman1(5_000, 10, noise=1.0, random_state=1)
    return DataTable("smooth", "Friedman 1", "r2", _numbered(x), y)


def steps() -> DataTable:
    """Counts of hired bikes: an hour, a weekday, a season and a temperature that act by thresholds and in company."""
    draw = np.random.default_rng(2)
    n = 10_000
    hour, weekday, month = draw.integers(0, 24, n), draw.integers(0, 7, n), draw.integers(1, 13, n)
    warmth = 12 - 11 * np.cos(2 * np.pi * (month - 1) / 12) + draw.normal(0, 4, n)
    wind, damp = draw.gamma(2, 6, n), draw.beta(4, 2, n) * 100
    weather = draw.choice(["clear", "cloud", "rain", "storm"], n, p=[0.6, 0.25, 0.12, 0.03])
    work = weekday < 5
    commute = work * (np.isin(hour, (7, 8, 9)) * 1.6 + np.isin(hour, (16, 17, 18)) * 1.9)
    stroll = ~work * 1.5 * np.exp(-(((hour - 14) / 4) ** 2))
    log = 3.2 + commute + stroll - 1.8 * (hour < 6) + 0.05 * np.minimum(warmth, 26) - 0.015 * wind
    log += np.where(damp > 85, -0.4, 0) + np.select([weather == "rain", weather == "storm"], [-0.7, -1.5], 0)
    columns = {"hour": hour, "weekday": weekday, "month": month, "warmth": warmth, "wind": wind, "damp": damp}
    columns = {name: values.astype(float) for name, values in columns.items()} | {"weather": weather.astype(object)}
    return DataTable("steps", "hourly counts", "r2", columns, draw.poisson(np.exp(log)).astype(float))


def categorical() -> DataTable:
    """Six text columns of 3 to 40 values beside four numbers: effects of values, of pairs, and slopes by value."""
    draw = np.random.default_rng(3)
    n, levels = 10_000, (3, 5, 8, 12, 25, 40)
    codes = [np.minimum(draw.geometric(2.5 / count, n) - 1, count - 1) for count in levels]
    x = draw.normal(size=(n, 4))
    y = sum(draw.normal(0, 0.7, count)[code] for count, code in zip(levels, codes, strict=True))
    y = y + draw.normal(0, 0.9, (levels[1], levels[2]))[codes[1], codes[2]]
    y = y + draw.normal(0, 0.8, levels[0])[codes[0]] * x[:, 0] + draw.normal(0, 0.6, levels[3])[codes[3]] * x[:, 1]
    y = y + np.tanh(2 * x[:, 2]) + 0.8 * (x[:, 3] > 0.5) + draw.normal(0, 0.8, n)
    text = {f"c{place}": _named(code) for place, code in enumerate(codes)}
    return DataTable("categorical", "6 text columns, to 40 values", "r2", _numbered(x) | text, y)


def missing() -> DataTable:
    """A quarter of all cells is empty, and in three columns large values are the likelier to be."""
    draw = np.random.default_rng(4)
    n = 8_000
    x = draw.normal(size=(n, 4)) @ draw.normal(size=(4, 12)) * 0.6 + draw.normal(size=(n, 12)) * 0.8
    scores = np.stack(
        [
            x[:, 0] * x[:, 1] + x[:, 2],
            np.sin(2 * x[:, 3]) * 2 + (x[:, 4] > 0) * 1.5,
            np.abs(x[:, 5]) + x[:, 6] - (x[:, 7] > 0.8),
        ],
        axis=1,
    )
    y = (scores + draw.gumbel(0, 0.3, scores.shape)).argmax(1)
    chance = np.full((n, 12), 0.25)
    chance[:, :3] = 0.5 / (1 + np.exp(-1.5 * x[:, :3]))
    columns = _numbered(np.where(draw.random((n, 12)) < chance, np.nan, x))
    return DataTable("missing", "a quarter of all cells", "accuracy", columns, y)


def skewed() -> DataTable:
    """Log-normal amounts over several decades, of which logarithms, ratios and limits decide a price."""
    draw = np.random.default_rng(5)
    n = 10_000
    x = np.exp(draw.normal(draw.uniform(0, 6, 8), draw.uniform(0.6, 1.6, 8), (n, 8)))
    log = np.log(x)
    log = (log - log.mean(0)) / log.std(0)
    price = (
        0.5 * log[:, 0] + 0.35 * np.tanh(log[:, 1] - log[:, 2]) + 0.3 * (log[:, 3] > 1) + 0.2 * log[:, 4] * log[:, 5]
    )
    return DataTable("skewed", "log-normal amounts", "r2", _numbered(x), np.exp(price + draw.normal(0, 0.25, n)))


def noisy() -> DataTable:
    """Five classes in 20 numbers, 10 of them idle; 15 % of the labels are drawn anew."""
    x, y = datasets.make_classification(
        10_000,
        20,
        n_informative=8,
        n_redundant=2,
        n_classes=5,
        n_clusters_per_class=2,
        class_sep=1.2,
        flip_y=0.15,
        random_state=6,
    )
    return DataTable("noisy", "15 % of labels drawn anew", "accuracy", _numbered(x), y)


def unbalanced() -> DataTable:
    """One row in fifty is of the second class: many small risks, a few of them only together."""
    draw = np.random.default_rng(7)
    n = 20_000
    x = draw.normal(size=(n, 10))
    place = draw.integers(0, 15, n)
    risk = 0.9 * x[:, 0] + 0.7 * np.abs(x[:, 1]) + 1.2 * (x[:, 2] > 1) * (x[:, 3] > 0) + 0.6 * x[:, 4] * x[:, 5]
    risk = risk + draw.normal(0, 0.6, 15)[place] + draw.logistic(0, 1, n)
    y = (risk > np.quantile(risk, 0.98)).astype(int)
    return DataTable("unbalanced", "1 in 50", "auc", _numbered(x) | {"place": _named(place)}, y)


def large() -> DataTable:
    """100,000 rows of 14 numbers and 6 text columns: seven kinds of ground, told by heights, distances and soils."""
    draw = np.random.default_rng(8)
    n, kinds = 100_000, 7
    x = draw.normal(size=(n, 14))
    x[:, 1] = 0.7 * x[:, 0] + 0.7 * x[:, 1]
    x[:, 2] = np.exp(x[:, 2])
    x[:, 3] = np.round(x[:, 3] * 2)
    levels = (2, 4, 6, 10, 20, 40)
    codes = [draw.integers(0, count, n) for count in levels]
    scores = np.tanh(x[:, :8] @ draw.normal(0, 0.6, (8, 24))) @ draw.normal(0, 0.5, (24, kinds))
    scores = (
        scores
        + 1.2 * (x[:, [0]] > draw.normal(0, 0.7, kinds))
        - 1.0 * (x[:, [1]] * x[:, [4]] > draw.normal(0, 0.7, kinds))
    )
    for count, code in zip(levels, codes, strict=True):
        scores = scores + draw.normal(0, 0.4, (count, kinds))[code]
    scores = scores + draw.normal(0, 0.5, (6, 10, kinds))[codes[2], codes[3]]
    y = (scores + draw.gumbel(0, 0.25, scores.shape)).argmax(1)
    text = {f"c{place}": _named(code) for place, code in enumerate(codes)}
    return DataTable("large", "20 columns, 7 classes", "accuracy", _numbered(x) | text, y, repeats=2)


def _numbered(x: np.ndarray) -> Columns:
    return {f"x{place}": values.astype(float) for place, values in enumerate(x.T)}


def _named(codes: np.ndarray) -> np.ndarray:
    return np.array([f"v{code:02}" for code in codes], dtype=object)
