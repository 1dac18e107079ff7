"""`learnd demo`: the first thing that anybody runs."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.functional.running import alive, descendants, wait_for

DEMO = [Path(sys.executable).parent / "learnd", "demo"]


def left_behind():
    return set(Path(tempfile.gettempdir()).glob("learnd-demo-*"))


def test_it_trains_on_both_tables_predicts_and_leaves_nothing():
    before = left_behind()
    # A service of the user's own is none of its business.
    environment = os.environ | {"LEARND_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "NO_COLOR": "1"}
    demo = subprocess.run(DEMO, capture_output=True, text=True, check=False, env=environment)
    assert demo.returncode == 0, demo.stderr
    accuracy, r2 = (float(re.search(rf"test {name} (\S+)", demo.stdout)[1]) for name in ("accuracy", "R²"))
    assert accuracy >= 0.95
    assert r2 >= 0.40
    assert len(re.findall(r"predicted (?:malignant|benign) \(\d", demo.stdout)) == 3
    assert len(re.findall(r"predicted [\d.]+, in truth \d+", demo.stdout)) == 3
    assert "\x1b" not in demo.stdout + demo.stderr
    assert "100%" in demo.stderr
    assert left_behind() == before


def test_ctrl_c_ends_it_and_everything_that_it_started():
    before = left_behind()
    with subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout.readline().startswith("breast cancer")
        processes = descendants(demo.pid)
        assert len(processes) >= 8
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 1
    wait_for(lambda: not any(map(alive, processes)))
    assert left_behind() == before
