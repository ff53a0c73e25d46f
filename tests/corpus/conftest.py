"""A loopback PubMed and a mirror to fill from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mirror_rig import CONTENT, Rig
from support.pubmed_server import PubmedServer


@pytest.fixture
def server() -> Iterator[PubmedServer]:
    server = PubmedServer()
    for key, content in CONTENT.items():
        server.add(key, content)
    with server.serving():
        yield server


@pytest.fixture
def rig(server: PubmedServer, tmp_path: Path) -> Rig:
    return Rig(server, tmp_path / "pubmed")
