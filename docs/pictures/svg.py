"""A drawing as text: lines, dots and areas on panels with axes, in colours that can be read on light and on dark."""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise

Point = tuple[float, float]
Range = tuple[float, float]

INK, FAINT = "#777f8b", "#8f98a6"
BLUE, ORANGE, GREEN, PURPLE, RED = "#3f83d3", "#e07b35", "#2e9e76", "#9a66cc", "#d84d66"

_STYLE = (
    f"text{{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:{INK}}}"
    ".s{font-size:11px}.b{font-weight:600;font-size:13px}"
    f".g{{stroke:{FAINT};stroke-opacity:.28}}.l{{fill:none;stroke-linejoin:round;stroke-linecap:round}}"
)


class Drawing:
    """`width` by `height` pixels; what is added first lies undermost."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.size = (width, height)
        self.title = title
        self.parts: list[str] = []

    def add(self, part: str) -> None:
        self.parts.append(part)

    def text(self, at: Point, words: str, kind: str = "", *, anchor: str = "start", colour: str | None = None) -> None:
        style = f' style="fill:{colour}"' if colour else ""
        name = f' class="{kind}"' if kind else ""
        self.add(f'<text x="{_n(at[0])}" y="{_n(at[1])}" text-anchor="{anchor}"{name}{style}>{escape(words)}</text>')

    def __str__(self) -> str:
        width, height = self.size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        )
        body = "\n".join(self.parts)
        return f'{head} role="img">\n<title>{escape(self.title)}</title>\n<style>{_STYLE}</style>\n{body}\n</svg>\n'


class Panel:
    """A rectangle of a drawing, `box` its left, top, width and height; x and y run over ranges of their own in it."""

    def __init__(
        self,
        drawing: Drawing,
        box: tuple[float, float, float, float],
        x: Range,
        y: Range,
        *,
        logs: str = "",  # which of the axes are logarithmic: "x", "y", "xy"
    ) -> None:
        self.drawing = drawing
        self.left, self.top, self.width, self.height = box
        self.across = _scale(x, (self.left, self.left + self.width), log="x" in logs)
        self.up = _scale(y, (self.top + self.height, self.top), log="y" in logs)
        self.clip = f"c{len(drawing.parts)}"
        rectangle = f'<rect x="{_n(box[0])}" y="{_n(box[1])}" width="{_n(box[2])}" height="{_n(box[3])}"'
        drawing.add(f'<clipPath id="{self.clip}">{rectangle}/></clipPath>')
        self.rectangle = rectangle

    def at(self, point: Point) -> Point:
        return self.across(point[0]), self.up(point[1])

    def ground(self, colour: str) -> None:
        self.drawing.add(f'{self.rectangle} fill="{colour}"/>')

    def frame(self) -> None:
        self.drawing.add(f'{self.rectangle} fill="none" class="g"/>')

    def title(self, words: str, under: str = "") -> None:
        self.drawing.text((self.left, self.top - (26 if under else 11)), words, "b")
        if under:
            self.drawing.text((self.left, self.top - 10), under, "s")

    def x_axis(self, label: str, ticks: Iterable[tuple[float, str]]) -> None:
        bottom = self.top + self.height
        for value, words in ticks:
            x = self.across(value)
            self.drawing.add(f'<path class="g" d="M{_n(x)} {_n(self.top)}V{_n(bottom)}"/>')
            self.drawing.text((x, bottom + 15), words, "s", anchor="middle")
        self.drawing.text((self.left + self.width / 2, bottom + 32), label, anchor="middle")

    def y_axis(self, label: str, ticks: Iterable[tuple[float, str]]) -> None:
        for value, words in ticks:
            y = self.up(value)
            self.drawing.add(f'<path class="g" d="M{_n(self.left)} {_n(y)}H{_n(self.left + self.width)}"/>')
            self.drawing.text((self.left - 6, y + 4), words, "s", anchor="end")
        if label:
            self.drawing.text((self.left, self.top - 10), label)

    def line(self, points: Iterable[Point], colour: str, width: float = 2, opacity: float = 1, dash: str = "") -> None:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._path(_moves(map(self.at, points)), f'class="l" stroke="{colour}" stroke-width="{width}"', opacity, dashes)

    def area(self, loops: Iterable[Sequence[Point]], colour: str, opacity: float = 1) -> None:
        path = "".join(_moves(map(self.at, loop)) + "Z" for loop in loops)
        self._path(path, f'fill="{colour}"', opacity)

    def dots(
        self, points: Iterable[Point], colour: str, radius: float = 2.5, opacity: float = 1, rim: str = ""
    ) -> None:
        """All of them as one path: a line without length has round ends."""
        places = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in map(self.at, points))
        if rim:
            self._path(places, f'class="l" stroke="{rim}" stroke-width="{2 * radius + 1.6:.1f}"', opacity)
        self._path(places, f'class="l" stroke="{colour}" stroke-width="{2 * radius:.1f}"', opacity)

    def _path(self, path: str, style: str, opacity: float, more: str = "") -> None:
        faint = f' opacity="{opacity:g}"' if opacity < 1 else ""
        if path:
            self.drawing.add(f'<path {style}{faint}{more} clip-path="url(#{self.clip})" d="{path}"/>')


def powers(*exponents: int) -> list[tuple[float, str]]:
    """Ticks of a logarithmic axis."""
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    plain = {-2: "0.01", -1: "0.1", 0: "1", 1: "10", 2: "100", 3: "1,000"}
    return [(10.0**each, plain.get(each, f"10{str(each).translate(raised)}")) for each in exponents]


def blend(share: float, *colours: str) -> str:
    """The colour at `share`, 0 to 1, of the way from the first to the last."""
    place = min(share * (len(colours) - 1), len(colours) - 1.000001)
    first, last = colours[int(place)], colours[int(place) + 1]
    pairs = zip(bytes.fromhex(first[1:]), bytes.fromhex(last[1:]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place % 1)):02x}" for a, b in pairs)


def _scale(values: Range, pixels: Range, *, log: bool) -> Callable[[float], float]:
    first, last = map(math.log10, values) if log else values
    start, length = pixels[0], pixels[1] - pixels[0]

    def place(value: float) -> float:
        if log:
            value = math.log10(max(value, 1e-300))
        # What lies far outside is clipped; it must not make long numbers either.
        return start + length * max(-2.0, min(3.0, (value - first) / (last - first)))

    return place


def _moves(points: Iterable[Point]) -> str:
    """`M` to the first point, then small steps to the others, in tenths of a pixel."""
    places = [(round(10 * x), round(10 * y)) for x, y in points]
    if not places:
        return ""
    steps = "".join(_tenths(c - a) + _tenths(d - b) for (a, b), (c, d) in pairwise(places) if (a, b) != (c, d))
    return f"M{places[0][0] / 10:g} {places[0][1] / 10:g}" + (f"l{steps.lstrip()}" if steps else "")


def _tenths(number: int) -> str:
    """With what parts it from the number before it: its sign, or a space."""
    whole, tenths = divmod(abs(number), 10)
    digits = (f"{whole}" if whole or not tenths else "") + (f".{tenths}" if tenths else "")
    return ("-" if number < 0 else " ") + digits


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
