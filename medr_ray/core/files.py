"""Files that others publish: found at a path or a URI, gzip or plain by their first bytes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.fs as pafs
from isal import igzip
from isal.igzip_lib import IsalError

# What reading a damaged gzip raises: cut off, wrong checksum, broken content (whose stubs take the
# class for a value).
BROKEN_GZIP = (EOFError, igzip.BadGzipFile, cast(type[Exception], IsalError))


def locate(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a path or URI, and the path as it names it."""
    if "://" in uri:
        return pafs.FileSystem.from_uri(uri)
    return pafs.LocalFileSystem(), str(Path(uri).absolute())


@contextlib.contextmanager
def unpacked(file: pa.NativeFile) -> Iterator[BinaryIO]:
    """The content of a file that stands at its beginning."""
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not is_gzip:
        yield cast(BinaryIO, file)
        return
    with igzip.IGzipFile(fileobj=file, mode="rb") as stream:
        yield cast(BinaryIO, stream)
