"""A page as text. Foreign documents are parsed in a process of their own, which has no keys and
cannot outgrow its limits: a bomb ends that process and nothing else."""

import asyncio
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.config import ReadConfig
from medr_ray.core.errors import ConfigError, ToolError
from medr_ray.retrieval.query_text import remove_hidden
from medr_ray.tools.reading import parser
from medr_ray.tools.reading.fetching import Page
from medr_ray.tools.threads import Places, Threads

_WALL = 4  # wall-clock seconds allowed per second of processor time: machines are shared
_TITLE_CHARS = 200
_CHARS = 1_000_000  # of a page's text; a long book
# Processes of one event loop, each of which may take all the memory it is allowed.
_AT_ONCE = Places(4)
_THREADS = Threads()


@dataclass(frozen=True)
class Text:
    """A page's words: ``date`` in ISO 8601 as the page states it, or ""; ``note`` says what was
    left out, or ""."""

    title: str
    date: str
    text: str
    note: str


async def to_text(page: Page, limits: ReadConfig) -> Text:
    """The words of a page. Raises ToolError when there are none, or getting at them takes more than
    is allowed; ConfigError where the libraries that read pages are not there."""
    async with _AT_ONCE.one():
        out = await _parsed(page, limits)
    return await _THREADS.run(lambda: _read(page, out))


async def _parsed(page: Page, limits: ReadConfig) -> bytes:
    """What the process answers; it has ended when this has."""
    order = {
        "media_type": page.media_type,
        "charset": page.charset,
        "max_pages": limits.max_pages,
        "chars": _CHARS,
        "cpu_seconds": math.ceil(limits.parse_seconds),
        "memory_mb": limits.parse_memory_mb,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(Path(parser.__file__)),
        env={},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_WALL * limits.parse_seconds):
            out, _ = await process.communicate(json.dumps(order).encode() + b"\n" + page.body)
    except TimeoutError:
        raise ToolError(f"read: {page.url[:200]} takes too long to parse") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ToolError(f"read: {page.url[:200]} takes too much time or memory to parse")
    return out


def _read(page: Page, out: bytes) -> Text:
    result = json.loads(out)
    if "missing" in result:
        raise ConfigError(
            f"agent.tools: read cannot load what reads pages ({result['missing']}): install it for "
            f"{sys.executable}, or raise tools.read.parse_memory_mb"
        )
    if "error" in result:
        raise ToolError(f"read: {page.url[:200]}: {result['error']}")
    text = remove_hidden(result["text"])
    if not text.strip():
        raise ToolError(f"read: {page.url[:200]} holds no text")
    return Text(
        " ".join(remove_hidden(result["title"]).split())[:_TITLE_CHARS],
        result["date"],
        text,
        result["note"],
    )
