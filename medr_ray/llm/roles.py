"""The interfaces through which the pipeline uses language models, and how to open a client for
them.

A role is a place where a language model does part of the work: it judges entities, extracts
relations, writes or rewrites text, answers questions, teaches, or scores. Code for a role accepts
one of the two protocols below, so tests can pass a scripted model; in a run the client comes from
``open_chat_client``. A stage's fingerprint includes ``EndpointConfig.identity`` of the endpoint.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from medr_ray.core.config import EndpointConfig
from medr_ray.core.config.roles import RoleName
from medr_ray.core.run import Directory

if TYPE_CHECKING:  # importing openai takes a second, and only a configured model needs it
    from medr_ray.llm.client import ChatClient
    from medr_ray.llm.completions import ChatResult

Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]
ReplyModel = TypeVar("ReplyModel", bound=BaseModel)


class JsonClient(Protocol):
    """A client whose model replies with JSON of a given form."""

    async def complete_json(self, messages: Messages, reply_type: type[ReplyModel]) -> ReplyModel:
        """The reply, parsed as ``reply_type``. Raises ModelError when it cannot be parsed."""
        ...


class TextClient(Protocol):
    """A client whose model replies with text, or with calls of the ``tools`` it is offered."""

    async def complete(
        self,
        messages: Messages,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        seed: int | None = None,
        tools: Tools | None = None,
        reply_type: type[BaseModel] | None = None,
    ) -> "ChatResult":
        """One completion. Parameters left at None use the endpoint's configuration.

        ``reply_type`` is the form that the endpoint is to hold the reply to, where it can.
        """
        ...


def open_chat_client(
    endpoint: EndpointConfig, run: Directory | None = None, role: RoleName | None = None
) -> "ChatClient":
    """A client of ``endpoint`` that implements both protocols.

    With ``run``, the response cache, the tokens spent and what ``role`` used are kept in that run's
    directory. Without it, nothing is kept. Raises ConfigError when the endpoint names no model.
    """
    from medr_ray.llm.client import ChatClient

    return ChatClient(endpoint, run, role)
