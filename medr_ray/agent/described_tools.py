"""Tools that a client or a data set describes in OpenAI's form, worded in the text protocol."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.agent.instructions import PromptForm, word_native_system, word_text_system
from medr_ray.core.records import Language

_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class ToolDescription:
    """A function that is offered to a model."""

    name: str
    description: str
    parameters: Mapping[str, Any]


def read_tools(tools: Sequence[Mapping[str, Any]]) -> list[ToolDescription]:
    """The functions of ``tools``."""
    functions = [tool["function"] for tool in tools]
    return [
        ToolDescription(
            function["name"], function.get("description", ""), function.get("parameters", {})
        )
        for function in functions
    ]


def word_system_message(
    given: str, question: str, tools: Sequence[ToolDescription], form: PromptForm
) -> str:
    """The protocol's system message with the tools in it, and what a ``given`` one says besides.
    The agent's own instructions for native calls are replaced; ``question`` shows the language."""
    for language in _LANGUAGES:
        native = word_native_system(language)
        if given.startswith(native):
            # The agent's own: what it adds, such as the prior of a tool policy, stays.
            return word_text_system(language, form, tools) + given[len(native) :]
    language = "zh" if _HAN.search(question) else "en"
    protocol = word_text_system(language, form, tools)
    return f"{protocol}\n\n{given}" if given else protocol
