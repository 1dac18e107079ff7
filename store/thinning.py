"""Thinning of curves: far fewer points, with every extreme still among them.

A curve is parted into stretches of equally many epochs, from epoch 1 on, and each stretch is thinned by itself: a page
from the middle of a long curve needs nothing of it but the stretches that it shows.
"""

import numpy as np
from numpy.typing import NDArray


def stretch(epochs: int, points: int) -> int:
    """How many epochs a stretch has where of so many at most `points` (4 or more) are to be kept: 2 of each, 2 ends."""
    return -(-epochs // ((points - 2) // 2))


def extremes(values: NDArray[np.float64], shown: NDArray[np.bool_], each: int) -> NDArray[np.bool_]:
    """Which of the `shown` values [E, K] to keep: the lowest and the highest in each `each` epochs of each curve.

    Of equal ones the first; of a stretch without any number its first epoch.
    """
    length, curves = values.shape
    shape = (-(-length // each), each, curves)
    usable = np.zeros((shape[0] * each, curves), dtype=bool)
    usable[:length] = shown & ~np.isnan(values)
    numbers = np.zeros(usable.shape)
    numbers[:length] = values
    keep = np.zeros(shape, dtype=bool)
    for nothing, find in ((np.inf, np.argmin), (-np.inf, np.argmax)):
        found = find(np.where(usable, numbers, nothing).reshape(shape), axis=1, keepdims=True)
        np.put_along_axis(keep, found, True, axis=1)
    kept: NDArray[np.bool_] = keep.reshape(usable.shape)[:length] & shown
    return kept
