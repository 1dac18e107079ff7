"""Houses: one to a test, on each of the two databases; and how hard the tests try."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.house import House

DATABASES = ("sqlite", "postgresql")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the short forms that start a whole house each is met on one database, the next on the other: they are dear."""
    if config.getoption("--full"):
        return
    tests: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        params = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
        if params and "new_database_url" in params and "new_house" in item.fixturenames:  # type: ignore[attr-defined]
            place = item.nodeid.replace(params["new_database_url"], "")
            tests.setdefault(place, {})[params["new_database_url"]] = item
    both = [found for found in tests.values() if len(found) == len(DATABASES)]
    spared = [found[DATABASES[number % len(DATABASES)]] for number, found in enumerate(both)]
    items[:] = [item for item in items if item not in spared]
    config.hook.pytest_deselected(items=spared)


@pytest.fixture
def new_house(tmp_path: Path, new_database_url: Callable[[], str]) -> Iterator[Callable[..., House]]:
    """Makes houses, each with a folder and a database of its own unless `folder` or `database_url` say whose."""
    with ExitStack() as stack:
        made = 0

        def make(*, folder: Path | None = None, database_url: str | None = None, **options: Any) -> House:
            nonlocal made
            made += 1
            house = House(folder or tmp_path / f"house-{made}", database_url or new_database_url(), **options)
            stack.callback(house.close)
            return house

        yield make


@pytest.fixture
def house(new_house: Callable[..., House]) -> House:
    return new_house()


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long form is asked for, with `--full`."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def times(full: bool) -> Callable[[int, int], int]:
    """`times(short, long)`: how often, in this form of the tests."""
    return lambda short, long: long if full else short


@pytest.fixture
def chance(request: pytest.FixtureRequest, tell: Callable[[str], None]) -> random.Random:
    """Where and when a fault strikes: another time and place in every session, the same again with `--seed`."""
    seed = request.config.getoption("--seed")
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    tell(f"--seed {seed}")
    return random.Random(seed)


@pytest.fixture
def tell(full: bool, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says how far a long test has come; of a short one only when it fails."""

    def say(line: str) -> None:
        if full:
            with capsys.disabled():
                print(f"    {line}", flush=True)
        else:
            print(line)

    return say
