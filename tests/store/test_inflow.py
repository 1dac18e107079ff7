"""Bodies as they come in: counted, hashed, inflated, cut off."""

import errno
import gzip
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import durable
from store.errors import Full
from store.inflow import BadEncoding, TooLarge, inflated, receive


def _pieces(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@given(members=st.lists(st.binary(max_size=3000), min_size=1, max_size=4), size=st.integers(1, 700))
def test_gzip_of_any_members_in_any_pieces_is_inflated(members, size):
    compressed = b"".join(map(gzip.compress, members))
    assert b"".join(inflated(_pieces(compressed, size))) == b"".join(members)


def test_a_body_is_at_rest_while_it_is_used_and_then_gone(tmp_path):
    with receive([b"abc", b"def"], tmp_path, limit=6) as received:
        assert received.path.read_bytes() == b"abcdef"
        assert received.bytes == 6
        assert received.sha256 == hashlib.sha256(b"abcdef").hexdigest()
    assert list(tmp_path.iterdir()) == []


def test_the_count_and_hash_are_of_the_inflated_bytes(tmp_path):
    content = b"a,b\n1,2\n" * 1000
    with receive(_pieces(gzip.compress(content), 7), tmp_path, limit=len(content), gzip=True) as received:
        assert received.bytes == len(content)
        assert received.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("compressed", [False, True])
def test_one_byte_over_the_limit_is_refused_and_nothing_kept(tmp_path, compressed):
    body = gzip.compress(b"1234567") if compressed else b"1234567"
    with pytest.raises(TooLarge) as refused, receive([body], tmp_path, limit=6, gzip=compressed):
        pytest.fail("accepted")
    assert refused.value.limit == 6
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_not_read_on_after_its_limit(tmp_path):
    def endless():
        for number in range(1000):
            assert number < 12, "read on"
            yield b"x" * 100

    with pytest.raises(TooLarge), receive(endless(), tmp_path, limit=1000):
        pytest.fail("accepted")


@pytest.mark.parametrize(
    "body",
    [b"", b"plain text", gzip.compress(b"abc" * 100)[:-1], gzip.compress(b"abc")[:5], gzip.compress(b"abc") + b"x"],
    ids=["empty", "plain", "without its end", "within its header", "followed by rubbish"],
)
def test_what_is_no_whole_gzip_stream_is_refused(tmp_path, body):
    with pytest.raises(BadEncoding), receive([body], tmp_path, limit=10_000, gzip=True):
        pytest.fail("accepted")


def test_zeros_after_a_gzip_stream_are_forgiven():
    assert b"".join(inflated([gzip.compress(b"abc") + b"\0\0", b"\0"])) == b"abc"


def test_a_full_disk_says_so_and_leaves_no_file(tmp_path):
    def full():
        yield b"abc"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Full), durable.temporary_file(tmp_path) as (_, file):
        file.writelines(full())
    assert list(tmp_path.iterdir()) == []
