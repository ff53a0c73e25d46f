"""Fills a mirror of PubMed: fetches missing files, a few at a time, and checks the MD5 of each.

Guarantees: a file gets its final name only if it has the MD5 that its sidecar names. A killed
download continues where it stopped. A file that cannot be fetched is recorded with its reason; the
other files are still fetched, but the download as a whole then fails. Files of two years are never
mixed. There are never more than three connections, as NLM requests.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from medr_ray.core.errors import ConfigError, DataError, InfrastructureError
from medr_ray.core.progress import Bar
from medr_ray.corpus.checksum import SIDECAR_SUFFIX, compute_file_md5, parse_sidecar_md5
from medr_ray.corpus.mirror import (
    BASELINE,
    UPDATES,
    ListedFile,
    MirrorPlan,
    format_bytes,
    format_keys,
    make_plan,
    select_files,
)
from medr_ray.corpus.mirror_sources import (
    MirrorSource,
    MirrorSourceError,
    RefusedError,
    RetryPolicy,
    TransientError,
    list_mirror_files,
    open_mirror_source,
)
from medr_ray.corpus.mirror_store import MirrorStore, PartialFile

MAX_CONNECTIONS = 3  # at a time; NLM's request
# Downloads of a file whose MD5 is wrong. A cache on the way may have a bad copy; the second or
# third copy is rarely bad too.
_MD5_ATTEMPTS = 3
# After attempts that received as much, the count of attempts begins anew.
_PROGRESS_BYTES = 2**20
_LARGEST_FILE = 2**31  # bytes; NLM's files stay below 2**27, so more is not PubMed
_LARGEST_SIDECAR = 2**12  # bytes; NLM's have about 60
_HOPELESS_FAILURES = 10  # in a row, after which the source is taken to be down
_MAX_LISTED = 20  # files that a dry run or an error names


@dataclass(frozen=True)
class DownloadRequest:
    """The options of a download. ``source`` is a URL or a folder, ``files`` a glob over names."""

    source: str
    destination: Path
    baseline: bool = True
    updates: bool = True
    files: str = "*"
    limit: int | None = None
    connections: int = MAX_CONNECTIONS
    prune: bool = False

    def select_folders(self) -> list[str]:
        """The folders to download.

        ConfigError when the options leave none, or allow more connections than NLM does.
        """
        if not 1 <= self.connections <= MAX_CONNECTIONS:
            raise ConfigError(
                f"--connections {self.connections}: NLM asks for at most {MAX_CONNECTIONS} at a "
                "time"
            )
        folders = []
        if self.baseline:
            folders.append(BASELINE)
        if self.updates:
            folders.append(UPDATES)
        if not folders:
            raise ConfigError("--no-baseline and --no-updates together leave nothing to download")
        return folders


@dataclass(frozen=True)
class DownloadPreview:
    """What a download would do.

    It has the plan, the bytes still to come (as far as the listings give sizes), and the bytes free
    on disk.
    """

    plan: MirrorPlan
    needed: int
    free: int

    def print_to(self, console: Console) -> None:
        plan = self.plan
        needed = format_bytes(self.needed)
        free = format_bytes(self.free)
        lines = [
            f"would fetch {_count_files(len(plan.missing))}, {needed} ({free} free); "
            f"{len(plan.complete):,} complete"
        ]
        for file in plan.missing[:_MAX_LISTED]:
            size = f"  {format_bytes(file.size)}" if file.size is not None else ""
            lines.append(f"  {file.key}{size}")
        if len(plan.missing) > _MAX_LISTED:
            lines.append(f"  and {len(plan.missing) - _MAX_LISTED:,} more")
        if plan.stale:
            lines.append(_describe_stale_files(plan))
        console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def preview_download(
    request: DownloadRequest, retry_policy: RetryPolicy | None = None
) -> DownloadPreview:
    """What ``fetch_mirror`` would do; nothing is written. It raises the same errors."""
    return asyncio.run(_preview_download(request, retry_policy or RetryPolicy()))


def fetch_mirror(
    request: DownloadRequest, console: Console, retry_policy: RetryPolicy | None = None
) -> None:
    """Fetch the missing files.

    DataError that names the files that could not be fetched, after all others were; also for files
    of an earlier year unless they are to be pruned, and for a disk that is too small.
    InfrastructureError when the source does not answer. MedrError when another process fills the
    mirror.
    """
    request.select_folders()
    store = MirrorStore(request.destination)
    try:
        with store.locked():
            asyncio.run(_fetch_mirror(request, store, console, retry_policy or RetryPolicy()))
    except OSError as error:  # of the mirror; those of the source are MirrorSourceError
        raise DataError(f"{store.root} cannot be written: {error}") from error


async def _preview_download(request: DownloadRequest, retry_policy: RetryPolicy) -> DownloadPreview:
    request.select_folders()
    async with open_mirror_source(request.source, retry_policy, request.connections) as source:
        return await _plan_download(request, MirrorStore(request.destination), source, retry_policy)


async def _plan_download(
    request: DownloadRequest, store: MirrorStore, source: MirrorSource, retry_policy: RetryPolicy
) -> DownloadPreview:
    if source.root == str(store.root):
        raise ConfigError(
            f"--source and DEST are the same folder, {source.root}; --verify checks it"
        )
    try:
        listed = await list_mirror_files(source, request.select_folders(), retry_policy)
    except MirrorSourceError as error:
        raise InfrastructureError(f"{source.root} cannot be listed: {error}") from error
    selected = select_files(listed, request.files, request.limit)
    plan = make_plan(selected, store.states, store.list_files())
    needed = 0
    for file in plan.missing:
        needed += max(0, (file.size or 0) - store.partial_file(file.key).size)
    free = shutil.disk_usage(_find_existing(store.root)).free
    return DownloadPreview(plan, needed, free)


def _find_existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


async def _fetch_mirror(
    request: DownloadRequest, store: MirrorStore, console: Console, retry_policy: RetryPolicy
) -> None:
    async with open_mirror_source(request.source, retry_policy, request.connections) as source:
        preview = await _plan_download(request, store, source, retry_policy)
        plan = preview.plan
        if plan.stale and not request.prune:
            raise DataError(_describe_stale_files(plan))
        free = preview.free + sum(store.path(key).stat().st_size for key in plan.stale)
        if preview.needed > free:
            raise DataError(
                f"{store.root}: {_count_files(len(plan.missing))} need "
                f"{format_bytes(preview.needed)} and {format_bytes(free)} are free: make room, or "
                "choose with --files or --limit"
            )
        store.remove_files(plan.stale)
        total = len(plan.missing) + len(plan.complete)
        with Bar(console, "download", total, "files") as bar:
            bar.resume(len(plan.complete))
            downloader = Downloader(store, source, retry_policy, bar)
            await downloader.fetch_all(plan.missing, request.connections)
    _report_outcome(downloader, plan, console)


def _describe_stale_files(plan: MirrorPlan) -> str:
    return (
        f"the new baseline replaces {_count_files(len(plan.stale))} of earlier years, "
        f"{format_keys(plan.stale)}: --prune removes them, or use another folder"
    )


def _report_outcome(downloader: "Downloader", plan: MirrorPlan, console: Console) -> None:
    """Print the summary. DataError when files failed."""
    kept = len(plan.complete) + downloader.kept
    pruned = f", {_count_files(len(plan.stale))} of earlier years removed" if plan.stale else ""
    failures = downloader.failures
    console.print(
        f"download: {_count_files(downloader.fetched)} fetched ({downloader.format_traffic()}), "
        f"{kept:,} there already, {len(failures):,} failed{pruned}",
        highlight=False,
        soft_wrap=True,
    )
    if failures:
        total = len(plan.missing) + len(plan.complete)
        reasons = [f"{key}: {reason}" for key, reason in failures.items()]
        raise DataError(
            f"{_count_files(len(failures))} of {total:,} failed "
            f"({'; '.join(reasons[:_MAX_LISTED])}): the same command tries them again"
        )


def _count_files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


class Downloader:
    """Brings files from a source to a mirror.

    It counts the files that were ``fetched`` and those ``kept`` as they were, and has the
    ``failures`` by key.
    """

    def __init__(
        self, store: MirrorStore, source: MirrorSource, retry_policy: RetryPolicy, bar: Bar
    ) -> None:
        self._store = store
        self._source = source
        self._retry_policy = retry_policy
        self._bar = bar
        self.fetched = 0
        self.kept = 0
        self.failures: dict[str, str] = {}
        self._received_bytes = 0
        self._failures_in_row = 0
        self._started = time.monotonic()

    async def fetch_all(self, files: tuple[ListedFile, ...], connections: int) -> None:
        """Fetch every file, by ``connections`` workers that each take one after the other."""
        waiting = iter(files)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(connections, len(files))):
                    workers.create_task(self._run_worker(waiting))
        except BaseExceptionGroup as group:
            # Callers expect the error itself. The first one cancelled the other workers.
            raise group.exceptions[0] from group

    async def _run_worker(self, waiting: Iterator[ListedFile]) -> None:
        for file in waiting:
            try:
                await self._fetch_file(file)
                self._failures_in_row = 0
            except MirrorSourceError as error:
                self._record_failure(file, str(error))
            self._bar.advance(1, self.format_traffic())

    def _record_failure(self, file: ListedFile, reason: str) -> None:
        self.failures[file.key] = reason
        self._store.record_states([self._store.build_failed_state(file.key, reason)])
        self._failures_in_row += 1
        if self._failures_in_row >= _HOPELESS_FAILURES:
            raise InfrastructureError(
                f"{self._source.root}: {_HOPELESS_FAILURES} files in a row failed, the last, "
                f"{file.key}, with {reason}: the same command continues here when the source is "
                "well"
            )

    async def _fetch_file(self, file: ListedFile) -> None:
        """Bring the file and its sidecar into the mirror, with a few attempts while its MD5 is
        wrong.

        The sidecar is read anew each time, because NLM may be replacing the file at this moment.
        """
        partial = self._store.partial_file(file.key)
        for attempt in range(_MD5_ATTEMPTS):
            sidecar = await self._retry_policy.call(
                self._source.read_small_file, file.path + SIDECAR_SUFFIX, _LARGEST_SIDECAR
            )
            expected = parse_sidecar_md5(sidecar)
            if expected is None:
                raise RefusedError(f"its {SIDECAR_SUFFIX} holds no MD5 checksum")
            # The file may exist although the manifest has no entry of it.
            if attempt == 0 and await _hash_if_exists(self._store.path(file.key)) == expected:
                self.kept += 1
                self._record_complete(file, sidecar, expected)
                return
            # A run that was killed between the last byte and the renaming leaves a complete part.
            if await _hash_if_exists(partial.path) != expected:
                await self._receive_file(file, partial)
            actual = await _hash_if_exists(partial.path)
            if actual == expected:
                partial.finish()
                self.fetched += 1
                self._record_complete(file, sidecar, expected)
                return
            partial.discard()
        raise RefusedError(
            f"its MD5 is {actual}, its {SIDECAR_SUFFIX} says {expected}, {_MD5_ATTEMPTS} times over"
        )

    def _record_complete(self, file: ListedFile, sidecar: bytes, md5: str) -> None:
        self._store.write_sidecar(file.key, sidecar)
        self._store.record_states([self._store.build_complete_state(file.key, file.stamp, md5)])

    async def _receive_file(self, file: ListedFile, partial: PartialFile) -> None:
        """Receive the rest of a file, with any number of attempts as long as there is progress."""
        while True:
            size_before = partial.size
            try:
                return await self._retry_policy.call(self._receive_rest, file, partial)
            except TransientError:
                if partial.size - size_before < _PROGRESS_BYTES:
                    raise

    async def _receive_rest(self, file: ListedFile, partial: PartialFile) -> None:
        """One attempt to receive the rest of a file."""
        try:
            async with self._source.open_body(file.path, partial.size, partial.validator) as body:
                if body.offset == 0:
                    partial.restart(body.validator)
                with open(partial.path, "ab") as out:
                    async for chunk in body.chunks:
                        out.write(chunk)
                        self._count_bytes(len(chunk))
                        if out.tell() > _LARGEST_FILE:
                            raise RefusedError(
                                f"it has more than {format_bytes(_LARGEST_FILE)}, which no PubMed "
                                "file has"
                            )
        except TransientError as error:
            if error.restart:
                partial.discard()
            raise

    def _count_bytes(self, size: int) -> None:
        before = self._received_bytes
        self._received_bytes += size
        if before // _PROGRESS_BYTES != self._received_bytes // _PROGRESS_BYTES:
            self._bar.advance(0, self.format_traffic())

    def format_traffic(self) -> str:
        """The bytes received so far, and the rate."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = format_bytes(self._received_bytes / seconds)
        return f"{format_bytes(self._received_bytes)} at {rate}/s"


async def _hash_if_exists(path: Path) -> str | None:
    """The file's MD5, computed in a thread; None without a file."""
    return await asyncio.to_thread(compute_file_md5, path) if path.is_file() else None
