"""Filling a mirror of PubMed: what is missing is fetched, a few files at a time, each checked
against its MD5.

What holds: a file gets its name only with the MD5 its sidecar names; a killed download continues
where it was; a file that cannot be had is recorded with its reason and the others go on, but the
download as a whole then fails; files of two years are never mixed; never more than three
connections, as NLM asks.
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
from medr_ray.corpus.checksum import SIDECAR, file_md5, sidecar_md5
from medr_ray.corpus.mirror import (
    BASELINE,
    UPDATES,
    Listed,
    Plan,
    make_plan,
    named,
    select,
    shown_bytes,
)
from medr_ray.corpus.mirror_store import Partial, Shelf
from medr_ray.corpus.origins import (
    Origin,
    Patience,
    Refused,
    SourceFailure,
    Transient,
    open_origin,
    survey,
)

MOST_CONNECTIONS = 3
_FETCHES = (
    3  # of a file whose MD5 is wrong: a cache on the way may be, the second or third copy seldom is
)
_PROGRESS = 2**20  # bytes; tries that brought as much do not count
_LARGEST = 2**31  # bytes; NLM's files stay below 2**27, so more is not PubMed
_LARGEST_SIDECAR = 2**12
_HOPELESS = 10  # failures in a row, after which the source is taken to be down
_LISTED = 20  # files a dry run names


@dataclass(frozen=True)
class Order:
    """What the user asks for. ``source`` is a URL or a folder, ``files`` a glob over names."""

    source: str
    destination: Path
    baseline: bool = True
    updates: bool = True
    files: str = "*"
    limit: int | None = None
    connections: int = MOST_CONNECTIONS
    prune: bool = False

    def folders(self) -> list[str]:
        """The folders asked for. ConfigError when there is none, or for more connections than NLM
        allows."""
        if not 1 <= self.connections <= MOST_CONNECTIONS:
            raise ConfigError(
                f"--connections {self.connections}: NLM asks for at most {MOST_CONNECTIONS} at a time"
            )
        folders = [
            name for name, wanted in ((BASELINE, self.baseline), (UPDATES, self.updates)) if wanted
        ]
        if not folders:
            raise ConfigError("--no-baseline and --no-updates together leave nothing to download")
        return folders


@dataclass(frozen=True)
class Prospect:
    """What a download would do: its plan, the bytes to come as far as listings tell, and the bytes
    free on disk."""

    plan: Plan
    needed: int
    free: int

    def show(self, console: Console) -> None:
        plan = self.plan
        lines = [
            f"would fetch {_files(len(plan.wanted))}, {shown_bytes(self.needed)} ({shown_bytes(self.free)} free); "
            f"{len(plan.complete):,} complete"
        ]
        for file in plan.wanted[:_LISTED]:
            lines.append(
                f"  {file.key}" + (f"  {shown_bytes(file.size)}" if file.size is not None else "")
            )
        if len(plan.wanted) > _LISTED:
            lines.append(f"  and {len(plan.wanted) - _LISTED:,} more")
        if plan.stale:
            lines.append(_stale(plan))
        console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def prepare(order: Order, patience: Patience | None = None) -> Prospect:
    """What ``fetch`` would do; nothing is written."""
    return asyncio.run(_prepare(order, patience or Patience()))


def fetch(order: Order, console: Console, patience: Patience | None = None) -> None:
    """Fetch what is missing. DataError naming the files that could not be had, after all others are
    there; for files of an earlier year, unless they are to be pruned; for a disk that is too small.
    InfrastructureError when the source does not answer. MedrError when another process fills the
    mirror."""
    order.folders()
    shelf = Shelf(order.destination)
    try:
        with shelf.locked():
            asyncio.run(_fetch(order, shelf, console, patience or Patience()))
    except OSError as error:  # the source's own are SourceFailure
        raise DataError(f"{shelf.root} cannot be written: {error}") from error


async def _prepare(order: Order, patience: Patience) -> Prospect:
    order.folders()
    async with open_origin(order.source, patience, order.connections) as origin:
        return await _look(order, Shelf(order.destination), origin, patience)


async def _look(order: Order, shelf: Shelf, origin: Origin, patience: Patience) -> Prospect:
    if origin.root == str(shelf.root):
        raise ConfigError(
            f"--source and DEST are the same folder, {origin.root}; --verify checks it"
        )
    try:
        listed = await survey(origin, order.folders(), patience)
    except SourceFailure as error:
        raise InfrastructureError(f"{origin.root} cannot be listed: {error}") from error
    plan = make_plan(select(listed, order.files, order.limit), shelf.states, shelf.present())
    needed = sum(max(0, (file.size or 0) - shelf.partial(file.key).size) for file in plan.wanted)
    return Prospect(plan, needed, shutil.disk_usage(_existing(shelf.root)).free)


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


async def _fetch(order: Order, shelf: Shelf, console: Console, patience: Patience) -> None:
    async with open_origin(order.source, patience, order.connections) as origin:
        prospect = await _look(order, shelf, origin, patience)
        plan, free = prospect.plan, prospect.free
        if plan.stale:
            if not order.prune:
                raise DataError(_stale(plan))
            free += sum(shelf.path(key).stat().st_size for key in plan.stale)
        if prospect.needed > free:
            raise DataError(
                f"{shelf.root}: {_files(len(plan.wanted))} need {shown_bytes(prospect.needed)} and "
                f"{shown_bytes(free)} are free: make room, or choose with --files or --limit"
            )
        shelf.remove(plan.stale)
        with Bar(console, "download", len(plan.wanted) + len(plan.complete), "files") as bar:
            bar.resume(len(plan.complete))
            courier = Courier(shelf, origin, patience, bar)
            await courier.fetch_all(plan.wanted, order.connections)
    _conclude(courier, plan, console)


def _stale(plan: Plan) -> str:
    return (
        f"the new baseline replaces {_files(len(plan.stale))} of earlier years, {named(plan.stale)}: "
        "--prune removes them, or use another folder"
    )


def _conclude(courier: "Courier", plan: Plan, console: Console) -> None:
    kept = len(plan.complete) + courier.kept
    pruned = f", {_files(len(plan.stale))} of earlier years removed" if plan.stale else ""
    console.print(
        f"download: {_files(courier.fetched)} fetched ({courier.traffic()}), {kept:,} there already, "
        f"{len(courier.failures):,} failed{pruned}",
        highlight=False,
        soft_wrap=True,
    )
    if courier.failures:
        reasons = "; ".join(
            f"{key}: {courier.failures[key]}" for key in list(courier.failures)[:_LISTED]
        )
        raise DataError(
            f"{_files(len(courier.failures))} of {len(plan.wanted) + len(plan.complete):,} failed "
            f"({reasons}): the same command tries them again"
        )


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


class Courier:
    """Brings files from an origin to a shelf and counts: ``fetched``, ``kept`` as they were,
    ``failures`` by key."""

    def __init__(self, shelf: Shelf, origin: Origin, patience: Patience, bar: Bar) -> None:
        self._shelf, self._origin, self._patience, self._bar = shelf, origin, patience, bar
        self.fetched, self.kept, self.failures = 0, 0, dict[str, str]()
        self._bytes, self._failed_in_row, self._began = 0, 0, time.monotonic()

    async def fetch_all(self, files: tuple[Listed, ...], connections: int) -> None:
        """Every file, by ``connections`` workers that each do one after the other."""
        waiting = iter(files)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(connections, len(files))):
                    workers.create_task(self._work(waiting))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _work(self, waiting: Iterator[Listed]) -> None:
        for file in waiting:
            try:
                await self._bring(file)
                self._failed_in_row = 0
            except SourceFailure as error:
                self._fail(file, str(error))
            self._bar.advance(1, self.traffic())

    def _fail(self, file: Listed, reason: str) -> None:
        self.failures[file.key] = reason
        self._shelf.record([self._shelf.failed(file.key, reason)])
        self._failed_in_row += 1
        if self._failed_in_row >= _HOPELESS:
            raise InfrastructureError(
                f"{self._origin.root}: {_HOPELESS} files in a row failed, the last, {file.key}, "
                f"with {reason}: the same command continues here when the source is well"
            )

    async def _bring(self, file: Listed) -> None:
        """The file and its sidecar onto the shelf; anew a few times while its MD5 is wrong."""
        partial = self._shelf.partial(file.key)
        for attempt in range(_FETCHES):
            sidecar = await self._patience.through(
                self._origin.small, file.path + SIDECAR, _LARGEST_SIDECAR
            )
            md5 = sidecar_md5(sidecar)
            if md5 is None:
                raise Refused(f"its {SIDECAR} holds no MD5 checksum")
            if attempt == 0 and await self._is_there(file, md5):
                self.kept += 1
                return self._settle(file, sidecar, md5)
            if (
                await _md5(partial.path) != md5
            ):  # else a run was killed between the last byte and the name
                await self._transfer(file, partial)
            if (found := await _md5(partial.path)) == md5:
                partial.finish()
                self.fetched += 1
                return self._settle(file, sidecar, md5)
            partial.discard()
        raise Refused(f"its MD5 is {found}, its {SIDECAR} says {md5}, {_FETCHES} times over")

    async def _is_there(self, file: Listed, md5: str) -> bool:
        """Whether the file on disk is this one; hashed, as the manifest could not tell."""
        return await _md5(self._shelf.path(file.key)) == md5

    def _settle(self, file: Listed, sidecar: bytes, md5: str) -> None:
        self._shelf.keep_sidecar(file.key, sidecar)
        self._shelf.record([self._shelf.complete(file.key, file.stamp, md5)])

    async def _transfer(self, file: Listed, partial: Partial) -> None:
        """All the bytes there are. A flaky connection may break as often as it likes while it
        brings something."""
        while True:
            before = partial.size
            try:
                return await self._patience.through(self._append, file, partial)
            except Transient:
                if partial.size - before < _PROGRESS:
                    raise

    async def _append(self, file: Listed, partial: Partial) -> None:
        offset = partial.size
        try:
            async with self._origin.body(file.path, offset, partial.validator) as body:
                if body.offset == 0:
                    partial.restart(body.validator)
                with open(partial.path, "ab") as out:
                    async for chunk in body.chunks:
                        out.write(chunk)
                        self._count(len(chunk))
                        if out.tell() > _LARGEST:
                            raise Refused(
                                f"it has more than {shown_bytes(_LARGEST)}, which no PubMed file has"
                            )
        except Transient as error:
            if error.restart:
                partial.discard()
            raise

    def _count(self, size: int) -> None:
        before, self._bytes = self._bytes, self._bytes + size
        if before // _PROGRESS != self._bytes // _PROGRESS:
            self._bar.advance(0, self.traffic())

    def traffic(self) -> str:
        """What came so far, and how fast."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        return f"{shown_bytes(self._bytes)} at {shown_bytes(self._bytes / seconds)}/s"


async def _md5(path: Path) -> str | None:
    """The file's MD5; None without a file."""
    return await asyncio.to_thread(file_md5, path) if path.is_file() else None
