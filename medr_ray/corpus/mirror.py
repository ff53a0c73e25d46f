"""Decides which files a mirror of PubMed needs and which of them have to be fetched.

The decisions are pure functions, without access to files or network. The layout is NLM's:
``baseline/`` and ``updatefiles/`` with ``pubmedYYnNNNN.xml.gz`` and ``.xml.gz.md5`` in each.

Guarantees: only names of NLM's pattern are accepted, so no listing can lead out of the folder it is
fetched into. Files are in the order in which they are applied. A mirror contains files of one year
only, because each December's baseline replaces all of them.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from lxml import etree

from medr_ray.core.errors import DataError

BASELINE = "baseline"
UPDATES = "updatefiles"
FOLDERS = (BASELINE, UPDATES)  # in the order in which they are applied

DownloadState = Literal["complete", "failed"]
COMPLETE: DownloadState = "complete"
FAILED: DownloadState = "failed"

_FILE_NAME = re.compile(r"pubmed([0-9]{2})n([0-9]{4,6})\.xml\.gz")
_LISTED_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)i?B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}  # bytes; listings use powers of 2
_UNIT_WORDS = frozenset({"B", "KB", "MB", "GB", "KIB", "MIB", "GIB"})
_MAX_NAMED = 10  # files that a message names; the rest are only counted


@dataclass(frozen=True)
class ListedFile:
    """A file of a mirror's source.

    ``path`` is its path below the root of the source. ``size`` is in bytes as in the listing, which
    may round it, or None. ``stamp`` is all that the listing says about the file, so it changes when
    NLM replaces the file.
    """

    folder: str
    name: str
    path: str
    size: int | None
    stamp: str

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True)
class FileState:
    """A file in the manifest of the mirror.

    ``size`` is in bytes, ``reason`` is of a failure, ``checked`` is when the file was last hashed
    (UTC), ``stamp`` is the one of the source's listing.
    """

    name: str
    folder: str
    size: int | None
    md5: str | None
    state: DownloadState
    reason: str
    checked: str
    stamp: str

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True)
class StoredFile:
    """A file on disk: its size in bytes and the MD5 of its sidecar, None without one."""

    size: int
    md5: str | None


@dataclass(frozen=True)
class MirrorPlan:
    """What a download does with each file.

    ``missing`` is fetched, ``complete`` left alone, ``stale`` (keys) is of earlier years.
    """

    missing: tuple[ListedFile, ...]
    complete: tuple[ListedFile, ...]
    stale: tuple[str, ...]


def parse_year_and_number(name: str) -> tuple[int, int] | None:
    """(26, 1) of ``pubmed26n0001.xml.gz``; None for every other kind of name."""
    match = _FILE_NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def application_order(key: str) -> tuple[int, tuple[int, int]]:
    """Sorts keys (``folder/name``) as they are applied: the baseline first, each by number."""
    folder, _, name = key.partition("/")
    return FOLDERS.index(folder), parse_year_and_number(name) or (0, 0)


# --- listings -------------------------------------------------------------------------


def parse_listing(page: bytes, folder: str, prefix: str) -> list[ListedFile]:
    """The PubMed files that the HTML directory listing of ``prefix`` links to, sorted by number.

    Other links are passed over. The files belong into ``folder`` of the mirror. The pages of
    Apache, nginx and S3 browsers differ, so only the last path segment of a link counts, and the
    text behind the link (or in the table cells behind its own) is searched for a size. DataError
    when the page is not HTML.
    """
    try:
        root = etree.HTML(page)
    except etree.XMLSyntaxError as error:
        raise DataError(f"the listing of {prefix or folder} is not HTML: {error}") from None
    files: dict[str, ListedFile] = {}
    for anchor in root.iter("a") if root is not None else ():
        name = _parse_link(anchor.get("href") or "")
        if name is not None and name not in files:
            size, stamp = _parse_description(anchor, name)
            files[name] = ListedFile(folder, name, prefix + name, size, stamp)
    return sorted(files.values(), key=lambda file: application_order(file.key))


def _parse_link(href: str) -> str | None:
    """The name of the PubMed file that a link leads to; None for every other link."""
    try:
        segments = unquote(urlsplit(href.strip()).path).split("/")
    except ValueError:  # such as an unclosed bracket in the host
        return None
    name = segments[-1]
    return name if ".." not in segments and parse_year_and_number(name) else None


def _parse_description(anchor: etree._Element, name: str) -> tuple[int | None, str]:
    """(Size in bytes, all the text) that the listing has beside the link."""
    text = anchor.tail or ""
    cell = next(anchor.iterancestors("td"), None)
    if cell is not None and not text.strip():
        siblings = cell.itersiblings()
        text = " ".join(part for sibling in siblings for part in sibling.itertext())
    words = text.replace(name, " ").split()
    if len(words) > 1 and words[-1].upper() in _UNIT_WORDS:  # "19.5 MiB"
        words[-2:] = [words[-2] + words[-1]]
    sizes = [match for match in map(_LISTED_SIZE.fullmatch, words) if match]
    if not sizes:
        return None, " ".join(words)
    # The last number, because a date may precede the size.
    number, unit = sizes[-1].groups()
    return round(float(number) * _UNITS[unit.upper()]), " ".join(words)


# --- decisions ------------------------------------------------------------------------


def select_files(listed: Iterable[ListedFile], pattern: str, limit: int | None) -> list[ListedFile]:
    """The first ``limit`` files whose name matches the glob.

    DataError when none does, or they are of two years.
    """
    selected = [file for file in listed if fnmatch.fnmatchcase(file.name, pattern)][:limit]
    if not selected:
        raise DataError(f"the source lists no file pubmedYYnNNNN.xml.gz that matches {pattern!r}")
    years = list_years(file.key for file in selected)
    if len(years) > 1:
        raise DataError(
            f"the source lists files of {' and '.join(years)}, and a baseline replaces the year "
            f"before it: choose one year, such as --files '{years[-1]}*'"
        )
    return selected


def list_years(keys: Iterable[str]) -> list[str]:
    """The years that files are of, as their names begin: ``["pubmed25", "pubmed26"]``."""
    return sorted({_parse_year(key) for key in keys})


def _parse_year(key: str) -> str:
    return key.partition("/")[2][: len("pubmedYY")]


def make_plan(
    selected: Iterable[ListedFile],
    states: Mapping[str, FileState],
    stored: Mapping[str, StoredFile],
) -> MirrorPlan:
    """What to fetch of ``selected`` (one year's), given the manifest and the disk, both by key.

    A file is complete when the manifest has it as complete, its size and sidecar agree with the
    manifest, and the source lists it as it did then. DataError when the disk holds files of a
    later year than the source.
    """
    selected = list(selected)
    year = _parse_year(selected[0].key)
    later = [key for key in stored if _parse_year(key) > year]
    if later:
        raise DataError(
            f"the source has {year}, and the folder already holds later files, "
            f"{format_keys(later)}: use a newer source, or another folder"
        )
    # Any disagreement counts as missing: fetching again is safe, keeping a wrong file is not.
    missing = []
    complete = []
    for file in selected:
        if _is_complete(file, states.get(file.key), stored.get(file.key)):
            complete.append(file)
        else:
            missing.append(file)
    stale = sorted((key for key in stored if _parse_year(key) < year), key=application_order)
    return MirrorPlan(tuple(missing), tuple(complete), tuple(stale))


def _is_complete(file: ListedFile, state: FileState | None, stored: StoredFile | None) -> bool:
    if state is None or stored is None or state.state != COMPLETE or state.stamp != file.stamp:
        return False
    return state.md5 is not None and (stored.size, stored.md5) == (state.size, state.md5)


# --- texts ----------------------------------------------------------------------------


def format_keys(keys: Iterable[str]) -> str:
    """The first keys in order, and how many more there are."""
    ordered = sorted(keys, key=application_order)
    text = ", ".join(ordered[:_MAX_NAMED])
    more = len(ordered) - _MAX_NAMED
    return f"{text} and {more:,} more" if more > 0 else text


def format_bytes(count: float) -> str:
    """A count of bytes for people: ``44.9 GB``, in powers of ten."""
    if count < 1000:
        return f"{count:,.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:,.1f} {unit}"
    return f"{count / 1000:,.1f} TB"
