"""The agent's prompts: read from package data, filled with the tools at hand."""

import functools
import json
from collections.abc import Sequence
from importlib import resources

from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Message, Question
from medr_ray.tools.base import Tool


@functools.cache
def _text(name: str) -> str:
    return resources.files("medr_ray.agent").joinpath("prompts", name).read_text(encoding="utf-8").strip()


def opening(question: Question, tools: Sequence[Tool], agent: AgentConfig) -> list[Message]:
    """The system message with the tools, and the question."""
    template = _text(f"system.{agent.prompt}.{question.language}.txt")
    shown = ", ".join(tool.name for tool in tools) if agent.prompt == "short" else _described(tools)
    return [Message("system", template.replace("{tools}", shown)), Message("user", question.text)]


def wrap_up(language: str) -> str:
    """The one request for an answer when the budget is nearly spent."""
    return _text(f"wrap_up.{language}.txt")


def _described(tools: Sequence[Tool]) -> str:
    return "\n".join(
        json.dumps({"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                   ensure_ascii=False)
        for tool in tools)
