"""The agent's prompts: read from package data and filled with the tools at hand."""

import json
from dataclasses import dataclass

from medr_ray.agent.state import ANSWER, CANDIDATE, FOUND, NAMES, AgentState
from medr_ray.agent.untrusted_text import defuse
from medr_ray.core.config import AgentConfig
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Language, Message, Task
from medr_ray.tools.base import Tool


def _read_text(name: str, language: Language) -> str:
    return read_prompt("medr_ray.agent", name, language).strip()


@dataclass(frozen=True)
class EpisodePrompt:
    """What an episode begins with. ``prior`` is the probability that the medical retriever is used
    first, null when no tool policy is configured."""

    task: Task
    tools: tuple[Tool, ...]
    agent: AgentConfig
    prior: float | None = None

    def opening_messages(self, native: bool = False) -> list[Message]:
        """The system message with the tools, and the question. ``native``: for an endpoint that is
        given the tools apart from the dialogue."""
        return [Message("system", self._system_text(native)), Message("user", self.task.text)]

    def _system_text(self, native: bool) -> str:
        language = self.task.language
        variant = "native" if native else self.agent.prompt
        template = _read_text(f"system.{variant}", language)
        # replace and not format: the prompt shows JSON with braces of its own.
        system = template.replace("{tools}", self._describe_tools())
        if self.prior is None:
            return system
        line = _read_text("prior", language).replace("{probability}", f"{self.prior:.2f}")
        return f"{system}\n{line}"

    def _describe_tools(self) -> str:
        if self.agent.prompt == "short":
            return ", ".join(tool.name for tool in self.tools)
        lines = []
        for tool in self.tools:
            schema = {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }
            lines.append(json.dumps(schema, ensure_ascii=False))
        return "\n".join(lines)


def answer_request(language: Language, state: AgentState | None = None) -> str:
    """The one request for an answer when a budget is nearly spent. With ``state`` it begins with a
    recap of what was gathered."""
    request = _read_text("wrap_up", language)
    if state is None:
        return request
    return f"{_render_recap(language, state)}\n{request}"


def repeat_note(language: Language) -> str:
    """The note in front of the response to a call that was made before."""
    return _read_text("repeat", language)


def _render_recap(language: Language, state: AgentState) -> str:
    """Documents by query, and the documents that name each candidate."""
    documents_by_query: dict[str, list[str]] = {}
    for edge in state.evidence:
        if edge.kind == FOUND:
            documents_by_query.setdefault(edge.source, []).append(edge.target)
    support: dict[str, list[str]] = {}
    for hypothesis in state.hypotheses:
        if hypothesis.kind in (CANDIDATE, ANSWER):
            support[hypothesis.text] = []
    # A second pass: a candidate without any document is listed as well.
    for edge in state.evidence:
        if edge.kind == NAMES and edge.target in support:
            support[edge.target].append(edge.source)
    return (
        _read_text("recap", language)
        .replace("{found}", _list_documents(documents_by_query))
        .replace("{candidates}", _list_documents(support))
    )


def _list_documents(documents_by_name: dict[str, list[str]]) -> str:
    """One line for each name. Names and ids are text from outside, so they are defused."""
    lines = []
    for name, documents in documents_by_name.items():
        line = f"- {name}: {', '.join(dict.fromkeys(documents)) or '-'}"
        lines.append(defuse(" ".join(line.split())))
    return "\n".join(lines) or "-"
