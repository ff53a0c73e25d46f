"""Who decides the next turn: a language model behind a chat endpoint, or our own engine token by
token.

A policy serves one episode and keeps that episode's state; it is cheap to make.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medr_ray.agent.instructions import Briefing
from medr_ray.agent.native import NativeDialogue
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Message, Turn
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer
from medr_ray.llm.completions import ChatResult
from medr_ray.llm.failures import ContextLengthExceeded

EMPTY_TURN = Turn((), (), (), -1)
_SHORTEST_TOKEN = (
    3  # characters; a control token that could be a word or a sign is left in fetched text
)


@dataclass(frozen=True)
class PolicyTurn:
    """One reply: its text, the tokens behind it where they are known, and what it used.
    ``finished`` is false when the reply was cut off by a token limit; ``usd`` is what it cost, null
    when unknown."""

    text: str
    turn: Turn = EMPTY_TURN
    prompt_tokens: int = 0
    output_tokens: int = 0
    finished: bool = True
    usd: float | None = None


class Policy(Protocol):
    """Decides the next assistant message. Raises InfrastructureError when it cannot be reached.

    A policy may also offer ``async prepare(briefing: Briefing) -> None``, awaited once before the
    first message, and ``control_tokens``, texts that tool responses must not hold as they are.
    """

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The next reply to a dialogue that grew since the last call, or None when no token budget
        is left; it may then be asked again, with the last message shortened."""
        ...


Generate = Callable[[list[int], Sampling], Awaitable[Generation]]


class EnginePolicy:
    """Token in, token out: each prompt extends the tokens the engine saw and sampled before, never
    re-encoded."""

    def __init__(
        self, generate: Generate, renderer: ChatRenderer, agent: AgentConfig, temperature: float
    ) -> None:
        self._generate, self._renderer, self._agent, self._temperature = (
            generate,
            renderer,
            agent,
            temperature,
        )
        self._ids: list[int] = []
        self._seen = 0
        special = getattr(renderer.tokenizer, "all_special_tokens", ())
        self.control_tokens = tuple(one for one in special if len(one) >= _SHORTEST_TOKEN)

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        prompt = self._prompt(messages)
        room = min(self._agent.max_turn_tokens, self._agent.max_tokens - len(prompt))
        if room < 1:
            return None
        out = await self._generate(prompt, Sampling(max_tokens=room, temperature=self._temperature))
        self._ids, self._seen = [*prompt, *out.output_ids], len(messages)
        turn = Turn(tuple(prompt), out.output_ids, out.logprobs, out.version)
        return PolicyTurn(
            out.text, turn, len(prompt), len(out.output_ids), out.finish_reason == "stop"
        )

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens so far and those of the new messages; nothing is kept until it was replied
        to."""
        new = [
            {"role": m.role, "content": m.content}
            for m in messages[self._seen :]
            if m.role != "assistant"
        ]
        if not self._seen:
            return self._renderer.encode_prompt(new)
        end = [] if self._ids[-1] == self._renderer.end_id else [self._renderer.end_id]
        return [*self._ids, *end, *self._renderer.encode_bridge(new)]


Complete = Callable[..., Awaitable[ChatResult]]


class ChatPolicy:
    """An OpenAI-compatible chat endpoint behind ``complete(messages)``, which raises
    ContextLengthExceeded when the dialogue no longer fits and InfrastructureError when the endpoint
    stays out of reach. Under ``agent.tool_calls: native`` it is called as ``complete(messages,
    tools=...)``. ``hint`` is shown to the model behind the question but is no part of the recorded
    dialogue."""

    def __init__(self, complete: Complete, hint: str = "") -> None:
        self._complete, self._hint = complete, hint
        self._native: NativeDialogue | None = None

    async def prepare(self, briefing: Briefing) -> None:
        """Take the tools along where the endpoint is to be given them apart from the dialogue."""
        if briefing.agent.tool_calls == "native":
            self._native = NativeDialogue(briefing)

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        sent = (
            self._native.sent(messages)
            if self._native
            else [{"role": m.role, "content": m.content} for m in messages]
        )
        if self._hint:
            sent[1] = {"role": "user", "content": f"{sent[1]['content']}\n\n{self._hint}"}
        tools: dict[str, Any] = {"tools": self._native.schemas} if self._native else {}
        try:
            done = await self._complete(sent, **tools)
        except ContextLengthExceeded:
            return None
        text = self._native.received(done) if self._native else done.text
        return PolicyTurn(
            text,
            EMPTY_TURN,
            done.prompt_tokens,
            done.output_tokens,
            done.finish_reason != "length",
            done.usd,
        )
