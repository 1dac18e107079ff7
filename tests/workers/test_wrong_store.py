"""A process that was set up with another store of blobs ends at once, says why in one line, and fails no run."""

import sys
from pathlib import Path

from tests.workers.running import Yard


def test_processes_with_another_store_are_refused_and_no_run_fails_for_them(yard: Yard, tmp_path: Path):
    yard.start_worker()
    yard.reached(yard.add_run(epochs=2), "succeeded")
    for module in ("workers", "workers.reconciler", "service.server"):
        lines = len(yard.log.read_text().splitlines())
        process = yard._start([sys.executable, "-m", module], data_dir=tmp_path / "forgotten", port=0)
        assert process.wait(30) == 1
        (said,) = yard.log.read_text().splitlines()[lines:]
        assert "forgotten/blobs is not the store of this database's blobs: it has no mark, and that one has" in said
        assert said.endswith("See LEARND_BLOB_URL and LEARND_DATABASE_URL")
    assert yard.reached(yard.add_run(epochs=2), "succeeded").attempt == 1
