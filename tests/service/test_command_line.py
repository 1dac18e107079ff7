"""The `learnd` command as somebody types it: what goes where, and how it ends."""

import fcntl
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from service import cli
from service.supervision import supervisor
from store import schema

LEARND = Path(sys.executable).parent / "learnd"


@pytest.fixture
def taken(monkeypatch):
    """The settings with which `learnd up` would have run."""
    found = []
    monkeypatch.setattr(supervisor, "up", found.append)
    return found


def learnd(*arguments, **environment):
    return CliRunner().invoke(cli.main, [str(each) for each in arguments], env=environment)


def test_the_version_is_data_and_nothing_else_is_said():
    answer = subprocess.run([LEARND, "--version"], capture_output=True, text=True, check=True)
    assert (answer.stdout, answer.stderr) == (f"{version('learnd')}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["up", "--no-such-option"],
        ["up", "--port", "x"],
        ["up", "--slots", "0"],
        ["worker", "--queues", "tpu"],
    ],
)
def test_wrong_usage_exits_with_2(taken, arguments):
    answer = learnd(*arguments)
    assert (answer.exit_code, answer.stdout, taken) == (2, "", [])
    assert "Error:" in answer.stderr


@pytest.mark.parametrize("command", ["up", "api", "worker", "reconciler", "migrate"])
def test_a_variable_that_cannot_be_read_is_wrong_usage_of_every_command(taken, command):
    answer = learnd(command, LEARND_LEASE_SECONDS="soon")
    assert (answer.exit_code, taken) == (2, [])
    assert "LEARND_LEASE_SECONDS" in answer.stderr


@pytest.mark.parametrize(
    ("option", "default", "from_variable", "from_option"),
    [
        ("--host", "127.0.0.1", "::1", "localhost"),
        ("--port", 8080, 8081, 8082),
        ("--data-dir", Path("learnd-data"), Path("a"), Path("b")),
        ("--slots", 1, 2, 3),
        ("--queues", "cpu", "gpu", "gpu,cpu"),
        ("--api-processes", 1, 2, 3),
    ],
)
def test_an_option_wins_over_its_variable_and_that_over_the_default(taken, option, default, from_variable, from_option):
    field = option.removeprefix("--").replace("-", "_")
    variable = {f"LEARND_{field.upper()}": str(from_variable)}
    answers = [learnd("up"), learnd("up", **variable), learnd("up", option, from_option, **variable)]
    assert [each.exit_code for each in answers] == [0, 0, 0]
    assert [getattr(each, field) for each in taken] == [default, from_variable, from_option]


def test_a_workers_options_reach_the_process_that_it_becomes(monkeypatch):
    became = []
    monkeypatch.setattr("os.execv", lambda *command: became.append((command, dict(cli.os.environ))))
    assert learnd("worker", "--slots", 2, "--queues", "gpu,cpu").exit_code == 0
    ((_, environment),) = became
    assert (environment["LEARND_SLOTS"], environment["LEARND_QUEUES"]) == ("2", "gpu,cpu")


def test_queues_that_there_are_not_are_refused_with_those_that_there_are():
    for answer in (learnd("worker", "--queues", "tpu"), learnd("worker", LEARND_QUEUES="cpu,cpu")):
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert "cpu, gpu" in answer.stderr


def test_migrate_makes_the_tables(tmp_path):
    folder = tmp_path / "data"
    assert learnd("migrate", LEARND_DATA_DIR=str(folder)).exit_code == 0
    schema.check(f"sqlite:///{folder / 'learnd.db'}")


@pytest.mark.parametrize("command", ["worker", "reconciler"])
def test_what_needs_a_broker_says_so(command, tmp_path):
    answer = subprocess.run([LEARND, command], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "LEARND_REDIS_URL" in answer.stderr


def up(folder, *arguments):
    # A process of its own: what threads of other tests log meanwhile is none of its output.
    command = [sys.executable, "-m", "service", "up", "--data-dir", folder, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)


def test_a_folder_that_another_uses_is_refused(tmp_path):
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = up(tmp_path, "--port", 0)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert str(tmp_path) in answer.stderr


def test_a_port_that_another_listens_on_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = up(tmp_path, "--port", port)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert str(port) in answer.stderr


def test_a_folder_that_cannot_be_used_and_a_host_that_is_nowhere_are_said_in_a_line(tmp_path):
    (tmp_path / "file").touch()
    for answer, words in (
        (up(tmp_path / "file" / "below", "--port", 0), "--data-dir"),
        (up(tmp_path, "--port", 0, "--host", "nowhere.invalid"), "--host"),
    ):
        assert (answer.returncode, answer.stdout) == (1, "")
        assert words in answer.stderr


def test_another_address_than_loopback_is_refused_while_no_key_exists(tmp_path):
    answer = up(tmp_path, "--port", 0, "--host", "0.0.0.0")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "LEARND_BOOTSTRAP_KEY" in answer.stderr


def test_a_first_key_that_could_be_guessed_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("LEARND_BOOTSTRAP_KEY", "short")
    answer = up(tmp_path, "--port", 0)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.splitlines()[0] == "Error: LEARND_BOOTSTRAP_KEY is to have at least 24 characters"


def test_a_migrated_folder_is_closed_to_others(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "learnd.db").touch(mode=0o644)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEARND_")}
    learnd = [sys.executable, "-m", "service", "migrate"]
    subprocess.run(learnd, env=environment | {"LEARND_DATA_DIR": str(folder)}, check=True)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(not file.stat().st_mode & 0o077 for file in folder.iterdir())


def test_api_on_a_folder_without_a_database_says_only_that(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEARND_")}
    answer = subprocess.run(
        [LEARND, "api"],
        env=environment | {"LEARND_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    reason = "the database has no tables yet; make them: learnd migrate\n"
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", reason)
