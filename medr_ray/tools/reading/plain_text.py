"""A page as text. Untrusted documents are parsed in a process of their own, which has no keys and
cannot exceed its limits: a document that expands without end kills that process and nothing
else."""

import asyncio
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.config import ReadConfig
from medr_ray.core.errors import ConfigError, ToolError
from medr_ray.core.json_text import parse_json
from medr_ray.retrieval.query_text import remove_hidden
from medr_ray.tools.reading import parser
from medr_ray.tools.reading.fetching import FetchedPage
from medr_ray.tools.threads import DaemonThreads, LoopSemaphore

# Wall-clock seconds allowed per second of processor time: machines are shared.
_WALL_SECONDS_PER_CPU_SECOND = 4
_MAX_TITLE_CHARS = 200
_MAX_TEXT_CHARS = 1_000_000  # of a page; a long book
_QUOTED_URL_CHARS = 200  # of an address in an error
# Parser processes of one event loop, each of which may take all the memory it is allowed.
_PARSER_SLOTS = LoopSemaphore(4)
_THREADS = DaemonThreads()


@dataclass(frozen=True)
class PageText:
    """A page's words. ``date`` is in ISO 8601 as the page states it, or ""; ``note`` says what was
    left out, or ""."""

    title: str
    date: str
    text: str
    note: str


async def extract_text(page: FetchedPage, limits: ReadConfig) -> PageText:
    """The words of a page. Raises ToolError when there are none, or when parsing takes more than is
    allowed; ConfigError where the libraries that read pages are missing."""
    async with _PARSER_SLOTS.current():
        output = await _run_parser(page, limits)
    # In a thread: a long text takes a while to decode and clean.
    return await _THREADS.run(lambda: _read_output(page, output))


async def _run_parser(page: FetchedPage, limits: ReadConfig) -> bytes:
    """The output of the parser process, which has ended when this returns or raises."""
    request = {
        "media_type": page.media_type,
        "charset": page.charset,
        "max_pages": limits.max_pages,
        "chars": _MAX_TEXT_CHARS,
        "cpu_seconds": math.ceil(limits.parse_seconds),
        "memory_mb": limits.parse_memory_mb,
    }
    # -I and an empty environment: nothing of the user's settings or keys reaches the process.
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
        # The process limits its own processor time. This deadline is for one that waits or starves.
        async with asyncio.timeout(_WALL_SECONDS_PER_CPU_SECOND * limits.parse_seconds):
            data = json.dumps(request).encode() + b"\n" + page.body
            output, _ = await process.communicate(data)
    except TimeoutError:
        raise ToolError(f"read: {_quote_url(page)} takes too long to parse") from None
    finally:
        # Also when the call is cancelled: a parser must not outlive the call it works for.
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ToolError(f"read: {_quote_url(page)} takes too much time or memory to parse")
    return output


def _read_output(page: FetchedPage, output: bytes) -> PageText:
    result = parse_json(output, "the parser's output")
    if "missing" in result:
        raise ConfigError(
            f"agent.tools: read cannot load what reads pages ({result['missing']}): install it for "
            f"{sys.executable}, or raise tools.read.parse_memory_mb"
        )
    if "error" in result:
        raise ToolError(f"read: {_quote_url(page)}: {result['error']}")
    text = remove_hidden(result["text"])
    if not text.strip():
        raise ToolError(f"read: {_quote_url(page)} holds no text")
    title = " ".join(remove_hidden(result["title"]).split())[:_MAX_TITLE_CHARS]
    cut = "the page is cut: its packed content ends early" if page.is_cut else ""
    note = ", ".join(filter(None, (result["note"], cut)))
    return PageText(title, result["date"], text, note)


def _quote_url(page: FetchedPage) -> str:
    return page.url[:_QUOTED_URL_CHARS]
