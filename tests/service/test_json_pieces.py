"""JSON read in pieces means what it means in one go, is refused alike, and is never held in memory as a whole."""

import random
from typing import Any

import orjson
import pytest

from service import json_pieces, strict_json
from service.json_pieces import Pieces
from service.problems import Invalid, Malformed, Problem

STREAMED = {("instances",): 1_000, ("inputs", "*", "data"): 1_000, ("frame", "data"): 1_000}
WORDS = ("", "a", "},{", "],[", "\\", '"', "é", "\U0001f600", "\n", ',"', "[" * 40, "x" * 90, "\\u0041")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few bytes, so that their ends are everywhere."""
    for name, bytes in (("SMALL_BYTES", 16), ("_FIRST_WINDOW", 5), ("_WINDOW", 37)):
        monkeypatch.setattr(json_pieces, name, bytes)


def value(random: random.Random, depth: int = 0) -> Any:
    kind = random.randrange(8 if depth < 4 else 5)
    match kind:
        case 0:
            return random.choice((None, True, False))
        case 1:
            return random.choice((0, -1, 1.5, 1e300, 12345678901234567890, -0.0))
        case 2 | 3 | 4:
            return "".join(random.choices(WORDS, k=random.randrange(3)))
        case 5 | 6:
            return [value(random, depth + 1) for _ in range(random.randrange(6))]
        case _:
            return {f"{random.choice(WORDS)}{place}": value(random, depth + 1) for place in range(random.randrange(5))}


def body(random: random.Random) -> dict[str, Any]:
    rows = [value(random) for _ in range(random.randrange(30))]
    return {
        "first": value(random),
        "instances": rows,
        "inputs": [{"name": "x", "data": rows}, {"data": [1.5] * random.randrange(40)}],
        "frame": {"columns": value(random), "data": [[each] for each in rows]},
        "last": value(random),
    }


def text(random: random.Random, found: Any) -> bytes:
    if isinstance(found, dict):
        members = [text(random, key) + space(random) + b":" + text(random, each) for key, each in found.items()]
        return b"{" + space(random) + b",".join(members) + space(random) + b"}"
    if isinstance(found, list):
        return b"[" + space(random) + b",".join(space(random) + text(random, each) for each in found) + b" ]"
    if isinstance(found, str) and random.random() < 0.3:
        utf16 = found.encode("utf-16-be")
        units = (utf16[place : place + 2].hex() for place in range(0, len(utf16), 2))
        return ('"' + "".join(f"\\u{unit}" for unit in units) + '"').encode()
    return orjson.dumps(found)


def space(random: random.Random) -> bytes:
    return random.choice((b"", b"", b" ", b"\n", b"\r\n\t "))


def whole(found: Any) -> Any:
    if isinstance(found, Pieces):
        parts = list(found.batches())
        elements = [each for _, batch in parts for each in batch]
        assert len(elements) == len(found)
        assert [first for first, _ in parts] == [sum(len(each) for _, each in parts[:n]) for n in range(len(parts))]
        return elements
    if isinstance(found, dict):
        return {name: whole(each) for name, each in found.items()}
    return [whole(each) for each in found] if isinstance(found, list) else found


def read(content: bytes) -> Any:
    try:
        return orjson.dumps(whole(json_pieces.parse(content, STREAMED)))
    except Problem as problem:
        return type(problem), problem


def read_at_once(content: bytes) -> Any:
    try:
        return orjson.dumps(strict_json.parse_large(content))
    except Problem as problem:
        return type(problem), problem


@pytest.mark.parametrize("seed", range(100))
def test_the_same_value_as_in_one_go(seed: int) -> None:
    drawn = random.Random(seed)
    content = text(drawn, body(drawn))
    assert read(content) == read_at_once(content)


@pytest.mark.parametrize("seed", range(100))
def test_damaged_bodies_are_refused_as_in_one_go(seed: int) -> None:
    drawn = random.Random(seed)
    content = text(drawn, body(drawn))
    for _ in range(10):
        damaged = bytearray(content)
        for _ in range(drawn.randrange(1, 3)):
            place = drawn.randrange(len(damaged))
            match drawn.randrange(4):
                case 0:
                    damaged[place] = drawn.choice(b'"\\[]{},:0e \xff\x00')
                case 1:
                    del damaged[place:]
                case 2:
                    del damaged[place : place + drawn.randrange(1, 4)]
                case _:
                    damaged[place:place] = bytes(drawn.choices(b'"\\[]{},:0', k=2))
            damaged = damaged or bytearray(b"{")
        one, other = read(bytes(damaged)), read_at_once(bytes(damaged))
        if isinstance(other, bytes):
            assert one == other
        else:
            # Both refuse it; which of two faults is told first may differ.
            assert isinstance(one, tuple), damaged


def test_fault_is_told_by_its_place_in_the_whole() -> None:
    rows = ['{"a": 1}'] * 50
    rows[33] = '{"a": 1, "a": 2}'
    _, problem = read(('{"instances": [' + ", ".join(rows) + "]}").encode())
    assert problem.errors == {"instances.33.a": ["stands here twice; once is allowed"]}
    rows[33] = '{"a": "\\ud800"}'
    _, problem = read(('{"instances": [' + ", ".join(rows) + "]}").encode())
    assert problem.errors == {"instances.33.a": ["text without NUL and without half a surrogate pair"]}
    rows[33] = '{"é": 1 2}'
    content = ('{"instances":\n[' + ",\n".join(rows) + "]}").encode()
    assert read(content)[1].members == read_at_once(content)[1].members == {"line": 35, "column": 9}
    rows[33] = '"\xff"'
    content = ('{"instances": [' + ", ".join(rows) + "]}").encode("latin-1")
    assert str(read(content)[1]) == str(read_at_once(content)[1])


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b'{"instances": [' + b"[]," * 2_000 + b"[]]}", Invalid, "1 to 1000 values"),
        (b"[" + b"[]," * 2_000 + b"[]]", Malformed, "must be a JSON object"),
        (b'{"instances": [' + b"[]," * 900, Malformed, "not JSON"),
        (b'{"instances": [1,,' + b"1," * 90 + b"1]}", Malformed, "not JSON"),
        (b'{"instances": [' + b"1," * 90 + b"]}", Malformed, "not JSON"),
        (b'{"instances": [' + b"1," * 90 + b"1}}", Malformed, "not JSON"),
        (b'{"instances": [' + b"1," * 90 + b"1]} x", Malformed, "Extra data"),
        (b'{"instances": [[' + b"1," * (1 << 20) + b"1]]}", Invalid, "instances.0: at most 1048576 bytes"),
        (b'{"other": [' + b"1," * (1 << 20) + b"1]}", Invalid, "other: at most 1048576 bytes"),
        (b'{"instances": [1], "instances": [' + b"1," * 90 + b"1]}", Invalid, "twice"),
        (b'{"frame": {"data": [' + b"1," * 1_001 + b"1]}}", Invalid, "frame.data: a list of 1 to 1000"),
        (b'{"inputs": [' + b"{}," * 20_001 + b"1]}", Invalid, "inputs: a list of at most 20000"),
        (b"\xef\xbb\xbf" + b'{"instances": [1, 2, 3, 4, 5]}', Malformed, "not JSON"),
        ('{"instances": [1, 2, 3, 4, 5]}'.encode("utf-16"), Malformed, "not"),
        (b"", Malformed, "not JSON"),
        (b'{"instances": ' + b"[" * 5_000, Malformed, "not JSON"),
    ],
)
def test_refused_with_the_reason(content: bytes, kind: type[Problem], words: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(json_pieces, "_WINDOW", 1 << 12)
    with pytest.raises(kind, match=words):
        whole(json_pieces.parse(content, STREAMED))
