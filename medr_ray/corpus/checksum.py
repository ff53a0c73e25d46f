"""The MD5 checksums that NLM publishes beside its files, in whichever spelling: ``MD5
(pubmed26n0001.xml.gz)= <hex>``, ``MD5(pubmed26n0001.xml.gz)= <hex>`` or ``<hex>
pubmed26n0001.xml.gz``."""

import functools
import hashlib
import re
from pathlib import Path
from typing import Any

SIDECAR = ".md5"  # behind the name of the file it belongs to
_MD5 = re.compile(r"\b[0-9a-f]{32}\b")


def sidecar_md5(content: bytes) -> str | None:
    """The checksum in the content of a ``.md5`` file, in lower case; None where it holds none."""
    found = _MD5.search(content.decode("ascii", "replace").lower())
    return found.group() if found else None


def file_md5(path: Path) -> str:
    """The MD5 of a local file, in lower-case hexadecimal."""
    with open(path, "rb") as file:
        return md5_of(file)


def md5_of(file: Any) -> str:
    """The MD5 of what is left of an open file, in lower-case hexadecimal."""
    return hashlib.file_digest(
        file, functools.partial(hashlib.md5, usedforsecurity=False)
    ).hexdigest()
