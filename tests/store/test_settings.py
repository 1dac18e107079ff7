"""Every setting is read from its variable, and documented with the default it has."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from store.settings import Settings

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
ROW = re.compile(r"^\| `(LEARND_[A-Z_]+)` \| (?:`(.*?)`)? ?\| (.+) \|$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for each in fields(Settings):
        monkeypatch.delenv(f"LEARND_{each.name.upper()}", raising=False)


def test_the_documented_settings_are_the_settings_with_their_defaults():
    documented = {name: default for name, default, _ in ROW.findall(OPERATIONS.read_text())}

    assert documented == {f"LEARND_{each.name.upper()}": str(each.default) for each in fields(Settings)}


def test_nothing_set_gives_the_defaults():
    assert Settings.from_environment() == Settings()


def test_each_variable_is_read_as_its_fields_type(monkeypatch):
    for each in fields(Settings):
        monkeypatch.setenv(f"LEARND_{each.name.upper()}", "7")

    settings = Settings.from_environment()

    assert [getattr(settings, each.name) for each in fields(Settings)] == [each.type("7") for each in fields(Settings)]


def test_without_urls_everything_is_kept_in_the_data_folder(tmp_path):
    settings = Settings(data_dir=tmp_path)

    assert settings.database == f"sqlite:///{tmp_path}/learnd.db"
    assert settings.blobs == f"file://{tmp_path}/blobs"


@pytest.mark.parametrize(
    ("queues", "names"), [("cpu", ("cpu",)), ("gpu,cpu", ("gpu", "cpu")), ("cpu, gpu", ("cpu", "gpu"))]
)
def test_queues_are_named_in_the_order_of_preference(queues, names):
    assert Settings(queues=queues).queue_names == names


@pytest.mark.parametrize("queues", ["", "tpu", "cpu,", "cpu,cpu", "CPU", "gpu;cpu"])
def test_queues_that_there_are_not_are_refused(queues):
    with pytest.raises(ValueError, match="cpu, gpu"):
        _ = Settings(queues=queues).queue_names
