"""Search results as the agent reads them: one line per hit, whole lines only, within a number of
characters.

Notes on what is missing from the results follow the hits.
"""

from collections.abc import Sequence
from typing import Protocol

from medr_ray.tools.base import ToolResult

NO_RESULTS = "No results."
# A note takes at most a quarter of the characters, so two of them leave half for the hits.
_MAX_NOTES = 2


class SearchHit(Protocol):
    """The part of a retriever's hit that is shown."""

    @property
    def document_id(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def snippet(self) -> str: ...

    @property
    def date_text(self) -> str:
        """The date in at most a dozen characters; "" where none is known."""
        ...


def make_heading(title: str, document_id: str, date_text: str) -> str:
    """``TITLE (PMID:123, 2019)``, as a hit and a document that is read begin; without a date where
    none is known."""
    return f"{title} ({', '.join(filter(None, (document_id, date_text)))})"


def render_hits(hits: Sequence[SearchHit], chars: int, notes: Sequence[str] = ()) -> ToolResult:
    """``[1] title (document id, date): snippet`` per hit, as many whole lines as fit into ``chars``
    beside the ``notes``.

    A first line that is too long alone is cut after a word. ``documents`` are the ids of the lines
    shown.
    """
    note_lines = []
    for note in notes[:_MAX_NOTES]:
        note_lines.append(_cut_after_word(" ".join(f"Note: {note}".split()), chars // 4))
    lines: list[str] = []
    documents: list[str] = []
    room = chars - sum(len(note) + 1 for note in note_lines)  # 1: the line break
    for number, hit in enumerate(hits, 1):
        heading = make_heading(hit.title, hit.document_id, hit.date_text)
        line = " ".join(f"[{number}] {heading}: {hit.snippet}".split())
        if len(line) > room:
            if not lines:
                lines = [_cut_after_word(line, room)]
                documents = [hit.document_id]
            break
        lines.append(line)
        documents.append(hit.document_id)
        room -= len(line) + 1
    return ToolResult("\n".join([*(lines or [NO_RESULTS]), *note_lines]), tuple(documents))


def _cut_after_word(line: str, chars: int) -> str:
    """The line in at most ``chars`` characters, cut after a word and ended by an ellipsis."""
    if len(line) <= chars:
        return line
    head = line[:chars]
    if line[chars : chars + 1] != " ":  # the cut falls within a word
        head = head.rpartition(" ")[0]
    # Without any space in reach the cut falls within the first word.
    return (head or line[: chars - 1])[: chars - 1].rstrip() + "…"
