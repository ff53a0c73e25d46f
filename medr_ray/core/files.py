"""Files of other publishers, at a path or a URI. The first bytes show whether a file is gzip."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.fs as pafs
from isal import igzip
from isal.igzip_lib import IsalError

# What a damaged gzip raises: cut off, wrong checksum, broken content. The type stubs of isal
# declare the last class as a value, so it is cast.
BROKEN_GZIP = (EOFError, igzip.BadGzipFile, cast(type[Exception], IsalError))

_GZIP_MAGIC = b"\x1f\x8b"


def locate_file(uri: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a path or URI, and the path on that file system."""
    if "://" in uri:
        return pafs.FileSystem.from_uri(uri)
    return pafs.LocalFileSystem(), str(Path(uri).absolute())


@contextlib.contextmanager
def open_unpacked(file: pa.NativeFile) -> Iterator[BinaryIO]:
    """Open the content of a file, decompressed if it is gzip. The file must be at its beginning."""
    is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    file.seek(0)
    if not is_gzip:
        yield cast(BinaryIO, file)
        return
    # pyarrow could decompress too, but goes by the name's ending and not by the content.
    with igzip.IGzipFile(fileobj=file, mode="rb") as stream:
        yield cast(BinaryIO, stream)
