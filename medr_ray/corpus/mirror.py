"""Which files a mirror of PubMed has and which of them are to be fetched: pure decisions, no file
and no network.

The layout is NLM's, ``baseline/`` and ``updatefiles/`` with ``pubmedYYnNNNN.xml.gz`` and
``.xml.gz.md5`` in each. What holds: a name is NLM's pattern and nothing else, so no listing can
lead out of the folder it is fetched into; files are in the order in which they are applied; a
mirror holds files of one year, as each December's baseline replaces all.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from lxml import etree

from medr_ray.core.errors import DataError

FOLDERS = BASELINE, UPDATES = ("baseline", "updatefiles")
COMPLETE, FAILED = "complete", "failed"
_NAME = re.compile(r"pubmed([0-9]{2})n([0-9]{4,6})\.xml\.gz")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)i?B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_NAMED = 10  # files a message names before it only counts


@dataclass(frozen=True)
class Listed:
    """A file of the source. ``path`` is where the source has it, below its root; ``size`` in bytes
    is what the listing says, rounded as it may be, or None; ``stamp`` is all the listing says of
    the file: it changes when NLM replaces it.
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
    """A file in the manifest of the mirror: ``state`` complete or failed (then with the
    ``reason``), ``size`` in bytes, ``checked`` when it was last hashed (UTC), ``stamp`` as the
    source's listing had it."""

    name: str
    folder: str
    size: int | None
    md5: str | None
    state: str
    reason: str
    checked: str
    stamp: str

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True)
class Present:
    """A file on disk: its size in bytes and the MD5 of its sidecar, None without one."""

    size: int
    md5: str | None


@dataclass(frozen=True)
class Plan:
    """What a run does: ``wanted`` is fetched, ``complete`` left alone, ``stale`` (keys) is of
    earlier years."""

    wanted: tuple[Listed, ...]
    complete: tuple[Listed, ...]
    stale: tuple[str, ...]


def year_and_number(name: str) -> tuple[int, int] | None:
    """(26, 1) of ``pubmed26n0001.xml.gz``; None for every other kind of name."""
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def order_of(key: str) -> tuple[int, tuple[int, int]]:
    """Sorts keys (``folder/name``) as they are applied: the baseline before the updates, each by
    number."""
    folder, _, name = key.partition("/")
    return FOLDERS.index(folder), year_and_number(name) or (0, 0)


# --- listings -------------------------------------------------------------------------


def parse_listing(page: bytes, folder: str, prefix: str) -> list[Listed]:
    """The PubMed files that the HTML directory listing of ``prefix`` links to, sorted by number;
    other links are passed over. They belong into ``folder`` of the mirror.

    Apache's, nginx's and S3 browsers' pages differ, so only the link's last path segment counts,
    and what stands behind the link (or in the cells behind its own) is read for a date and size
    where there is one.
    """
    try:
        root = etree.HTML(page)
    except etree.XMLSyntaxError as error:
        raise DataError(f"the listing of {prefix or folder} is not HTML: {error}") from None
    found: dict[str, Listed] = {}
    for anchor in root.iter("a") if root is not None else ():
        name = _linked_name(anchor.get("href") or "")
        if name is not None and name not in found:
            size, stamp = _described(anchor, name)
            found[name] = Listed(folder, name, prefix + name, size, stamp)
    return sorted(found.values(), key=lambda one: order_of(one.key))


def _linked_name(href: str) -> str | None:
    try:
        segments = unquote(urlsplit(href.strip()).path).split("/")
    except ValueError:  # such as an unclosed bracket in the host
        return None
    return segments[-1] if ".." not in segments and year_and_number(segments[-1]) else None


def _described(anchor: etree._Element, name: str) -> tuple[int | None, str]:
    """(Size in bytes, all the text) of what the listing says beside the link."""
    said = anchor.tail or ""
    cell = next(anchor.iterancestors("td"), None)
    if cell is not None and not said.strip():
        said = " ".join(text for other in cell.itersiblings() for text in other.itertext())
    words = said.replace(name, " ").split()
    if len(words) > 1 and words[-1].upper() in (
        "B",
        "KB",
        "MB",
        "GB",
        "KIB",
        "MIB",
        "GIB",
    ):  # "19.5 MiB"
        words[-2:] = [words[-2] + words[-1]]
    sizes = [found for word in words if (found := _SIZE.fullmatch(word))]
    size = round(float(sizes[-1][1]) * _UNITS[sizes[-1][2].upper()]) if sizes else None
    return size, " ".join(words)


# --- decisions ------------------------------------------------------------------------


def select(listed: Iterable[Listed], pattern: str, limit: int | None) -> list[Listed]:
    """The first ``limit`` files whose name matches the glob. DataError when none does, or they are
    of two years."""
    chosen = [one for one in listed if fnmatch.fnmatchcase(one.name, pattern)][:limit]
    if not chosen:
        raise DataError(f"the source lists no file pubmedYYnNNNN.xml.gz that matches {pattern!r}")
    if len(years := years_of(one.key for one in chosen)) > 1:
        raise DataError(
            f"the source lists files of {' and '.join(years)}, and a baseline replaces the year before it: "
            f"choose one year, such as --files '{years[-1]}*'"
        )
    return chosen


def years_of(keys: Iterable[str]) -> list[str]:
    """The years that files are of, as their names begin: ``["pubmed25", "pubmed26"]``."""
    return sorted({key.partition("/")[2][: len("pubmedYY")] for key in keys})


def make_plan(
    chosen: Iterable[Listed], states: Mapping[str, FileState], present: Mapping[str, Present]
) -> Plan:
    """What to fetch of ``chosen`` (one year's), given the manifest and the disk, both by key.

    A file is complete when the manifest says so, its size and sidecar agree with the manifest, and
    the source's listing says of it what it said then. DataError when the disk holds files of a
    later year than the source.
    """
    chosen = list(chosen)
    year = years_of(one.key for one in chosen)[0]
    if later := [key for key in present if years_of([key])[0] > year]:
        raise DataError(
            f"the source has {year}, and the folder already holds later files, {named(later)}: "
            "use a newer source, or another folder"
        )
    done = {
        one.key for one in chosen if _is_complete(one, states.get(one.key), present.get(one.key))
    }
    return Plan(
        tuple(one for one in chosen if one.key not in done),
        tuple(one for one in chosen if one.key in done),
        tuple(sorted((key for key in present if years_of([key])[0] < year), key=order_of)),
    )


def _is_complete(file: Listed, state: FileState | None, present: Present | None) -> bool:
    if state is None or present is None or state.state != COMPLETE or state.stamp != file.stamp:
        return False
    return state.md5 is not None and (present.size, present.md5) == (state.size, state.md5)


def named(keys: Iterable[str]) -> str:
    """The first keys in order, and how many more there are."""
    ordered = sorted(keys, key=order_of)
    more = f" and {len(ordered) - _NAMED:,} more" if len(ordered) > _NAMED else ""
    return ", ".join(ordered[:_NAMED]) + more


def shown_bytes(count: float) -> str:
    """A count of bytes for people: ``44.9 GB``, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
