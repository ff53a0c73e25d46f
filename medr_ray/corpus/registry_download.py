"""Fetches the files of registries from their publishers, one after another.

Guarantees: a file gets its final name only when it is whole and is of its registry by its content
(publishers give no checksums, and error pages come as files). A killed download continues where it
stopped, with the same version of the file. A file that cannot be fetched is named with its reason;
the others are still fetched, and the download as a whole then fails. ``downloads.json`` has the
address, SHA-256 and size of each file.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.lock import run_lock
from medr_ray.core.progress import Bar
from medr_ray.core.records import FactSource
from medr_ray.core.run import Directory
from medr_ray.corpus.mirror_sources import (
    MirrorSource,
    MirrorSourceError,
    RefusedError,
    RetryPolicy,
    TransientError,
    open_mirror_source,
)
from medr_ray.corpus.mirror_store import PartialFile
from medr_ray.knowledge.registries.sources import recognise_registry
from medr_ray.knowledge.vocabulary_reading import file_digest

DOWNLOADS = "downloads.json"
_PROGRESS_BYTES = 2**20  # after an attempt that received as much, the count of attempts begins anew
_LARGEST_FILE = 2**33  # bytes


@dataclass(frozen=True)
class RegistryFile:
    """A file of a registry, and where its publisher has it."""

    name: str
    source: FactSource
    address: str


# ClinicalTrials.gov, openFDA's labels and LiverTox have no single file at a lasting address.
REGISTRY_FILES = (
    RegistryFile("drugsatfda.zip", "drugs_at_fda", "https://www.fda.gov/media/89850/download"),
    RegistryFile("orange_book.zip", "orange_book", "https://www.fda.gov/media/76860/download"),
    RegistryFile(
        "en_product4.xml", "orphanet", "https://www.orphadata.com/data/xml/en_product4.xml"
    ),
    RegistryFile(
        "en_product6.xml", "orphanet", "https://www.orphadata.com/data/xml/en_product6.xml"
    ),
    RegistryFile(
        "en_product9_prev.xml",
        "orphanet",
        "https://www.orphadata.com/data/xml/en_product9_prev.xml",
    ),
    RegistryFile(
        "en_product9_ages.xml",
        "orphanet",
        "https://www.orphadata.com/data/xml/en_product9_ages.xml",
    ),
)


def choose_files(sources: Sequence[str], addresses: Mapping[str, str]) -> tuple[RegistryFile, ...]:
    """The files of the sources (all by default), at other addresses where ``addresses`` has them by
    name. ConfigError for a source or a name that no file has."""
    names = {file.name for file in REGISTRY_FILES}
    with_files = {file.source for file in REGISTRY_FILES}
    for wrong in (*sorted(set(sources) - with_files), *sorted(set(addresses) - names)):
        choices = ", ".join(sorted(with_files | names))
        raise ConfigError(f"{wrong}: no file to download; there are {choices}")
    return tuple(
        RegistryFile(file.name, file.source, addresses.get(file.name, file.address))
        for file in REGISTRY_FILES
        if not sources or file.source in sources
    )


def fetch_registry_files(
    files: Sequence[RegistryFile],
    destination: Path,
    console: Console,
    retry_policy: RetryPolicy | None = None,
) -> None:
    """Fetch the files that are not there.

    DataError that names the files that could not be fetched, after all others were. MedrError when
    another process fills the folder.
    """
    directory = Directory(str(destination.absolute()))
    policy = retry_policy or RetryPolicy()
    failures: dict[str, str] = {}
    with run_lock(directory), Bar(console, "download", len(files), "files") as bar:
        for file in files:
            try:
                if not (destination / file.name).exists():
                    asyncio.run(_fetch_file(file, destination, policy))
                _record_file(file, destination, directory)
            except MirrorSourceError as error:
                failures[file.name] = str(error)
            bar.advance(1)
    if failures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise DataError(
            f"{len(failures)} of {len(files)} files failed ({reasons}): the same command tries "
            "them again; --address NAME=URL names another address"
        )


async def _fetch_file(file: RegistryFile, destination: Path, policy: RetryPolicy) -> None:
    """Receive a file, check what it is, and give it its name."""
    root, _, path = file.address.rpartition("/")
    partial = PartialFile(destination / file.name)
    async with open_mirror_source(root, policy, 1) as source:
        while True:
            size_before = partial.size
            try:
                await policy.call(_receive_rest, source, path, partial)
                break
            except TransientError:
                if partial.size - size_before < _PROGRESS_BYTES:
                    raise
    try:
        actual = recognise_registry(str(partial.path))
    except DataError as error:
        partial.discard()
        raise RefusedError(f"what {file.address} sends is no such file ({error})") from None
    if actual != file.source:
        partial.discard()
        raise RefusedError(f"{file.address} sends a file of {actual}, not of {file.source}")
    partial.finish()


async def _receive_rest(source: MirrorSource, path: str, partial: PartialFile) -> None:
    """One attempt to receive the rest of a file."""
    try:
        async with source.open_body(path, partial.size, partial.validator) as body:
            if body.offset == 0:
                partial.restart(body.validator)
            with open(partial.path, "ab") as out:
                async for chunk in body.chunks:
                    out.write(chunk)
                    if out.tell() > _LARGEST_FILE:
                        raise RefusedError(f"it has more than {_LARGEST_FILE:,} bytes")
    except TransientError as error:
        if error.restart:
            partial.discard()
        raise


def _record_file(file: RegistryFile, destination: Path, directory: Directory) -> None:
    """Note a file in ``downloads.json``."""
    path = destination / file.name
    downloads = directory.read_json(DOWNLOADS) if directory.exists(DOWNLOADS) else {}
    downloads[file.name] = {
        "source": file.source,
        "address": file.address,
        "sha256": file_digest(str(path)),
        "bytes": path.stat().st_size,
    }
    directory.write_json(DOWNLOADS, dict(sorted(downloads.items())))
