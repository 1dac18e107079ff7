"""Where a function over a grid is at least as high as a level: outlines by marching squares, to be filled."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from docs.pictures.svg import Point


def outlines(values: Sequence[Sequence[float]], level: float) -> list[list[Point]]:
    """Closed loops, in steps of the grid: the point (x, y) has the value `values[y][x]`.

    Each cell gives the part of its square that is high enough. An edge that two cells share is walked one way by one
    of them and the other way by the other, and vanishes; what is left are the outlines.
    """
    edges: set[tuple[Point, Point]] = set()
    for y in range(len(values) - 1):
        for x in range(len(values[0]) - 1):
            polygon = list(_part(values, level, x, y))
            for first, last in pairwise([*polygon, *polygon[:1]]):
                if (last, first) in edges:
                    edges.remove((last, first))
                else:
                    edges.add((first, last))
    ahead = dict(sorted(edges))
    found = []
    while ahead:
        start, point = ahead.popitem()
        loop = [start]
        while point != start:
            loop.append(point)
            point = ahead.pop(point)
        found.append(_straight(loop))
    return found


def _part(values: Sequence[Sequence[float]], level: float, x: int, y: int) -> Iterator[Point]:
    corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1), (x, y)]
    for first, last in pairwise(corners):
        here, there = (values[row][column] - level for column, row in (first, last))
        if here >= 0:
            yield first
        if (here >= 0) != (there >= 0):
            yield _crossing(first, last, here, there) if first < last else _crossing(last, first, there, here)


def _crossing(first: Point, last: Point, here: float, there: float) -> Point:
    """Never a corner itself: an outline must not touch itself there."""
    share = min(max(here / (here - there), 1e-6), 1 - 1e-6)
    return first[0] + (last[0] - first[0]) * share, first[1] + (last[1] - first[1]) * share


def _straight(loop: list[Point]) -> list[Point]:
    """Without the points along the border of the grid that lie on a line with their neighbours."""
    around = zip([loop[-1], *loop], loop, [*loop[1:], loop[0]], strict=False)
    return [b for a, b, c in around if abs((b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])) > 1e-9]
