"""Checking a mirror of PubMed offline: every file against its sidecar and the manifest.

What holds: nothing is fetched and no file of NLM's is touched; what is found wrong is written into
the manifest, so that the next download mends it.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from medr_ray.core.errors import DataError
from medr_ray.core.progress import Bar
from medr_ray.corpus.checksum import SIDECAR, file_md5
from medr_ray.corpus.mirror import COMPLETE, FileState, Present, order_of, shown_bytes, years_of
from medr_ray.corpus.mirror_store import Shelf

_HASHERS = 4  # MD5 runs at several hundred MB/s a core, and a disk seldom feeds more


def verify_mirror(root: Path, console: Console) -> None:
    """Hash every file, print what is wrong with which and one summary line. DataError when anything
    is wrong, or there is nothing to verify."""
    shelf = Shelf(root)
    present = shelf.present()
    if not present and not shelf.states:
        raise DataError(
            f"{shelf.root} holds no file of PubMed in baseline/ or updatefiles/: nothing to verify"
        )
    if not os.access(shelf.root, os.W_OK):
        _verify(shelf, present, console)
        return
    with shelf.locked():
        _verify(shelf, present, console)


def _verify(shelf: Shelf, present: dict[str, Present], console: Console) -> None:
    hashed = _hashes(shelf, present, console)
    wrong = {
        key: reason
        for key in sorted({*present, *shelf.states}, key=order_of)
        if (reason := problem(present.get(key), hashed.get(key), shelf.states.get(key)))
    }
    if os.access(shelf.root, os.W_OK):
        shelf.record(_states(shelf, hashed, wrong))
    found = [f"{key}: {reason}" for key, reason in wrong.items()]
    found += [f"{key}: half downloaded; the next download continues it" for key in shelf.strays()]
    if len(years := years_of(present)) > 1:
        found.append(
            f"files of several years, {', '.join(years)}: a baseline replaces the year before it"
        )
    size = shown_bytes(sum(one.size for one in present.values()))
    lines = [*found, f"verify: {len(present):,} files, {size}, {len(found):,} wrong"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    if found:
        raise DataError(
            f"{shelf.root}: {len(found):,} wrong; `medr corpus download` mends what is bad or missing"
        )


def _hashes(shelf: Shelf, present: Iterable[str], console: Console) -> dict[str, str]:
    """The MD5 of every file, by key."""
    keys = list(present)
    hashed = {}
    with Bar(console, "verify", len(keys), "files") as bar, ThreadPoolExecutor(_HASHERS) as hashers:
        for key, md5 in zip(keys, hashers.map(file_md5, map(shelf.path, keys)), strict=True):
            hashed[key] = md5
            bar.advance()
    return hashed


def problem(present: Present | None, md5: str | None, state: FileState | None) -> str:
    """What is wrong with a file whose content has this MD5, given its manifest entry; empty when
    nothing is."""
    if state is not None and state.state != COMPLETE:
        return f"was wrong before, and not fetched since: {state.reason}"
    if present is None:
        return "missing"
    if present.md5 is None:
        return f"has no {SIDECAR}, so nothing says that it is whole"
    if md5 != present.md5:
        return f"corrupt: its MD5 is {md5}, its {SIDECAR} says {present.md5}"
    if state is not None and state.md5 != md5:
        return f"its {SIDECAR} says {md5}, the manifest {state.md5}"
    return ""


def _states(shelf: Shelf, hashed: dict[str, str], wrong: dict[str, str]) -> list[FileState]:
    """The manifest after the check: what was wrong already keeps its first reason."""
    good = [
        shelf.complete(key, shelf.states[key].stamp if key in shelf.states else "", md5)
        for key, md5 in hashed.items()
        if key not in wrong
    ]
    known = {key for key, state in shelf.states.items() if state.state != COMPLETE}
    return good + [shelf.failed(key, reason) for key, reason in wrong.items() if key not in known]
