"""A cache of answered requests in a SQLite file, by their content, so that none is sent twice.

A request is stored under a hash of everything that decides its answer; API keys and headers are not
part of it. Several processes of a host may share the file, which has a write-ahead log. It also
stores the tokens and US dollars spent, so that a budget still counts after a restart, and what each
role used of them.
"""

import contextlib
import hashlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import tenacity

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import parse_json
from medr_ray.core.private_files import make_private_folder, open_private
from medr_ray.core.records import canonical_json
from medr_ray.core.run import Directory
from medr_ray.governor.budget import Spend
from medr_ray.llm.usage import RoleUsage, UsageByRole

CACHE_FOLDER = "llm"  # in the directory of a run
CACHE_FILE = "responses.sqlite"
_LOCK_SECONDS = 30.0  # a writer waits this long for another process to finish
_CREATE_TABLES = """
CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, response TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage (id INTEGER PRIMARY KEY CHECK (id = 0), tokens INTEGER NOT NULL,
    budget TEXT NOT NULL, usd REAL NOT NULL DEFAULT 0);
INSERT OR IGNORE INTO usage (id, tokens, budget) VALUES (0, 0, lower(hex(randomblob(8))));
CREATE TABLE IF NOT EXISTS roles (role TEXT NOT NULL, model TEXT NOT NULL,
    requests INTEGER NOT NULL, failed INTEGER NOT NULL, cached INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, usd REAL NOT NULL,
    seconds REAL NOT NULL, PRIMARY KEY (role, model)) WITHOUT ROWID;
"""
_ADD_ROLE_USAGE = """
INSERT INTO roles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (role, model) DO UPDATE SET
    requests = requests + excluded.requests, failed = failed + excluded.failed,
    cached = cached + excluded.cached, input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens, usd = usd + excluded.usd,
    seconds = seconds + excluded.seconds
"""
# Files written before prices were counted have no column for them.
_ADD_USD_COLUMN = "ALTER TABLE usage ADD COLUMN usd REAL NOT NULL DEFAULT 0"


def request_key(request: dict[str, Any]) -> str:
    """The key of a request: a hash of its content."""
    return hashlib.sha256(canonical_json(request).encode()).hexdigest()


def _is_locked(error: BaseException) -> bool:
    is_busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
    return isinstance(error, sqlite3.OperationalError) and is_busy


# SQLite waits for other connections itself, but not where several set the journal of a new file.
_wait_for_lock = tenacity.Retrying(
    retry=tenacity.retry_if_exception(_is_locked),
    wait=tenacity.wait_random(0, 0.05),
    stop=tenacity.stop_after_delay(_LOCK_SECONDS),
    reraise=True,
)


class ResponseCache:
    """A cache file in ``directory``. Raises DataError when it cannot be opened."""

    def __init__(self, directory: Path) -> None:
        make_private_folder(directory)
        self._path = directory / CACHE_FILE
        # SQLite gives its further files the rights of this one.
        with open(self._path, "ab", opener=open_private):
            pass
        self._lock = threading.Lock()
        try:
            # Any thread may use it, one at a time (``_lock``). Each statement is a transaction of
            # its own, so no lock on the file outlives a call.
            self._db = sqlite3.connect(
                self._path, timeout=_LOCK_SECONDS, check_same_thread=False, isolation_level=None
            )
            # Readers do not wait for a writer. It needs shared memory, so the file has to be on a
            # local disk.
            _wait_for_lock(self._db.execute, "PRAGMA journal_mode=WAL")
            self._db.executescript(_CREATE_TABLES)
            columns = [row[1] for row in self._db.execute("PRAGMA table_info(usage)")]
            # CREATE TABLE IF NOT EXISTS leaves an older table as it is.
            if "usd" not in columns:
                self._db.execute(_ADD_USD_COLUMN)
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self._path} is no response cache ({error}): remove it and run again"
            ) from error

    def get(self, key: str) -> dict[str, Any] | None:
        """The stored response, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT response FROM responses WHERE key = ?", (key,)
            ).fetchone()
        return parse_json(row[0], str(self._path)) if row else None

    def put(self, key: str, response: dict[str, Any]) -> None:
        """Store a response. Where the key has one already, that one stays."""
        with self._lock:
            self._db.execute(
                "INSERT OR IGNORE INTO responses VALUES (?, ?)", (key, canonical_json(response))
            )

    def add_spend(self, spend: Spend) -> None:
        """Add to the tokens and US dollars spent."""
        with self._lock:
            self._db.execute("UPDATE usage SET tokens = tokens + ?, usd = usd + ?", spend)

    def total_spend(self) -> Spend:
        """The tokens and US dollars that all runs over this file have spent."""
        with self._lock:
            return Spend(*self._db.execute("SELECT tokens, usd FROM usage").fetchone())

    def add_role_usage(self, role: str, model: str, usage: RoleUsage) -> None:
        """Add to what a role used of a model."""
        with self._lock:
            self._db.execute(_ADD_ROLE_USAGE, (role, model, *usage))

    def list_role_usage(self) -> UsageByRole:
        """What all runs over this file have used, by role and model."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM roles ORDER BY role, model").fetchall()
        return {(role, model): RoleUsage(*figures) for role, model, *figures in rows}

    def budget_name(self) -> str:
        """A name of the budget of this file; no other file has the same."""
        with self._lock:
            return str(self._db.execute("SELECT budget FROM usage").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def read_usage(run: Directory) -> UsageByRole:
    """What the roles have used in a run so far; nothing where no model was asked. On object storage
    nothing is counted, because nothing can be cached there."""
    if run.free_space() is None:
        return {}
    folder = run.child(CACHE_FOLDER)
    if not folder.exists(CACHE_FILE):
        return {}
    with contextlib.closing(ResponseCache(folder.local)) as store:
        return store.list_role_usage()
