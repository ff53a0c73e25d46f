"""A loopback server of web services, gates of the test's own, and the recorded answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.live_services import Services, alone, recorded, services

Record = Callable[[str], bytes]


@pytest.fixture(autouse=True)
def _use_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)


@pytest.fixture
def web() -> Iterator[Services]:
    with services() as web_services:
        yield web_services


@pytest.fixture
def record(shared_data: Path) -> Record:
    """A recorded answer by its name in the archive."""
    return lambda name: recorded(shared_data, name)
