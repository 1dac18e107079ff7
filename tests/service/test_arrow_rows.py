"""Arrow streams that are broken, or would have to be inflated: refused, and nothing worse."""

import random

import pyarrow as pa
import pytest

from service.problems import Invalid, Problem
from service.serving import arrow_rows
from tests.service.arrow_streams import stream_of


def test_no_change_to_the_bytes_of_a_stream_does_harm() -> None:
    """Thousands of broken streams, each refused or read; in one process, which must live."""
    inputs = [
        {"name": name, "type": kind}
        for name, kind in [("n", "numeric"), ("t", "categorical"), ("d", "categorical"), ("b", "boolean")]
    ] + [{"name": "at", "type": "datetime"}]
    table = pa.table(
        {
            "n": [1.5, None, 3.0],
            "t": ["x", None, "yé"],
            "d": pa.array(["p", "q", "p"]).dictionary_encode(),
            "b": [True, None, False],
            "at": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
        }
    )
    whole = stream_of(table)
    assert next(arrow_rows.slices(whole, inputs, 10, 10))["n"].rows == 3
    drawn = random.Random(20)
    read = refused = 0
    for _ in range(4_000):
        body = bytearray(whole)
        for _ in range(drawn.choice([1, 1, 2, 4])):
            place = drawn.randrange(len(body) - 8)
            match drawn.randrange(4):
                case 0:
                    body[place] = drawn.randrange(256)
                case 1:
                    body[place] ^= 1 << drawn.randrange(8)
                case 2:
                    ends = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x80"]
                    body[place : place + 4] = drawn.choice(ends)
                case _:
                    del body[place : place + drawn.randrange(9)]
        try:
            found = next(arrow_rows.slices(bytes(body), inputs, 10, 10))
        except Problem:
            refused += 1
        else:
            assert {column.rows for column in found.values()} <= set(range(1, 11))
            read += 1
    assert refused > 1_000
    assert read > 100


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("coded", [False, True])
def test_a_stream_that_would_have_to_be_inflated_is_refused(compression: str, coded: bool) -> None:
    column = pa.array(["long enough to be worth it"] * 100 + ["another"])
    table = pa.table({"t": column.dictionary_encode() if coded else column})
    inputs = [{"name": "t", "type": "categorical"}]
    assert next(arrow_rows.slices(stream_of(table), inputs, 1_000, 1_000))["t"].rows == 101
    with pytest.raises(Invalid, match="without compression"):
        next(arrow_rows.slices(stream_of(table, compression=compression), inputs, 1_000, 1_000))
