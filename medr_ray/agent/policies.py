"""Who decides the next turn: a language model behind a chat endpoint, or our own engine token by token.

A policy serves one episode and keeps that episode's state; it is cheap to make.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Message, Turn
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer
from medr_ray.llm.client import ChatResult
from medr_ray.llm.failures import ContextLengthExceeded

EMPTY_TURN = Turn((), (), (), -1)


@dataclass(frozen=True)
class PolicyTurn:
    """One reply: its text, the tokens behind it where they are known, and what it used. ``finished`` is false when
    the reply was cut off by a token limit."""

    text: str
    turn: Turn = EMPTY_TURN
    prompt_tokens: int = 0
    output_tokens: int = 0
    finished: bool = True


class Policy(Protocol):
    """Decides the next assistant message. Raises InfrastructureError when it cannot be reached."""

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The next reply to a dialogue that grew since the last call, or None when no token budget is left."""
        ...


Generate = Callable[[list[int], Sampling], Awaitable[Generation]]


class EnginePolicy:
    """Token in, token out: each prompt extends the tokens the engine saw and sampled before, never re-encoded."""

    def __init__(self, generate: Generate, renderer: ChatRenderer, agent: AgentConfig, temperature: float) -> None:
        self._generate, self._renderer, self._agent, self._temperature = generate, renderer, agent, temperature
        self._ids: list[int] = []
        self._seen = 0

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        self._extend(messages)
        room = min(self._agent.max_turn_tokens, self._agent.max_tokens - len(self._ids))
        if room < 1:
            return None
        prompt = tuple(self._ids)
        out = await self._generate(self._ids, Sampling(max_tokens=room, temperature=self._temperature))
        self._ids = [*prompt, *out.output_ids]
        turn = Turn(prompt, out.output_ids, out.logprobs, out.version)
        return PolicyTurn(out.text, turn, len(prompt), len(out.output_ids), out.finish_reason == "stop")

    def _extend(self, messages: Sequence[Message]) -> None:
        new = [{"role": m.role, "content": m.content} for m in messages[self._seen:] if m.role != "assistant"]
        if not self._seen:
            self._ids = self._renderer.start(new)
        else:
            if self._ids[-1] != self._renderer.end_id:
                self._ids.append(self._renderer.end_id)
            self._ids += self._renderer.bridge(new)
        self._seen = len(messages)


Complete = Callable[[list[dict[str, str]]], Awaitable[ChatResult]]


class ChatPolicy:
    """An OpenAI-compatible chat endpoint behind ``complete``, which raises ContextLengthExceeded when the dialogue no
    longer fits and InfrastructureError when the endpoint stays out of reach. ``hint`` is shown to the model behind the
    question but is no part of the recorded dialogue."""

    def __init__(self, complete: Complete, hint: str = "") -> None:
        self._complete, self._hint = complete, hint

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        sent = [{"role": m.role, "content": m.content} for m in messages]
        if self._hint:
            sent[1] = {"role": "user", "content": f"{sent[1]['content']}\n\n{self._hint}"}
        try:
            done = await self._complete(sent)
        except ContextLengthExceeded:
            return None
        return PolicyTurn(
            done.text, EMPTY_TURN, done.prompt_tokens, done.output_tokens, done.finish_reason != "length")
