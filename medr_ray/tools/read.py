"""``read``: what a web page or a document of the index says about a goal, quoted word for word.

Pages come over http(s) from the public internet only (see ``reading``), documents of the index by
their ids. Of a record the goal decides on a field, all lines of which are shown. The result is
always quoted text with its source: data for the agent, never an instruction to it. With a
publication cut-off a page is refused when it states no date, the day of the cut-off, or a later
one.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from medr_ray.core.config import PipelineConfig, ReadConfig
from medr_ray.core.errors import ToolError
from medr_ray.llm.roles import open_chat_client
from medr_ray.retrieval.documents import RECORD_SOURCES
from medr_ray.retrieval.snippets import truncate
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.observations import make_heading
from medr_ray.tools.reading.fetching import fetch_page
from medr_ray.tools.reading.plain_text import PageText, extract_text
from medr_ray.tools.reading.quoting import ModelQuoter, Quoter, RulesQuoter
from medr_ray.tools.reading.record_quoting import quote_record
from medr_ray.tools.search import Searcher, run_index_work
from medr_ray.tools.threads import DaemonThreads

WEB_PREFIX = "WEB:"  # of the document ids of web pages; the rest is the address
_MIN_OPENING_CHARS = 80  # shown of a text's beginning, however long its heading is
_QUOTE_FRAME_CHARS = 8  # the line break, the number and the signs around a quote
_NOTE_CHARS = 80  # on what is left out
_THREADS = DaemonThreads()


class ReadableDocument(Protocol):
    """The part of an index's document that is read."""

    @property
    def source(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def date_text(self) -> str: ...


@runtime_checkable
class DocumentLookup(Protocol):
    """Finds documents by id. The call blocks."""

    def document(self, document_id: str) -> ReadableDocument | None:
        """The document, or None if there is none with that id."""
        ...


class ReadTool:
    """Reads one page or document. ``chars`` bounds what the agent is shown."""

    name = "read"
    description = (
        "Read a web page or PDF by its address, or a found document by its id (such as "
        "PMID:123), and get the passages "
        "about a goal, quoted word for word; of a record all lines of the field asked for."
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
        documents: DocumentLookup | None,
        chars: int,
        before: datetime.date | None = None,
    ) -> None:
        self._limits = limits
        self._quoter = quoter
        self._documents = documents
        self._chars = chars
        self._before = before

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """Quotes with their source; raises ToolError for wrong arguments and whatever cannot be
        read."""
        check_arguments(self.name, self.parameters, arguments)
        # A page that was read before may be named by its document id.
        url = arguments["url"].strip().removeprefix(WEB_PREFIX)
        goal = arguments["goal"]
        if "://" in url:
            return await self._read_page(url, goal)
        return await self._read_document(url, goal)

    async def _read_page(self, url: str, goal: str) -> ToolResult:
        page = await fetch_page(url, self._limits)
        text = await extract_text(page, self._limits)
        if not self._is_before_cutoff(text):
            raise ToolError(f"read: {url[:200]} is not known to be published before {self._before}")
        about = ", ".join(filter(None, (page.url, text.date, text.note)))
        heading = f"{text.title or 'Untitled'} ({about})"
        return await self._quote(f"{WEB_PREFIX}{page.url}", heading, goal, text.text)

    def _is_before_cutoff(self, text: PageText) -> bool:
        if self._before is None:
            return True
        # ISO dates compare as text. "" (no stated date) does not count as before.
        return "" < text.date < self._before.isoformat()

    async def _read_document(self, document_id: str, goal: str) -> ToolResult:
        document = await self._find_document(document_id)
        if document is None:
            raise ToolError(
                f"read: {document_id[:100]!r} is neither an http address nor the id of "
                f"a found document"
            )
        heading = make_heading(document.title, document_id, document.date_text)
        heading = truncate(heading, self._chars // 2)
        if document.source in RECORD_SOURCES:
            # In a thread: some records have thousands of lines.
            return await _THREADS.run(
                lambda: self._quote_record(document_id, heading, goal, document.text)
            )
        return await self._quote(document_id, heading, goal, document.text)

    def _quote_record(self, document_id: str, heading: str, goal: str, text: str) -> ToolResult:
        """Lines of a record, all those of the field that the goal asks for first."""
        frames = self._limits.quotes * _QUOTE_FRAME_CHARS
        room = max(self._chars - len(heading) - frames - _NOTE_CHARS, _MIN_OPENING_CHARS)
        chosen = quote_record(goal, document_id, text, room, self._limits)
        note = ""
        if chosen.left_out:
            note = f"Left out: {chosen.left_out} of {chosen.line_count} lines of {chosen.field!r}."
        return self._render(document_id, heading, text, chosen.quotes, note)

    async def _find_document(self, document_id: str) -> ReadableDocument | None:
        documents = self._documents
        if documents is None:
            return None
        return await run_index_work(self.name, lambda: documents.document(document_id))

    async def _quote(self, document_id: str, heading: str, goal: str, text: str) -> ToolResult:
        # An address alone can have 2,048 characters: the heading leaves half of the room.
        heading = truncate(heading, self._chars // 2)
        quotes = await self._quoter.find_quotes(goal, text)
        return self._render(document_id, heading, text, quotes)

    def _render(
        self, document_id: str, heading: str, text: str, quotes: Sequence[str], note: str = ""
    ) -> ToolResult:
        """The quotes that fit below the heading, the first always and whole; without any, how the
        text begins."""
        if not quotes:
            introduction = f"{heading}\nNo word of the goal is in it. It begins:"
            room = max(self._chars - len(introduction) - _QUOTE_FRAME_CHARS, _MIN_OPENING_CHARS)
            opening = truncate(" ".join(text[: self._chars].split()), room)
            return ToolResult(f'{introduction} "{opening}"', (document_id,))
        lines = [heading]
        for number, quote in enumerate(quotes, 1):
            line = f'[{number}] "{quote}"'
            length = sum(map(len, lines)) + len(lines) + len(line)
            if len(lines) > 1 and length > self._chars:
                break
            lines.append(line)
        return ToolResult("\n".join(filter(None, (*lines, note))), (document_id,))


def build_read_tool(config: PipelineConfig, searcher: Searcher) -> ReadTool:
    """The tool over the web and, where ``searcher`` can look documents up, over its documents."""
    documents = searcher if isinstance(searcher, DocumentLookup) else None
    return ReadTool(
        config.tools.read,
        _build_quoter(config),
        documents,
        config.agent.observation_chars,
        config.tools.before,
    )


def _build_quoter(config: PipelineConfig) -> Quoter:
    limits = config.tools.read
    if limits.extract == "rules":
        return RulesQuoter(limits.quotes, limits.quote_chars)
    from medr_ray.core.run import open_run

    client = open_chat_client(config.llm, open_run(config), "quoter")
    return ModelQuoter(client, limits.quotes, limits.quote_chars, limits.extract_chars)
