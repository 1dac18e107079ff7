"""Yards: one for a test, on SQLite as `learnd up` has it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.workers.running import Yard


@pytest.fixture
def new_yard(tmp_path: Path, sqlite_url: str) -> Iterator[Callable[..., Yard]]:
    with ExitStack() as stack:

        def make(**settings: Any) -> Yard:
            # The socket's folder is a short one: pytest's own may be longer than a socket's path can be.
            sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="learnd-"))
            yard = Yard(tmp_path, Path(sockets), sqlite_url, **settings)
            stack.callback(yard.close)
            return yard

        yield make


@pytest.fixture
def yard(new_yard: Callable[..., Yard]) -> Yard:
    return new_yard()
