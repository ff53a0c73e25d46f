"""The folder for what is fetched or compiled once and serves every run of this user."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """``MEDR_CACHE``, else ``~/.cache/medr_ray``. RuntimeError when the user has no home."""
    return Path(os.environ.get("MEDR_CACHE") or Path.home() / ".cache" / "medr_ray")
