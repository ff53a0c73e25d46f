"""Answered requests in a SQLite file: looked up by content, never sent twice.

The key is a hash of everything that decides the answer; neither keys nor headers are part of it.
Several processes of a host may share the file (write-ahead log). It also remembers the tokens and
US dollars spent, so that a budget outlives a restart.
"""

import hashlib
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.core.records import canonical_json
from medr_ray.governor.budget import Spend

CACHE_FILE = "responses.sqlite"
_LOCK_SECONDS = 30.0  # how long a writer waits for another process
_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, response TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage (id INTEGER PRIMARY KEY CHECK (id = 0), tokens INTEGER NOT NULL, budget TEXT NOT NULL,
    usd REAL NOT NULL DEFAULT 0);
INSERT OR IGNORE INTO usage (id, tokens, budget) VALUES (0, 0, lower(hex(randomblob(8))));
"""
_OLDER = (
    "ALTER TABLE usage ADD COLUMN usd REAL NOT NULL DEFAULT 0"  # for a file that knows no prices
)


def request_key(request: dict[str, Any]) -> str:
    """The content address of a request."""
    return hashlib.sha256(canonical_json(request).encode()).hexdigest()


class ResponseCache:
    """A cache file in ``directory``. Raises DataError when it cannot be opened."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / CACHE_FILE
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(
                self._path, timeout=_LOCK_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_SCHEMA)
            if "usd" not in [column[1] for column in self._db.execute("PRAGMA table_info(usage)")]:
                self._db.execute(_OLDER)
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
        return json.loads(row[0]) if row else None

    def put(self, key: str, response: dict[str, Any]) -> None:
        """Store a response; the first one for a key stays."""
        with self._lock:
            self._db.execute(
                "INSERT OR IGNORE INTO responses VALUES (?, ?)", (key, canonical_json(response))
            )

    def add_spend(self, spend: Spend) -> None:
        """Add to what is spent."""
        with self._lock:
            self._db.execute("UPDATE usage SET tokens = tokens + ?, usd = usd + ?", spend)

    def total_spend(self) -> Spend:
        """What every run over this file has spent."""
        with self._lock:
            return Spend(*self._db.execute("SELECT tokens, usd FROM usage").fetchone())

    def budget_name(self) -> str:
        """A name for the budget of this file, that no other file has."""
        with self._lock:
            return str(self._db.execute("SELECT budget FROM usage").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
