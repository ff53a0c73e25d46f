"""A cited answer as one text, for clients that show nothing else, and back to the bare answer."""

from medr_ray.agent.cited_answer import CitedDocument
from medr_ray.agent.events import AnswerEvent

_BREAK = "\n\n"  # between the answer, what is missing of it, its sources and the notice


def render_answer_text(event: AnswerEvent) -> str:
    """The answer, then what is missing, the sources with their dates and pages, and the notice."""
    sources = [_render_source(number, entry) for number, entry in enumerate(event.citations, 1)]
    sources += [
        f"[?] {_render_unresolved(entry.document_id, entry.mentioned_in)}"
        for entry in event.unresolved
    ]
    answer = " ".join((event.text or "").split())
    return _BREAK.join(filter(None, (answer, event.remark, "\n".join(sources), event.notice)))


def read_answer_text(text: str) -> str:
    """The answer of a rendered text, which is its first paragraph."""
    return text.strip().partition(_BREAK)[0]


def describe_date(source: CitedDocument) -> str:
    """ "as of 2021-03-01" of a record, "published 2019" of a paper, "" where no date is known."""
    if source.as_of:
        return f"as of {source.as_of}"
    return f"published {source.published}" if source.published else ""


def _render_source(number: int, source: CitedDocument) -> str:
    about = ", ".join(filter(None, (source.document_id, describe_date(source))))
    lines = [f"[{number}] {source.title} ({about})"]
    if source.quote:
        note = "" if source.states_answer else " (closest line; it does not state the answer)"
        lines.append(f"    “{source.quote}”{note}")
    if source.url:
        lines.append(f"    {source.url}")
    return "\n".join(lines)


def _render_unresolved(document_id: str, mentioned_in: tuple[str, ...]) -> str:
    if mentioned_in:
        return f"{document_id}: cited, but only named in {', '.join(mentioned_in)}"
    return f"{document_id}: cited, but never shown to the agent"
