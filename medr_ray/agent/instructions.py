"""The agent's prompts: read from package data and filled with the tools at hand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from medr_ray.agent.episode_budget import estimate_tokens
from medr_ray.agent.state import ANSWER, CANDIDATE, FOUND, NAMES, AgentState
from medr_ray.agent.untrusted_text import defuse
from medr_ray.core.config import AgentConfig
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import HypothesisStatus, Language, Message, Task
from medr_ray.tools.base import Tool

PromptForm = Literal["short", "full"]
# Keys of a JSON schema that only limit a value.
_LIMITS = frozenset(
    {
        "additionalProperties",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
    }
)
_STATUS_WORDS: Mapping[Language, Mapping[HypothesisStatus, str]] = {
    "en": {"open": "open", "supported": "supported", "rejected": "rejected"},
    "zh": {"open": "待核实", "supported": "有证据支持", "rejected": "已放弃"},
}


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
        if native:
            system = word_native_system(language)
        else:
            system = word_text_system(language, self.agent.prompt, self.tools)
        if self.prior is None:
            return system
        line = _read_text("prior", language).replace("{probability}", f"{self.prior:.2f}")
        return f"{system}\n{line}"


class DescribedTool(Protocol):
    """What a prompt says about a tool."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Any]: ...


def word_native_system(language: Language) -> str:
    """The system message for an endpoint that is given the tools apart from the dialogue."""
    return _read_text("system.native", language)


def word_text_system(language: Language, form: PromptForm, tools: Sequence[DescribedTool]) -> str:
    """The system message of the text protocol, with the tools in it."""
    template = _read_text(f"system.{form}", language)
    # replace and not format: the prompt shows JSON with braces of its own.
    return template.replace("{tools}", _describe_tools(form, tools))


def _describe_tools(form: PromptForm, tools: Sequence[DescribedTool]) -> str:
    if form == "short":
        return ", ".join(tool.name for tool in tools)
    lines = []
    for tool in tools:
        schema = {
            "name": tool.name,
            "description": tool.description,
            "parameters": _shorten_schema(tool.parameters),
        }
        lines.append(json.dumps(schema, ensure_ascii=False))
    return "\n".join(lines)


def _shorten_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without the limits that a model rarely comes near: a call beyond them is answered
    with what is wrong with it."""
    shortened = {key: value for key, value in schema.items() if key not in _LIMITS}
    if isinstance(schema.get("items"), Mapping):
        shortened["items"] = _shorten_schema(schema["items"])
    # Names of arguments, and no key of the schema among them.
    if isinstance(schema.get("properties"), Mapping):
        shortened["properties"] = {
            name: _shorten_schema(argument) if isinstance(argument, Mapping) else argument
            for name, argument in schema["properties"].items()
        }
    return shortened


def answer_request(language: Language, state: AgentState | None = None, room: int = 0) -> str:
    """The one request for an answer when a budget is nearly spent. With ``state`` it begins with a
    recap of what was gathered, of at most ``room`` estimated tokens."""
    request = _read_text("wrap_up", language)
    if state is None:
        return request
    return "\n".join(filter(None, (_render_recap(language, state, room), request)))


def repeat_note(language: Language) -> str:
    """The note in front of the response to a call that was made before."""
    return _read_text("repeat", language)


def _render_recap(language: Language, state: AgentState, room: int) -> str:
    """Documents by query, and the documents that name each candidate, with its status.

    Where there is no room for all, the oldest queries are left out first, then the oldest
    candidates. "" where not even the newest candidate has room.
    """
    queries = _list_documents(_collect_by_query(state))
    candidates = _list_documents(_collect_support(language, state))
    if not queries and not candidates:
        return ""
    template = _read_text("recap", language)
    while True:
        recap = template.replace("{found}", "\n".join(queries) or "-")
        recap = recap.replace("{candidates}", "\n".join(candidates) or "-")
        if estimate_tokens(recap) <= room:
            return recap
        if not queries and len(candidates) < 2:
            return ""
        del (queries or candidates)[0]


def _collect_by_query(state: AgentState) -> dict[str, list[str]]:
    documents: dict[str, list[str]] = {}
    for edge in state.evidence:
        if edge.kind == FOUND:
            documents.setdefault(edge.source, []).append(edge.target)
    return documents


def _collect_support(language: Language, state: AgentState) -> dict[str, list[str]]:
    """The documents that name each candidate, by its name and status."""
    documents: dict[str, list[str]] = {}
    for hypothesis in state.hypotheses:
        if hypothesis.kind in (CANDIDATE, ANSWER):
            documents[hypothesis.text] = []
    # A second pass: a candidate without any document is listed as well.
    for edge in state.evidence:
        if edge.kind == NAMES and edge.target in documents:
            documents[edge.target].append(edge.source)
    words = _STATUS_WORDS[language]
    status = {hypothesis.text: words[hypothesis.status] for hypothesis in state.hypotheses}
    return {f"{name} [{status[name]}]": listed for name, listed in documents.items()}


def _list_documents(documents_by_name: dict[str, list[str]]) -> list[str]:
    """A line for each name. Names and ids are text from outside, so they are defused."""
    lines = []
    for name, documents in documents_by_name.items():
        line = f"- {name}: {', '.join(dict.fromkeys(documents)) or '-'}"
        lines.append(defuse(" ".join(line.split())))
    return lines
