"""Blobs: the bytes under the name of their hash, whole or not at all, in a folder and in an object store."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.blobs import BlobBroken, Blobs
from store.errors import BlobMissing, Full


@pytest.fixture(params=["file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    return Blobs(f"file://{tmp_path / 'blobs'}" if request.param == "file" else "memory:///", tmp_path / "cache")


@given(content=st.binary(max_size=5000))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_put_is_got_under_the_name_of_its_hash(blobs, content):
    key = blobs.put(content)
    hexadecimal = hashlib.sha256(content).hexdigest()
    assert key == f"sha256/{hexadecimal[:2]}/{hexadecimal[2:]}"
    assert blobs.get(key) == content
    assert blobs.local_path(key).read_bytes() == content
    assert blobs.put(content) == key
    assert blobs.exists(key)


def test_a_file_is_copied_and_stays(blobs, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x" * 3_000_000)
    key = blobs.put(file)
    file.write_bytes(b"changed")
    assert blobs.get(key) == b"x" * 3_000_000


def test_a_deleted_blob_is_missing_everywhere_and_deleting_it_again_is_harmless(blobs):
    key = blobs.put(b"gone soon")
    blobs.local_path(key)
    blobs.delete(key)
    blobs.delete(key)
    assert not blobs.exists(key)
    for read in (blobs.get, blobs.local_path):
        with pytest.raises(BlobMissing):
            read(key)


def test_damage_is_noticed_and_mended_by_writing_again(tmp_path):
    blobs = Blobs(f"file://{tmp_path}", tmp_path)
    key = blobs.put(b"weights")
    blobs.local_path(key).write_bytes(b"weighty")
    with pytest.raises(BlobBroken):
        blobs.get(key)
    blobs.put(b"weights")
    assert blobs.get(key) == b"weights"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_on_the_way_leaves_nothing(tmp_path, monkeypatch, step):
    blobs = Blobs(f"file://{tmp_path}", tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "the disk is ill")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), broken)
    with pytest.raises(OSError, match="ill"):
        blobs.put(b"half")
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_synced_fails_the_write(tmp_path, monkeypatch):
    blobs = Blobs(f"file://{tmp_path}", tmp_path)
    calls = []
    real = os.fsync

    def second_fails(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 1:
            raise OSError(errno.EIO, "the disk is ill")
        real(handle)

    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(OSError, match="ill"):
        blobs.put(b"named but maybe not kept")


def test_bytes_are_synced_before_they_get_their_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace

    def noted(handle: int) -> None:
        status = os.fstat(handle)
        order.append(("file", status.st_size) if stat.S_ISREG(status.st_mode) else "folder")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", lambda path, to: (order.append("rename"), replace(path, to))[1])
    Blobs(f"file://{tmp_path}", tmp_path).put(b"content")
    named = order.index("rename")
    assert ("file", len(b"content")) in order[:named]
    assert "folder" in order[named:]


def test_a_full_disk_says_so(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    blobs = Blobs(f"file://{tmp_path}", tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Full):
        blobs.put(b"content")


def test_only_old_temporary_files_are_swept(tmp_path):
    blobs = Blobs(f"file://{tmp_path}", tmp_path)
    key = blobs.put(b"kept")
    old, new = blobs.scratch / "old", blobs.scratch / "new"
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    assert blobs.sweep(3600) == 1
    assert not old.exists()
    assert new.exists()
    assert blobs.get(key) == b"kept"


def test_folders_that_an_import_left_are_swept_once_nothing_in_them_is_new(tmp_path):
    blobs = Blobs(f"file://{tmp_path}", tmp_path)
    left, at_work = blobs.scratch / "left", blobs.scratch / "at_work"
    for folder in (left, at_work):
        (folder / "tmp" / "spill").mkdir(parents=True)
        for file in ("table", "tmp/rewritten.csv", "tmp/spill/duckdb_temp_storage-0.tmp"):
            (folder / file).write_bytes(b"x")
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (0, 0))
    (at_work / "tmp" / "spill" / "duckdb_temp_storage-1.tmp").write_bytes(b"x")
    (blobs.scratch / "link").symlink_to(at_work)
    os.utime(blobs.scratch / "link", (0, 0), follow_symlinks=False)
    assert blobs.sweep(3600) == 2
    assert sorted(path.name for path in blobs.scratch.iterdir()) == ["at_work"]
    assert (at_work / "table").exists()


def test_what_is_no_key_of_ours_never_reaches_the_disk(blobs):
    whole = "sha256/ab/" + "c" * 62
    for key in (
        whole + "/../../x",
        whole + "\n",
        "/" + whole,
        "",
        "x",
        "../x",
        "sha256/../../etc/passwd",
        "sha256/ab/" + "c" * 61,
        "sha256/AB/" + "c" * 62,
    ):
        for use in (blobs.get, blobs.local_path, blobs.exists, blobs.delete):
            with pytest.raises(ValueError, match="not a blob key"):
                use(key)
