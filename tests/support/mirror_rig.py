"""A mirror to be filled from the loopback PubMed, as most tests of the download want it."""

import io
import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from support.pubmed_server import Fault, PubmedServer, md5

from medr_ray.corpus.download import DownloadRequest, fetch_mirror
from medr_ray.corpus.mirror_sources import RetryPolicy
from medr_ray.corpus.mirror_store import MirrorStore

FIRST = "baseline/pubmed26n0001.xml.gz"
SECOND = "baseline/pubmed26n0002.xml.gz"
UPDATE = "updatefiles/pubmed26n0003.xml.gz"
CONTENT = {FIRST: b"first " * 20_000, SECOND: b"second", UPDATE: b"update " * 1_000}


class Rig:
    """A mirror to be filled from a server: what was printed, and the pauses that were asked for
    instead of slept."""

    def __init__(self, server: PubmedServer, root: Path) -> None:
        self.server = server
        self.root = root
        self.pauses: list[float] = []
        self.printed = io.StringIO()
        self.console = Console(file=self.printed, width=200)
        self.request = DownloadRequest(server.url, root)
        self.retry_policy = RetryPolicy(
            connect_seconds=10, read_seconds=10, attempts=3, sleep=self._sleep
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def fetch(self, **changes: object) -> None:
        request = replace(self.request, **changes)  # type: ignore[arg-type]
        fetch_mirror(request, self.console, self.retry_policy)

    def states(self) -> dict[str, tuple[str, str]]:
        """(State, reason) by key, from the manifest on disk."""
        rows = json.loads((self.root / "manifest.json").read_text())["files"]
        return {f"{row['folder']}/{row['name']}": (row["state"], row["reason"]) for row in rows}

    def fault(self, key: str, *faults: Fault) -> None:
        self.server.faults[f"/pubmed/{key}"].extend(faults)

    def assert_whole(self, *keys: str) -> None:
        for key in keys or CONTENT:
            assert (self.root / key).read_bytes() == CONTENT[key]
            assert md5(CONTENT[key]) in (self.root / f"{key}.md5").read_text()
            assert self.states()[key] == ("complete", "")
        assert MirrorStore(self.root).list_partial_files() == []
