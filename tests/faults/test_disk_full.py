"""The disk is full: whoever asks is told so, what was kept is still good, and with room again everything goes on."""

import os
import signal
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from store import tenants
from store.database import Database
from store.errors import Full
from store.migrating import upgrade
from tests.faults.history import check
from tests.faults.house import House
from tests.faults.postgresql import PostgreSQL
from tests.faults.small_disk import SmallDisk
from tests.workers.running import IRIS, wait_for

CSV = {"Content-Type": "text/csv"}
LARGE = b"x,y\n" + b"1,2\n" * 1_000_000
LONG = {"epochs": 400, "seed": 5}
ENDLESS = {"epochs": 100_000}  # until it is stopped


@pytest.fixture
def disk(request):
    # Not in pytest's own folder: as root PostgreSQL runs as another user, to whom that folder is closed.
    with tempfile.TemporaryDirectory(prefix="learnd-disk-") as folder:
        disk = SmallDisk(Path(folder) / "disk", request.param)
        yield disk
        disk.remove()


@pytest.mark.parametrize("disk", [64], indirect=True)
def test_no_room_for_what_trains_and_what_is_uploaded(disk, new_house):
    places = {"blob_url": f"file://{disk.folder}/blobs", "environment": {"TMPDIR": str(disk.folder)}}
    house = new_house(checkpoint_seconds=0.2, **places)
    quiet = house.start(**LONG)
    assert house.ended(quiet).status == "succeeded"
    disk.fill(leaving=1 << 20)
    _refused_uploads(house, disk)
    disk.make_room()
    id = house.start(**LONG)
    wait_for(lambda: "run.checkpointed" in _types(house, id))
    disk.fill()  # from now on it can go on, and cannot end
    os.kill(house.slot_of(id), signal.SIGKILL)
    wait_for(lambda: house.run(id).attempt == 2)
    wait_for(lambda: "no room is left" in house.output.read_text())
    assert house.run(id).status == "running", "it waits for room for its weights"
    _refused_uploads(house, disk)
    waiting = house.start(epochs=2)
    instances = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
    assert house.client.once("POST", f"/v1/runs/{quiet}/predictions", json=instances).status_code == 200
    disk.make_room()
    assert (house.ended(id).status, house.run(id).attempt) == ("succeeded", 2)
    resumed = next(event for event in house.events(id) if event.type == "run.resumed")
    assert resumed.data["epoch"] > 0, "the checkpoint from before was there"
    assert house.run(id).weights_sha256 == house.run(quiet).weights_sha256
    house.upload(LARGE)
    assert house.ended(waiting).status == "succeeded"
    check(house)


@pytest.mark.parametrize("disk", [64], indirect=True)
def test_no_room_for_sqlite(disk, tmp_path):
    url = f"sqlite:///{disk.folder}/learnd.db"
    _goes_on_when_there_is_room(disk, tmp_path, url, lambda: None)


@pytest.mark.parametrize("disk", [16], indirect=True)
def test_sqlite_opened_where_there_is_no_room(disk):
    """Even to read, it makes two files beside its own."""
    url = f"sqlite:///{disk.folder}/learnd.db"
    upgrade(url)
    disk.fill()
    with closing(Database(url)) as database:
        for transaction in database.read, database.write:
            with pytest.raises(Full), transaction():
                pass
        disk.make_room()
        with database.write() as tx:
            assert tenants.exists(tx, tenants.LOCAL)


@pytest.mark.parametrize("disk", [256], indirect=True)
def test_no_room_for_postgresql(disk, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(disk.folder.parent))
    server = PostgreSQL(disk.folder / "data")
    try:
        _goes_on_when_there_is_room(disk, tmp_path, server.url, lambda: server.is_running() or server.start())
    finally:
        server.stop_hard()


def _goes_on_when_there_is_room(disk, folder, url, mend):
    upgrade(url)
    house = House(folder, url, heartbeat_seconds=0.2, lease_seconds=1.5, reconcile_seconds=0.2)
    try:
        long = house.start(**ENDLESS)
        house.in_mid_run(long)
        disk.fill()
        filled_at = time.monotonic()
        body = house.body(epochs=2)
        answers = [house.client.once("POST", "/v1/runs", key=f"key-{n}", json=body) for n in range(40)]
        assert {each.status_code for each in answers} <= {202, 503, 507}
        refused = [each for each in answers if each.status_code != 202]
        assert refused
        assert all(each.json()["detail"] for each in refused)
        time.sleep(max(0.0, filled_at + 3 * house.settings.lease_seconds - time.monotonic()))
        disk.make_room()
        mend()
        promised = [house.start(key=f"key-{n}", epochs=2) for n in range(40)]
        house.verb(long, "stop")
        for id in [long, *promised]:
            run = house.ended(id)
            assert (run.status, run.attempt) == ("succeeded", 1), run.error
        check(house)
    finally:
        house.close()


def _refused_uploads(house, disk):
    """A body and a form that do not fit, with the reason, and nothing of them stays."""
    before = disk.free_bytes
    form = {"files": {"file": ("large.csv", LARGE, "text/csv")}}
    for sent in {"content": LARGE, "headers": CSV}, form, {"content": IRIS.read_bytes() * 300, "headers": CSV}:
        answer = house.client.once("POST", "/v1/datasets", **sent)
        assert (answer.status_code, "no room" in answer.json()["detail"]) == (507, True), answer.text
    wait_for(lambda: disk.free_bytes >= before)


def _types(house, id):
    return [event.type for event in house.events(id)]
