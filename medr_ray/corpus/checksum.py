"""The MD5 checksums that NLM publishes beside its files.

Three spellings are in use: ``MD5 (pubmed26n0001.xml.gz)= <hex>``, ``MD5(pubmed26n0001.xml.gz)=
<hex>`` and ``<hex>  pubmed26n0001.xml.gz``.
"""

import functools
import hashlib
import re
from pathlib import Path
from typing import Any

SIDECAR_SUFFIX = ".md5"  # suffix, behind the full name of the file it belongs to
_MD5 = re.compile(r"\b[0-9a-f]{32}\b")


def parse_sidecar_md5(content: bytes) -> str | None:
    """The checksum in the content of a ``.md5`` file, in lower case; None if there is none."""
    match = _MD5.search(content.decode("ascii", "replace").lower())
    return match.group() if match else None


def compute_file_md5(path: Path) -> str:
    """The MD5 of a local file, in lower-case hexadecimal."""
    with open(path, "rb") as file:
        return compute_stream_md5(file)


def compute_stream_md5(file: Any) -> str:
    """The MD5 of the rest of an open file, in lower-case hexadecimal."""
    # Systems in FIPS mode refuse MD5 unless it is declared not to serve security.
    md5 = functools.partial(hashlib.md5, usedforsecurity=False)
    return hashlib.file_digest(file, md5).hexdigest()
