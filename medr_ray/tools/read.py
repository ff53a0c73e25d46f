"""``read``: a page or a found document, and what it says about a goal, quoted word for word.

Pages come over http(s) from the public internet only (see ``reading``); documents of the index by
their ids. What is returned is always quoted text with its source: data for the agent, never an
instruction to it. With a publication cut-off a page that states no date, or a later one, is not
read.
"""

import datetime
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from medr_ray.core.config import PipelineConfig, ReadConfig
from medr_ray.core.errors import ToolError
from medr_ray.llm.roles import open_chat_client
from medr_ray.retrieval.snippets import truncate
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.reading.fetching import fetch
from medr_ray.tools.reading.plain_text import to_text
from medr_ray.tools.reading.quoting import ModelQuoter, Quoter, RulesQuoter
from medr_ray.tools.search import Searcher, of_index

WEB = "WEB:"
_LEAST = 80  # characters shown of a text, whatever room its heading leaves


class Source(Protocol):
    """The part of an index's document that is read."""

    @property
    def title(self) -> str: ...

    @property
    def text(self) -> str: ...


@runtime_checkable
class Shelf(Protocol):
    """Where documents are kept by id. The call blocks."""

    def document(self, document_id: str) -> Source | None:
        """The document, or None where there is none of that id."""
        ...


class ReadTool:
    """Reads one page or document. ``chars`` bounds what the agent is shown."""

    name = "read"
    description = (
        "Read a web page or PDF by its address, or a found document by its id (such as "
        "PMID:123), and get the passages "
        "about a goal, quoted word for word."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "url": {
                "type": "string",
                "minLength": 1,
                "maxLength": 2048,
                "description": "an http or https address, or the id of a found document",
            },
            "goal": {
                "type": "string",
                "minLength": 1,
                "maxLength": 1000,
                "description": "what to find out",
            },
        },
        "required": ["url", "goal"],
        "additionalProperties": False,
    }

    def __init__(
        self,
        limits: ReadConfig,
        quoter: Quoter,
        shelf: Shelf | None,
        chars: int,
        before: datetime.date | None = None,
    ) -> None:
        self._limits, self._quoter, self._shelf, self._chars, self._before = (
            limits,
            quoter,
            shelf,
            chars,
            before,
        )

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Quotes with their source; raises ToolError for wrong arguments and whatever cannot be
        read."""
        check_arguments(self.name, self.parameters, arguments)
        url, goal = arguments["url"].strip().removeprefix(WEB), arguments["goal"]
        if "://" in url:
            return await self._page(url, goal)
        return await self._document(url, goal)

    async def _page(self, url: str, goal: str) -> ToolResult:
        page = await fetch(url, self._limits)
        text = await to_text(page, self._limits)
        if self._before is not None and not "" < text.date < self._before.isoformat():
            raise ToolError(f"read: {url[:200]} is not known to be published before {self._before}")
        about = ", ".join(filter(None, (page.url, text.date, text.note)))
        return await self._quoted(
            f"{WEB}{page.url}", f"{text.title or 'Untitled'} ({about})", goal, text.text
        )

    async def _document(self, document_id: str, goal: str) -> ToolResult:
        shelf = self._shelf
        hits = (
            None
            if shelf is None
            else await of_index(self.name, lambda: shelf.document(document_id))
        )
        if hits is None:
            raise ToolError(
                f"read: {document_id[:100]!r} is neither an http address nor the id of "
                f"a found document"
            )
        return await self._quoted(document_id, f"{hits.title} ({document_id})", goal, hits.text)

    async def _quoted(self, document_id: str, heading: str, goal: str, text: str) -> ToolResult:
        heading = truncate(heading, self._chars // 2)  # an address alone can have 2,048 characters
        quotes = await self._quoter.quotes(goal, text)
        if not quotes:
            introduction = f"{heading}\nNo word of the goal is in it. It begins:"
            opening = truncate(
                " ".join(text[: self._chars].split()), max(self._chars - len(introduction), _LEAST)
            )
            return ToolResult(f'{introduction} "{opening}"', (document_id,))
        lines = [heading]
        for number, quote in enumerate(quotes, 1):
            line = f'[{number}] "{quote}"'
            if len(lines) > 1 and sum(map(len, lines)) + len(lines) + len(line) > self._chars:
                break
            lines.append(line)
        return ToolResult("\n".join(lines), (document_id,))


def make(config: PipelineConfig, searcher: Searcher) -> ReadTool:
    """The tool over the web and over the documents of ``searcher``, where it keeps any."""
    limits = config.tools.read
    shelf = searcher if isinstance(searcher, Shelf) else None
    return ReadTool(
        limits, _quoter(config), shelf, config.agent.observation_chars, config.tools.before
    )


def _quoter(config: PipelineConfig) -> Quoter:
    limits = config.tools.read
    if limits.extract == "rules":
        return RulesQuoter(limits.quotes, limits.quote_chars)
    from medr_ray.core.run import open_run

    client = open_chat_client(config.llm, open_run(config))
    return ModelQuoter(client, limits.quotes, limits.quote_chars, limits.extract_chars)
