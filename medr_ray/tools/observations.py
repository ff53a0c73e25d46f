"""Search results as the agent reads them: one line per hit, whole lines only, within a number of
characters.

What is known to be missing from the results follows as notes.
"""

from collections.abc import Sequence
from typing import Protocol

from medr_ray.tools.base import ToolResult

NO_RESULTS = "No results."
_NOTES = 2  # shown at most, each within a quarter of the room


class SearchHit(Protocol):
    """The part of a retriever's hit that is shown."""

    @property
    def document_id(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def snippet(self) -> str: ...


def render_hits(hits: Sequence[SearchHit], chars: int, notes: Sequence[str] = ()) -> ToolResult:
    """``[1] title (document id): snippet`` per hit, as many whole lines as fit into ``chars``
    beside the ``notes``.

    A first line that is too long alone is cut after a word. ``documents`` are the ids of the lines
    shown.
    """
    note_lines = [_cut(" ".join(f"Note: {note}".split()), chars // 4) for note in notes[:_NOTES]]
    lines: list[str] = []
    documents: list[str] = []
    room = chars - sum(len(note) + 1 for note in note_lines)
    for number, hit in enumerate(hits, 1):
        line = " ".join(f"[{number}] {hit.title} ({hit.document_id}): {hit.snippet}".split())
        if len(line) > room:
            if not lines:
                lines, documents = [_cut(line, room)], [hit.document_id]
            break
        lines.append(line)
        documents.append(hit.document_id)
        room -= len(line) + 1
    return ToolResult("\n".join([*(lines or [NO_RESULTS]), *note_lines]), tuple(documents))


def _cut(line: str, chars: int) -> str:
    if len(line) <= chars:
        return line
    head, _, _ = (
        line[:chars].rpartition(" ") if line[chars : chars + 1] != " " else (line[:chars], "", "")
    )
    return (head or line[: chars - 1])[: chars - 1].rstrip() + "…"
