"""Wherever a data folder lies and whatever it is called, the service works there and nowhere else."""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.functional.running import IRIS, QUICK, Service, wait_for

ODD = "a=b #%23%?&+;:@'\"[x]*{y}~$!,()<>|^`é…"
NAMES = {
    "short": ["a=b [x]' é", "x" * 150],
    "full": [
        *(f"a{sign}b" for sign in map(chr, range(32, 127)) if sign != "/"),
        "year=2026",
        "-x",
        "~",
        "x" * 150,
        ODD,
    ],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "odd_name" in metafunc.fixturenames:
        metafunc.parametrize("odd_name", NAMES["full" if metafunc.config.getoption("--full") else "short"])


def does_its_work(service: Service) -> None:
    run = service.ended(service.start(service.upload(IRIS.read_bytes(), "iris"), epochs=1))
    assert run["status"] == "succeeded", run["error"]
    predicted = service.post(f"/v1/runs/{run['id']}/predictions", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
    assert len(predicted["predictions"]) == 1


def test_folder_of_any_name_is_worked_in_alone(tmp_path: Path, odd_name: str) -> None:
    folder = tmp_path / odd_name
    folder.mkdir()
    service = Service(folder)
    try:
        does_its_work(service)
        dataset = service.client.get("/v1/datasets").json()["data"][0]["id"]
    finally:
        assert service.stop() == 0
    moved = tmp_path / "moved"
    folder.rename(moved)
    again = Service(moved)
    try:
        rows = again.client.get(f"/v1/datasets/{dataset}/rows", params={"limit": 1}).raise_for_status().json()["rows"]
        assert len(rows) == 1
        does_its_work(again)
    finally:
        assert again.stop() == 0
    assert [each.name for each in tmp_path.iterdir()] == ["moved"]


def test_copy_of_a_live_folder_harms_nothing(tmp_path: Path, launch) -> None:
    service = launch()
    copied = tmp_path / "copied"
    copied.mkdir()
    shutil.copytree(service.folder / "data", copied / "data", symlinks=True)
    copy = Service(copied)
    try:
        does_its_work(copy)
        does_its_work(service)
        assert service.socket.exists()
    finally:
        assert copy.stop() == 0
    does_its_work(service)


def test_broker_whose_socket_has_vanished_is_started_again(launch) -> None:
    service = launch()
    service.warm()
    shutil.rmtree(service.socket.resolve().parent)
    wait_for(service.socket.exists)
    wait_for(lambda: service.client.get("/readyz").json()["broker"] == "ok")
    does_its_work(service)


@pytest.mark.parametrize("command", [["up"], ["api"]])
def test_second_service_on_a_port_is_told_so(tmp_path: Path, launch, command: list[str]) -> None:
    service = launch()
    port = urlsplit(str(service.client.base_url)).port
    other = {"LEARND_PORT": str(port), "LEARND_DATA_DIR": str(tmp_path / "other"), **QUICK}
    if command == ["api"]:
        other["LEARND_DATA_DIR"] = str(service.folder / "data")
    learnd = [str(Path(sys.executable).parent / "learnd"), *command]
    done = subprocess.run(learnd, env=other, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_service_that_starts_while_another_does_gets_no_share(tmp_path: Path) -> None:
    """Both begin before either answers: one has the port, the other is told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    learnd = str(Path(sys.executable).parent / "learnd")
    started = [
        subprocess.Popen(
            [learnd, "up", "--port", str(port), "--data-dir", str(tmp_path / name)],
            env=QUICK,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    try:
        ended = wait_for(lambda: [each for each in started if each.poll() is not None])
        assert [each.returncode for each in ended] == [1]
        assert "Address already in use" in ended[0].communicate()[1]
        (running,) = [each for each in started if each.poll() is None]
        assert running.stdout.readline().strip() == f"http://127.0.0.1:{port}"
    finally:
        for each in started:
            if each.poll() is None:
                each.send_signal(signal.SIGINT)
            each.communicate()
