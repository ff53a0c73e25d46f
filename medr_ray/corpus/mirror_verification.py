"""Checks a mirror of PubMed offline: every file against its sidecar and the manifest.

Guarantees: nothing is fetched, and no file of NLM is changed. Files with a problem are marked in
the manifest, so that the next download repairs them.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from medr_ray.core.errors import DataError
from medr_ray.core.progress import Bar
from medr_ray.corpus.checksum import SIDECAR_SUFFIX, compute_file_md5
from medr_ray.corpus.mirror import (
    COMPLETE,
    FileState,
    StoredFile,
    application_order,
    format_bytes,
    list_years,
)
from medr_ray.corpus.mirror_store import MirrorStore

_HASHERS = 4  # threads; MD5 runs at several hundred MB/s a core, and a disk seldom feeds more


def verify_mirror(root: Path, console: Console) -> None:
    """Hash every file; print what is wrong with which, and a summary line.

    DataError when anything is wrong, or there is nothing to verify.
    """
    store = MirrorStore(root)
    stored = store.list_files()
    if not stored and not store.states:
        raise DataError(
            f"{store.root} holds no file of PubMed in baseline/ or updatefiles/: nothing to verify"
        )
    if not os.access(store.root, os.W_OK):
        # A mirror that is mounted read-only can be verified too, without lock and without entries.
        _verify_files(store, stored, console)
        return
    with store.locked():
        _verify_files(store, stored, console)


def _verify_files(store: MirrorStore, stored: dict[str, StoredFile], console: Console) -> None:
    hashes = _hash_files(store, stored, console)
    problems: dict[str, str] = {}
    for key in sorted({*stored, *store.states}, key=application_order):
        problem = find_problem(stored.get(key), hashes.get(key), store.states.get(key))
        if problem:
            problems[key] = problem
    if os.access(store.root, os.W_OK):
        store.record_states(_update_states(store, hashes, problems))
    messages = [f"{key}: {problem}" for key, problem in problems.items()]
    for key in store.list_partial_files():
        messages.append(f"{key}: half downloaded; the next download continues it")
    years = list_years(stored)
    if len(years) > 1:
        messages.append(
            f"files of several years, {', '.join(years)}: a baseline replaces the year before it"
        )
    size = format_bytes(sum(file.size for file in stored.values()))
    summary = f"verify: {len(stored):,} files, {size}, {len(messages):,} wrong"
    console.print("\n".join([*messages, summary]), highlight=False, markup=False, soft_wrap=True)
    if messages:
        raise DataError(
            f"{store.root}: {len(messages):,} wrong; `medr corpus download` mends what is bad or "
            "missing"
        )


def _hash_files(store: MirrorStore, keys: Iterable[str], console: Console) -> dict[str, str]:
    """The MD5 of every file, by key."""
    keys = list(keys)
    hashes = {}
    pool = ThreadPoolExecutor(_HASHERS)
    try:
        with Bar(console, "verify", len(keys), "files") as bar:
            results = pool.map(compute_file_md5, map(store.path, keys))
            for key, md5 in zip(keys, results, strict=True):
                hashes[key] = md5
                bar.advance()
    finally:
        # Files that nobody waits for any more are not hashed: a mirror takes many minutes.
        pool.shutdown(cancel_futures=True)
    return hashes


def find_problem(stored: StoredFile | None, md5: str | None, state: FileState | None) -> str:
    """What is wrong with a file whose content has this MD5; empty when nothing is.

    ``stored`` is None for a file that is not on disk, ``state`` for one not in the manifest.
    """
    if state is not None and state.state != COMPLETE:
        return f"was wrong before, and not fetched since: {state.reason}"
    if stored is None:
        return "missing"
    if stored.md5 is None:
        return f"has no {SIDECAR_SUFFIX}, so nothing says that it is whole"
    if md5 != stored.md5:
        return f"corrupt: its MD5 is {md5}, its {SIDECAR_SUFFIX} says {stored.md5}"
    if state is not None and state.md5 != md5:
        return f"its {SIDECAR_SUFFIX} says {md5}, the manifest {state.md5}"
    return ""


def _update_states(
    store: MirrorStore, hashes: dict[str, str], problems: dict[str, str]
) -> list[FileState]:
    """The entries of the manifest that the check changes.

    A file that was wrong already keeps its first reason.
    """
    states = []
    for key, md5 in hashes.items():
        if key not in problems:
            stamp = store.states[key].stamp if key in store.states else ""
            states.append(store.build_complete_state(key, stamp, md5))
    # The first reason is kept: what is found for such a file now only repeats it.
    failed_before = {key for key, state in store.states.items() if state.state != COMPLETE}
    for key, problem in problems.items():
        if key not in failed_before:
            states.append(store.build_failed_state(key, problem))
    return states
