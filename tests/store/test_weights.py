"""Weights files: what is packed is unpacked, and nothing else is."""

import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from store import weights
from store.weights import MAX_TENSORS, BrokenWeights, pack, unpack

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ARRAYS = st.sampled_from([np.float32, np.float64, np.int64, np.bool_]).flatmap(lambda kind: arrays.arrays(kind, SHAPES))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(lambda s: s != "__metadata__")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(tensors=st.dictionaries(NAMES, ARRAYS, max_size=4), header=st.dictionaries(st.text(), JSON, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_round_trip_changes_nothing(tensors, header):
    content = pack(tensors, header)
    found, found_header = unpack(content)
    assert found_header == header
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.writeable
    assert pack(dict(reversed(tensors.items())), header) == content


def test_arrays_that_are_views_are_packed_as_they_look():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    found, _ = unpack(pack({"turned": array.T, "thinned": array[:, ::2]}, {}))
    assert found["turned"].tolist() == array.T.tolist()
    assert found["thinned"].tolist() == array[:, ::2].tolist()


def test_nan_in_the_header_is_refused_when_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack({}, {"loss": float("nan")})


@given(st.binary(max_size=200))
def test_rubbish_is_refused(content):
    with pytest.raises(BrokenWeights):
        unpack(content)


@given(cut=st.integers(0, 300), flip=st.integers(0, 300))
def test_a_damaged_file_is_refused_or_is_another_whole_file(cut, flip):
    content = pack({"layers.0.weight": np.ones((2, 3), np.float32)}, {"format": "learnd.weights/1"})
    with pytest.raises(BrokenWeights):
        unpack(content[: min(cut, len(content) - 1)])
    damaged = bytearray(content)
    damaged[flip % len(content)] ^= 0x41
    try:
        tensors, header = unpack(bytes(damaged))
    except BrokenWeights:
        return
    assert isinstance(header, dict)
    assert all(array.nbytes <= len(content) for array in tensors.values())


HEADED = {"__metadata__": {"learnd": "{}"}}


def test_a_file_of_as_many_shapes_as_a_run_may_have_is_read_again():
    tensors = {f"{shape}.layers.{layer}.weight": np.ones(1) for shape in range(500) for layer in range(10)}
    found, _ = unpack(pack(tensors, {}))
    assert found.keys() == tensors.keys()


@pytest.mark.parametrize("limit", ["MAX_TENSORS", "MAX_HEADER_BYTES"])
def test_what_could_not_be_read_again_is_not_written(monkeypatch, limit):
    monkeypatch.setattr(weights, limit, 1)
    with pytest.raises(BrokenWeights, match="more than 1"):
        pack({"a": np.ones(1), "b": np.ones(1)}, {})


def _file(described: object, data: bytes = b"") -> bytes:
    text = json.dumps(described).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ((1 << 62).to_bytes(8, "little") + b"{}", "cut short"),
        (_file([]), "no JSON object"),
        (_file({}), "no 'learnd' header"),
        (_file({"__metadata__": {"learnd": "[]"}}), "no JSON object"),
        (_file({"__metadata__": {"learnd": "["}}), "Expecting value"),
        (_file({"__metadata__": {"learnd": "[" * 100_000}}), "recursion"),
        (_file({f"t{n}": 0 for n in range(MAX_TENSORS + 1)}), "tensors, more than"),
        (_file(HEADED | {"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]}}), "deserializ"),
        (_file(HEADED | {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 9]}}), "deserializ"),
        (safetensors.numpy.save({"a": np.ones(1)}), "no 'learnd' header"),
    ],
)
def test_what_says_too_much_of_itself_is_refused(content, reason):
    with pytest.raises(BrokenWeights, match=reason):
        unpack(content)
