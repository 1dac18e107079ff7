"""Thinning of curves: far fewer points, with every extreme still among them."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def extremes(values: NDArray[np.float32], shown: NDArray[np.bool_], points: int) -> NDArray[np.bool_]:
    """Which of the `shown` values [E, K] to keep, of each of the K curves at most `points` (or 4, if that is more).

    Kept are its first, its last, and the lowest and highest of each of as many equal stretches as that allows.
    """
    length = len(values)
    if length <= points:
        return shown
    keep = np.zeros_like(shown)
    curves = np.arange(values.shape[1])
    known = shown & ~np.isnan(values)
    edges = np.linspace(0, length, max(1, (points - 2) // 2) + 1).astype(int)
    for begin, end in pairwise(edges.tolist()):
        part, usable = values[begin:end], known[begin:end]
        keep[begin + np.where(usable, part, np.inf).argmin(axis=0), curves] = True
        keep[begin + np.where(usable, part, -np.inf).argmax(axis=0), curves] = True
    keep[shown.argmax(axis=0), curves] = True
    keep[length - 1 - shown[::-1].argmax(axis=0), curves] = True
    return keep & shown
