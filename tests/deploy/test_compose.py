"""docker-compose.yml says what the command line and the settings know."""

import re
from pathlib import Path

import pytest
import yaml

from service.cli import main
from store.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: part for name, part in COMPOSE["services"].items() if part.get("image") == "learnd"}


@pytest.mark.parametrize("name", OURS)
def test_each_part_runs_a_command_that_exists(name):
    assert OURS[name]["command"][0] in main.commands


@pytest.mark.parametrize("name", OURS)
def test_each_variable_of_a_part_is_a_setting(name):
    settings = {f"LEARND_{field.upper()}" for field in Settings.__dataclass_fields__}

    assert set(OURS[name]["environment"]) <= settings


@pytest.mark.parametrize("name", OURS)
def test_each_part_is_locked_down(name):
    assert OURS[name]["read_only"] is True
    assert OURS[name]["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", OURS)
def test_each_part_is_bounded(name):
    assert OURS[name]["mem_limit"]
    assert OURS[name]["pids_limit"]
    assert all("size=" in each for each in OURS[name]["tmpfs"])


def test_every_part_of_others_is_bounded():
    assert all("mem_limit" in part for part in COMPOSE["services"].values())


def test_no_password_has_a_default():
    content = (ROOT / "docker-compose.yml").read_text()
    named = set(re.findall(r"\$\{(\w*(?:PASSWORD|KEY))(:.)", content))
    assert {name for name, _ in named} == {"POSTGRES_PASSWORD", "VALKEY_PASSWORD", "LEARND_BOOTSTRAP_KEY"}
    assert {rule for _, rule in named} == {":?"}


def test_the_broker_asks_for_its_password():
    assert "--requirepass" in COMPOSE["services"]["valkey"]["command"][-1]
    assert ":${VALKEY_PASSWORD" in COMPOSE["x-learnd"]["environment"]["LEARND_REDIS_URL"]


def test_all_that_wait_for_a_part_wait_for_one_that_says_when_it_is_ready():
    for part in COMPOSE["services"].values():
        for other, condition in part.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in COMPOSE["services"][other]


def test_the_image_does_not_run_as_root():
    final = (ROOT / "deploy" / "Dockerfile").read_text().split("\nFROM ")[-1]

    assert re.search(r"^USER learnd$", final, re.MULTILINE)


def test_the_gpu_override_reserves_a_gpu_for_a_part_of_compose():
    override = yaml.safe_load((ROOT / "deploy" / "compose.gpu.yml").read_text())

    assert set(override["services"]) <= set(COMPOSE["services"])
    devices = override["services"]["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]
