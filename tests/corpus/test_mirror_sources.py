"""What a mirror may be filled from, and where a source may not lead."""

import asyncio
from pathlib import Path

import pytest

from medr_ray.core.errors import ConfigError
from medr_ray.corpus.download import DownloadRequest, preview_download
from medr_ray.corpus.mirror_sources import FolderMirrorSource, RefusedError, resolve_redirect


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://nlm.example/a", "http://nlm.example/a"),
        ("https://nlm.example/a", "https://evil.example/a"),
        ("http://nlm.example/a", "file:///etc/passwd"),
        ("http://nlm.example/a", "//evil.example/a"),
        ("http://nlm.example/a", "http://user@nlm.example/a"),
        ("http://nlm.example/a", "http://["),
    ],
)
def test_a_redirect_to_another_host_or_a_weaker_scheme_is_refused(url: str, location: str) -> None:
    with pytest.raises(RefusedError, match="redirect"):
        resolve_redirect(url, location)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://ftp.ncbi.nlm.nih.gov/pubmed", "http"),
        ("https://me:secret@mirror/pubmed", "credentials"),
        ("https://mirror/?list", "without a query"),
        ("/no/such/folder", "no such folder"),
        ("http://[", "Invalid IPv6"),
    ],
)
def test_sources_that_cannot_be_used_are_named(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        preview_download(DownloadRequest(source, tmp_path))
    assert "secret" not in str(raised.value)


def test_a_folder_goes_on_in_the_middle_of_a_file_that_has_not_changed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")

    async def read(offset: int, validator: str) -> tuple[int, str, bytes]:
        async with FolderMirrorSource(tmp_path).open_body("file", offset, validator) as body:
            return body.offset, body.validator, b"".join([chunk async for chunk in body.chunks])

    offset, validator, content = asyncio.run(read(0, ""))
    assert (offset, content) == (0, b"0123456789")
    assert asyncio.run(read(4, validator)) == (4, validator, b"456789")
    (tmp_path / "file").write_bytes(b"another content")
    assert asyncio.run(read(4, validator))[::2] == (0, b"another content")
