"""Files of registries from a loopback publisher: whole, resumed, and of the right registry."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from support.pubmed_server import PubmedServer, answers, truncated

from medr_ray.core.errors import ConfigError, DataError
from medr_ray.corpus.mirror_sources import RetryPolicy
from medr_ray.corpus.registry_download import (
    REGISTRY_FILES,
    RegistryFile,
    choose_files,
    fetch_registry_files,
)

AGES = b'<?xml version="1.0"?>\n<JDBOR date="2021-03-01">' + b" " * 50_000 + b"</JDBOR>"
PATH = "xml/ages.xml.gz"


async def _skip_pause(seconds: float) -> None:
    pass


POLICY = RetryPolicy(connect_seconds=10, read_seconds=10, attempts=3, sleep=_skip_pause)


@pytest.fixture
def server() -> Iterator[PubmedServer]:
    server = PubmedServer()
    with server.serving():
        server.add(PATH, AGES)
        yield server


def _fetch(server: PubmedServer, folder: Path, *names: str, path: str = PATH) -> None:
    files = [RegistryFile(name, "orphanet", server.url + path) for name in names]
    fetch_registry_files(files, folder, Console(file=io.StringIO()), POLICY)


def test_broken_transfer_goes_on_where_it_stopped(server: PubmedServer, tmp_path: Path) -> None:
    server.faults[f"/pubmed/{PATH}"] += [truncated(20_000), answers(503)]
    _fetch(server, tmp_path, "ages.xml")
    assert (tmp_path / "ages.xml").read_bytes() == AGES
    assert server.list_requests("ages.xml.gz")[-1]["range"] == "bytes=20000-"
    downloads = json.loads((tmp_path / "downloads.json").read_text())
    assert downloads["ages.xml"]["bytes"] == len(AGES)
    assert downloads["ages.xml"]["address"] == server.url + PATH
    count = len(server.requests)
    _fetch(server, tmp_path, "ages.xml")
    assert len(server.requests) == count  # it is there


def test_error_page_is_no_file_and_hides_no_other(server: PubmedServer, tmp_path: Path) -> None:
    server.add("xml/page.gz", b"<html>maintenance</html>")
    files = [
        RegistryFile("page.xml", "orphanet", server.url + "xml/page.gz"),
        RegistryFile("missing.xml", "orphanet", server.url + "xml/missing.gz"),
        RegistryFile("ages.xml", "orphanet", server.url + PATH),
    ]
    with pytest.raises(DataError, match=r"2 of 3 files failed .*page\.xml.*missing\.xml.*404"):
        fetch_registry_files(files, tmp_path, Console(file=io.StringIO()), POLICY)
    assert (tmp_path / "ages.xml").exists()
    assert not (tmp_path / "page.xml").exists()


def test_file_of_another_registry_is_refused(server: PubmedServer, tmp_path: Path) -> None:
    file = RegistryFile("drugsatfda.zip", "drugs_at_fda", server.url + PATH)
    with pytest.raises(DataError, match="a file of orphanet, not of drugs_at_fda"):
        fetch_registry_files([file], tmp_path, Console(file=io.StringIO()), POLICY)


def test_files_are_chosen_by_source_and_addresses_replaced() -> None:
    assert choose_files((), {}) == REGISTRY_FILES
    (file,) = choose_files(["orange_book"], {"orange_book.zip": "http://127.0.0.1:1/a.zip"})
    assert file.address == "http://127.0.0.1:1/a.zip"
    with pytest.raises(ConfigError, match="livertox"):
        choose_files(["livertox"], {})
