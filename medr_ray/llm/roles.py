"""What a role asks of a language model, and how it gets one.

A role is a place where a language model does part of the work: it judges entities, extracts
relations, writes or rewrites text, answers questions, teaches, or scores. Every role takes one of
the two protocols below, so that a test can give it a scripted model, and is built over
``open_chat_client``. Its part in a stage's fingerprint is ``EndpointConfig.identity``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from medr_ray.core.config import EndpointConfig
from medr_ray.core.run import Directory

if TYPE_CHECKING:  # importing openai takes a second, and only a configured model needs it
    from medr_ray.llm.client import ChatClient
    from medr_ray.llm.completions import ChatResult

Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]
ReplyModel = TypeVar("ReplyModel", bound=BaseModel)


class JsonClient(Protocol):
    """A model that replies with JSON of a given form."""

    async def complete_json(self, messages: Messages, model: type[ReplyModel]) -> ReplyModel:
        """The reply as ``model``; raises ModelError when it cannot be read as one."""
        ...


class ChatCompleter(Protocol):
    """A model that replies with text or with calls of the ``tools`` it is offered."""

    async def complete(
        self,
        messages: Messages,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        seed: int | None = None,
        tools: Tools | None = None,
    ) -> "ChatResult":
        """One completion; what is None is as the endpoint's configuration says."""
        ...


def open_chat_client(endpoint: EndpointConfig, run: Directory | None = None) -> "ChatClient":
    """A client of ``endpoint``; it fits both protocols.

    With ``run`` its response cache and its budget lie in that run's directory. Raises ConfigError
    when the endpoint names no model.
    """
    from medr_ray.llm.client import ChatClient

    return ChatClient(endpoint, run)
