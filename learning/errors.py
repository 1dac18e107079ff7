"""What the data can be wrong about, each error with the facts that a caller needs to say it better.

LearningError
├── UnusableColumn    a feature or target that is not there, or of a type that cannot be used as asked
├── NoUsableFeature   nothing to learn from is left after the constant columns are ignored
└── UnusableSplit     a split that would be too small, `train`, `validation` or `test`
"""


class LearningError(Exception):
    """The root of all errors that this package raises about a caller's data."""


class UnusableColumn(LearningError):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"column {column!r} {reason}")
        self.column = column
        self.reason = reason


class NoUsableFeature(LearningError):
    def __init__(self) -> None:
        super().__init__("every feature is constant on the train rows")


class UnusableSplit(LearningError):
    def __init__(self, split: str, reason: str) -> None:
        super().__init__(f"the {split} split {reason}")
        self.split = split
        self.reason = reason
