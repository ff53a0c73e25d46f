"""An episode's events on a terminal: thoughts, calls and shortened results as they come, and the
answer with its sources."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.text import Text

from medr_ray.agent.answer_text import describe_date
from medr_ray.agent.cited_answer import CitedDocument
from medr_ray.agent.events import (
    AnswerEvent,
    AnswerRequestEvent,
    EpisodeEvent,
    ErrorEvent,
    StartEvent,
    ThoughtEvent,
    ToolCallEvent,
    ToolResultEvent,
)

_RESULT_LINES = 4  # of a result that are shown
_LINE_CHARS = 220  # of a line of a result
_ARGUMENT_CHARS = 120  # of an argument
_INDENT = 4  # columns
_BUDGET_WORDS = {
    "calls": "the calls are used up",
    "repeats": "it repeats itself",
    "tokens": "the context is nearly full",
    "seconds": "the time is nearly over",
    "usd": "the money is nearly spent",
}


class EpisodeView:
    """An observer that prints. ``names_question``: whether the question is printed too, which
    nobody needs who has just typed it."""

    def __init__(self, console: Console, names_question: bool = True) -> None:
        self._console = console
        self._names_question = names_question
        self._status: Status | None = None

    def __call__(self, event: EpisodeEvent) -> None:
        match event:
            case StartEvent():
                self._print_start(event)
            case ThoughtEvent():
                self._print(clean_text(event.text), style="italic")
                self.show_status("thinking")
            case ToolCallEvent():
                self._print_call(event)
            case ToolResultEvent():
                self._print_result(event)
                self.show_status("thinking")
            case AnswerRequestEvent():
                self._print(f"asked for its answer: {_BUDGET_WORDS[event.budget]}", style="dim")
            case AnswerEvent():
                self.hide_status()
                self._print_answer(event)
            case ErrorEvent():
                self.hide_status()
                self._print(clean_text(event.message), style="bold red")

    def show_status(self, text: str) -> None:
        """What is being waited for, on a terminal; nothing in a file."""
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)

    def hide_status(self) -> None:
        """Wait for nothing any more."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _print(self, text: str, style: str = "", indent: int = 0) -> None:
        # Text of models and documents, never markup.
        self._console.print(Padding(Text(text, style=style), (0, 0, 0, indent), expand=False))

    def _print_start(self, event: StartEvent) -> None:
        if self._names_question:
            self._print(clean_text(event.question), style="bold")
        self._print(f"{event.model}, with {', '.join(event.tools)}", style="dim")
        self.show_status("thinking")

    def _print_call(self, event: ToolCallEvent) -> None:
        name = clean_text(event.tool) or "a call that cannot be read"
        self._print(f"→ {name} {_describe_arguments(event.arguments)}".rstrip(), style="cyan")
        self.show_status(name)

    def _print_result(self, event: ToolResultEvent) -> None:
        # Results of calls that ran side by side come in any order: each says whose it is.
        notes = [f"{event.seconds:.2f} s"]
        if event.status != "ok":
            notes.insert(0, event.status)
        self._print(f"← {clean_text(event.tool)} ({', '.join(notes)})", style="cyan")
        lines = [clean_text(line) for line in event.text.splitlines() if line.strip()]
        for line in lines[:_RESULT_LINES]:
            self._print(_shorten(line, _LINE_CHARS), style="dim", indent=_INDENT)
        if len(lines) > _RESULT_LINES:
            hidden = f"({len(lines) - _RESULT_LINES} more lines)"
            self._print(hidden, style="dim", indent=_INDENT)

    def _print_answer(self, event: AnswerEvent) -> None:
        self._console.print()
        if event.text is not None:
            self._print(clean_text(event.text), style="bold green")
        if event.remark:
            self._print(clean_text(event.remark), style="yellow")
        for number, source in enumerate(event.citations, 1):
            self._print_source(number, source)
        for entry in event.unresolved:
            mentioned = ", ".join(entry.mentioned_in)
            reason = f"only named in {mentioned}" if mentioned else "never shown to the agent"
            self._print(f"cited, but {reason}: {clean_text(entry.document_id)}", style="yellow")
        usage = event.usage
        spent = f"{usage.model_calls} replies, {usage.prompt_tokens + usage.output_tokens:,} tokens"
        if event.seconds is not None:
            spent += f", {event.seconds:.1f} s"
        self._console.print()
        self._print(f"{event.notice}", style="bold")
        self._print(f"({event.stop_reason}; {spent})", style="dim")

    def _print_source(self, number: int, source: CitedDocument) -> None:
        about = ", ".join(filter(None, (source.document_id, describe_date(source))))
        self._print(f"[{number}] {clean_text(source.title)} ({about})")
        if source.quote:
            quote = f"“{clean_text(source.quote)}”"
            if not source.states_answer:
                quote += " (the closest line; it does not state the answer)"
            self._print(quote, indent=_INDENT)
        if source.url:
            self._print(clean_text(source.url), style="blue", indent=_INDENT)


def clean_text(text: str) -> str:
    """A text of a model or a document without what would steer a terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else " " for character in text
    )


def _describe_arguments(arguments: Mapping[str, Any]) -> str:
    parts = []
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts.append(f"{name}={_shorten(clean_text(text), _ARGUMENT_CHARS)}")
    return "  ".join(parts)


def _shorten(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
