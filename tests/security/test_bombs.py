"""What inflates, and what names itself a path: cut off early, kept inside."""

import gzip
import random
import resource
import time

import pytest

from store.blobs import Blobs
from store.inflow import TooLarge, receive

GIB = 1 << 30


def test_ten_mebibytes_that_inflate_to_ten_gibibytes_are_cut_off_with_flat_memory(tmp_path):
    member = gzip.compress(bytes(10 << 20), 9)
    taken = [0]

    def bomb():
        for _ in range(1024):
            taken[0] += 1
            yield member

    assert len(member) * 1024 < 11 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    with pytest.raises(TooLarge), receive(bomb(), tmp_path, limit=256 << 20, gzip=True):
        pytest.fail("accepted")
    assert time.monotonic() - began < 5
    assert taken[0] <= 27
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 50 << 20
    assert list(tmp_path.iterdir()) == []


def test_one_member_that_inflates_a_thousandfold_is_never_whole_in_memory(tmp_path):
    bomb = gzip.compress(bytes(200 << 20), 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge), receive([bomb], tmp_path, limit=100 << 20, gzip=True):
        pytest.fail("accepted")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 50 << 20


def _hostile_names() -> list[str]:
    parts = [
        "..",
        ".",
        "/",
        "\\",
        "~",
        "%2e%2e",
        "\0",
        "\n",
        "C:",
        "etc",
        "passwd",
        "sha256",
        "ab",
        "....//",
        "…",
        "'",
        ";",
    ]
    chosen = random.Random(0)
    fixed = ["../../etc/passwd", "/etc/passwd"]
    fixed += ["sha256/../../x", "sha256/ab/../" + "c" * 60, "..\\..\\x", "file:///etc/passwd"]
    return fixed + ["/".join(chosen.choices(parts, k=chosen.randint(1, 8))) for _ in range(194)]


def test_two_hundred_hostile_names_reach_nothing_outside_the_root(tmp_path):
    root = tmp_path / "deep" / "root"
    blobs = Blobs(f"file://{root}", root)
    bait = tmp_path / "x"
    bait.write_bytes(b"bait")
    before = sorted(tmp_path.rglob("*"))
    for name in _hostile_names():
        for use in (blobs.get, blobs.local_path, blobs.exists, blobs.delete):
            with pytest.raises(ValueError, match="not a blob key"):
                use(name)
        blobs.put(name.encode())  # as content a name is harmless
    assert bait.read_bytes() == b"bait"
    outside = [path for path in tmp_path.rglob("*") if not path.is_relative_to(root) and path not in before]
    assert outside == []
