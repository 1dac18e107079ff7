"""Bodies of nothing but numbers: read as by way of objects, or not at all."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import Cells, Row
from learning.model import Inputs
from service import strict_json
from service.serving import number_rows
from service.serving.instances import LARGEST, columns_of

NAMES = frozenset({"instances", "probabilities", "interval"})
BLANKS = " " * number_rows.FEWEST_BYTES  # so that a body is large enough


def inputs(width):
    return Inputs({"name": f"x{place}", "type": "numeric"} for place in range(width))


def cells(rows):
    return rows.cells if isinstance(rows, Row) else rows


def is_same(one, other):
    one, other = cells(one), cells(other)
    assert one.codes.shape == other.codes.shape
    return one.numbers.numpy().tobytes() == other.numbers.numpy().tobytes()


NUMBER = st.floats(-LARGEST, LARGEST) | st.integers(-(2**63), 2**64 - 1)


@given(st.data())
def test_rows_of_numbers_are_read_as_by_way_of_objects(data):
    width = data.draw(st.integers(1, 5))
    row = st.lists(NUMBER, min_size=width, max_size=width)
    body = json.dumps({"instances": data.draw(st.lists(row, min_size=1, max_size=9)), "interval": 0.5}) + BLANKS
    found = number_rows.read(body.encode(), inputs(width), NAMES)
    assert found is not None
    asked, rows = found
    assert asked == {"interval": 0.5}
    assert isinstance(rows, Row) == (cells(rows).rows == 1)
    assert is_same(rows, columns_of(strict_json.parse_large(body.encode())["instances"], inputs(width)))


LEFT = {
    "a value is missing": "[[1,null]]",
    "text": '[[1,"2"]]',
    "text that holds a bracket": '[[1,"["],[2]]',
    "true": "[[1,true]]",
    "a record": '[{"x0":1,"x1":2}]',
    "a record among arrays": '[[1,2],{"x0":1}]',
    "nested": "[[1,[2]]]",
    "nested and empty": "[[1,2,[]]]",
    "nested, and as many as arrays": "[[1,[2]],3]",
    "too few": "[[1,2],[3]]",
    "as many in all": "[[1],[2,3,4]]",
    "numbers": "[1,2]",
    "none": "[]",
    "an empty row": "[[]]",
    "past float64": "[[1,1e400]]",
    "past float32": "[[1,1e39]]",
    "a whole number past 64 bits": "[[1,18446744073709551616]]",
    "a long whole number": "[[1,99999999999999999999999]]",
    "not a number": "[[1,NaN]]",
    "no JSON": "[[1,2]",
    "an object": '{"x0":1}',
    "null": "null",
}


@pytest.mark.parametrize("instances", LEFT.values(), ids=list(LEFT))
def test_whatever_else_is_left_to_others(instances):
    assert number_rows.read(f'{{"instances":{instances}}}{BLANKS}'.encode(), inputs(2), NAMES) is None


@pytest.mark.parametrize(
    "body",
    [
        b"[[1,2]]",
        b'{"instances":[[1,2]],"instances":[[1,2]]}',
        b'{"instances":[[1,2]],"else":1}',
        b'{"instances":[[1,2]],"interval":[0.5]}',
        b'{"instances":[[1,2]],"interval":{}}',
        b'{"interval":0.5}',
        b'{"instances":[[1,2]]}{}',
        b'{"instances":[[1,2]],"\xff":1}',
        b"",
    ],
)
def test_a_body_of_another_kind_is_left_to_others(body):
    assert number_rows.read(body + BLANKS.encode(), inputs(2), NAMES) is None


def test_a_model_of_other_features_reads_by_way_of_objects():
    body = f'{{"instances":[[1,2]]}}{BLANKS}'.encode()
    kinds = Inputs([{"name": "x", "type": "numeric"}, {"name": "y", "type": "boolean"}])
    assert number_rows.read(body, kinds, NAMES) is None
    assert number_rows.read(body, inputs(2), NAMES) is not None


def test_names_may_be_escaped_and_the_values_are_kept():
    body = b'{"instances":[[1,2],[3,4]],"probabilitie\\u0073":true}' + BLANKS.encode()
    asked, rows = number_rows.read(body, inputs(2), NAMES)
    assert asked == {"probabilities": True}
    assert isinstance(rows, Cells)
    assert rows.numbers.equal(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64))


def test_rows_that_were_read_stay_as_they_are_when_others_are_read():
    first = b'{"instances":[[1,2],[3,4]]}' + BLANKS.encode()
    large = b'{"instances":[' + b",".join([b"[5,6]"] * (number_rows.KEPT_BYTES // 6 + 1)) + b"]}"
    _, rows = number_rows.read(first, inputs(2), NAMES)
    for body in (first.replace(b"1", b"7"), large, first.replace(b"2", b"8")):
        assert number_rows.read(body, inputs(2), NAMES) is not None
    assert rows.numbers.equal(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64))
