"""The pictures of docs/learning.md: what draws them runs, draws the same again, and the page shows them all."""

import math
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from docs.pictures.__main__ import PICTURES
from docs.pictures.contours import outlines
from docs.pictures.svg import Drawing, Panel

DOCS = Path(__file__).parents[2] / "docs"
SMALL = {
    "activations": {"points": 5},
    "descent": {"epochs": 3, "longer": 2, "size": 8},
    "regions": {"epochs": 2, "rows": 40, "size": 8},
    "regression": {"epochs": 3},
    "schedules": {"epochs": 12, "steps": 1},
    "signals": {"depth": 3, "units": 8, "rows": 8},
    "stopping": {"epochs": 12, "rows": 6},
    "sweep": {"rates": 3, "seeds": 2, "epochs": 2},
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_the_same_again_and_is_one(name):
    drawn = PICTURES[name](**SMALL[name])
    assert PICTURES[name](**SMALL[name]) == drawn
    parts = [part.tag.rpartition("}")[2] for part in ET.fromstring(drawn).iter()]
    assert {"svg", "title", "path", "text"} <= set(parts)
    assert not re.search(r"\b(nan|inf)\b", drawn)


@pytest.mark.parametrize("name", PICTURES)
def test_it_is_kept_small_and_shown_with_words_for_who_cannot_see_it(name):
    assert (DOCS / "pictures" / f"{name}.svg").stat().st_size < 100_000
    assert re.search(rf"!\[[^\]]{{30,}}\]\(pictures/{name}\.svg\)", (DOCS / "learning.md").read_text())


def test_no_picture_is_left_over_and_none_is_missing():
    assert {path.stem for path in (DOCS / "pictures").glob("*.svg")} == set(PICTURES)
    assert set(re.findall(r"\(pictures/(\w+)\.svg\)", (DOCS / "learning.md").read_text())) == set(PICTURES)


def test_an_outline_encloses_what_is_high_enough():
    size, radius = 41, 0.7
    places = [2 * place / (size - 1) - 1 for place in range(size)]
    bowl = [[-math.hypot(x, y) for x in places] for y in places]
    (loop,) = outlines(bowl, -radius)
    step = 2 / (size - 1)
    assert all(math.hypot(x * step - 1, y * step - 1) == pytest.approx(radius, abs=0.01) for x, y in loop)
    area = sum(a * d - b * c for (a, b), (c, d) in pairwise([*loop, loop[0]])) / 2 * step**2
    assert area == pytest.approx(math.pi * radius**2, rel=0.01)


def test_an_outline_with_a_hole_is_two_loops_and_what_is_high_everywhere_the_whole_grid():
    values = [[1.0] * 7 for _ in range(7)]
    assert [sorted(loop) for loop in outlines(values, 0.5)] == [[(0, 0), (0, 6), (6, 0), (6, 6)]]
    values[3][3] = 0.0
    assert sorted(len(loop) for loop in outlines(values, 0.5)) == [4, 4]
    assert outlines(values, 2.0) == []


def test_a_path_of_small_steps_ends_where_the_line_ends():
    drawing = Drawing(100, 100, "a line")
    points = [(0.0, 0.0), (0.07, 0.5), (10.03, 2.0), (9.5, 0.49), (99.94, 100.0)]
    Panel(drawing, (0, 0, 100, 100), (0, 100), (100, 0)).line(points, "#000000")
    path = re.search(r'd="([^"]+)"', str(drawing).split("<path")[-1])[1]
    start, steps = path.removeprefix("M").split("l")
    numbers = [float(number) for number in re.findall(r"-?\d*\.?\d+", steps)]
    assert [float(number) for number in start.split()] == [0.0, 0.0]
    assert (sum(numbers[::2]), sum(numbers[1::2])) == pytest.approx((99.9, 100.0))
