"""The agent's prompts: read from package data, filled with the tools at hand."""

import json
from dataclasses import dataclass

from medr_ray.agent.foreign_text import defuse
from medr_ray.agent.state import ANSWER, CANDIDATE, FOUND, NAMES, AgentState
from medr_ray.core.config import AgentConfig
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Language, Message, Task
from medr_ray.tools.base import Tool


def _read_text(name: str, language: Language) -> str:
    return read_prompt("medr_ray.agent", name, language).strip()


@dataclass(frozen=True)
class Briefing:
    """What an episode begins with. ``prior``: how likely the medical retriever is used first, null
    when no tool policy is configured."""

    task: Task
    tools: tuple[Tool, ...]
    agent: AgentConfig
    prior: float | None = None

    def opening(self, native: bool = False) -> list[Message]:
        """The system message with the tools, and the question. ``native``: for an endpoint that is
        given the tools apart from the dialogue."""
        return [Message("system", self._system(native)), Message("user", self.task.text)]

    def _system(self, native: bool) -> str:
        language = self.task.language
        template = _read_text(f"system.{'native' if native else self.agent.prompt}", language)
        system = template.replace("{tools}", self._shown_tools())
        if self.prior is None:
            return system
        line = _read_text("prior", language).replace("{probability}", f"{self.prior:.2f}")
        return f"{system}\n{line}"

    def _shown_tools(self) -> str:
        if self.agent.prompt == "short":
            return ", ".join(tool.name for tool in self.tools)
        return "\n".join(
            json.dumps(
                {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                ensure_ascii=False,
            )
            for tool in self.tools
        )


def wrap_up(language: Language, state: AgentState | None = None) -> str:
    """The one request for an answer when the budget is nearly spent; with the state, what was
    gathered as well."""
    request = _read_text("wrap_up", language)
    return request if state is None else f"{_recap(language, state)}\n{request}"


def repeat_note(language: Language) -> str:
    """What is said before the response to a call that was made before."""
    return _read_text("repeat", language)


def _recap(language: Language, state: AgentState) -> str:
    found: dict[str, list[str]] = {}
    for edge in state.evidence:
        if edge.kind == FOUND:
            found.setdefault(edge.source, []).append(edge.target)
    candidates = dict.fromkeys(
        one.text for one in state.hypotheses if one.kind in (CANDIDATE, ANSWER)
    )
    support = {
        name: [edge.source for edge in state.evidence if (edge.kind, edge.target) == (NAMES, name)]
        for name in candidates
    }
    return (
        _read_text("recap", language)
        .replace("{found}", _listed(found))
        .replace("{candidates}", _listed(support))
    )


def _listed(items: dict[str, list[str]]) -> str:
    """One line each; ids are others' words, so they are defused as all of theirs."""
    lines = [
        f"- {name}: {', '.join(dict.fromkeys(documents)) or '-'}"
        for name, documents in items.items()
    ]
    return "\n".join(defuse(" ".join(line.split())) for line in lines) or "-"
