"""The whole service, started as a user starts it, on a free port and in a folder of its own, with leases at a tenth."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.running import IRIS, LONG, Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all tests that leave it as they found it."""
    service = Service(tmp_path_factory.mktemp("service"))
    service.warm()
    yield service
    assert service.stop() == 0


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[[], Service]]:
    """Starts a service for this test alone, again and again in the same folder."""
    started: list[Service] = []

    def start() -> Service:
        started.append(Service(tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def iris(service: Service) -> str:
    return service.upload(IRIS.read_bytes(), "iris")


@pytest.fixture(scope="session")
def quiet_hash(service: Service, iris: str) -> str:
    """The weights of the long run when nobody disturbs it."""
    run = service.ended(service.start(iris, **LONG))
    assert run["status"] == "succeeded"
    return run["weights_sha256"]
