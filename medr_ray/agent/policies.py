"""Policies, which decide the next turn of an agent.

The turn comes from a language model behind a chat endpoint, or token by token from our own engine.
A policy serves one episode and keeps the state of that episode. It is cheap to create.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medr_ray.agent.instructions import EpisodePrompt
from medr_ray.agent.native import NativeDialogue
from medr_ray.agent.protocol import canonical_reply
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Message, Turn
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer
from medr_ray.llm.completions import ChatResult
from medr_ray.llm.failures import ContextLengthExceeded

EMPTY_TURN = Turn((), (), (), -1)
# Characters. A shorter control token could be a word or a sign, and stays in fetched text.
_SHORTEST_CONTROL_TOKEN = 3


@dataclass(frozen=True)
class PolicyTurn:
    """One reply: its text, the tokens behind it where they are known, and what it used.

    ``finished`` is false when the reply was cut off by a token limit. ``usd`` is what it cost, null
    when unknown.
    """

    text: str
    turn: Turn = EMPTY_TURN
    prompt_tokens: int = 0
    output_tokens: int = 0
    finished: bool = True
    usd: float | None = None


class Policy(Protocol):
    """Decides the next assistant message. Raises InfrastructureError when it cannot be reached.

    A policy may also offer ``async prepare(prompt: EpisodePrompt) -> None``, awaited once before
    the first message, and ``control_tokens``, texts that tool responses must not hold as they are.
    """

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The next reply to a dialogue that grew since the last call, or None when no token budget
        is left; it may then be called again, with the last message shortened."""
        ...


Generate = Callable[[list[int], Sampling], Awaitable[Generation]]


def derive_seed(*parts: object) -> int:
    """A seed that follows from ``parts`` alone, in every process: at most 63 bits, which every
    engine takes."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


class EnginePolicy:
    """Token in, token out: each prompt extends the tokens the engine saw and sampled before.

    Sampled tokens are never encoded again: their text may have another tokenisation, and training
    needs the log-probabilities of the tokens that were sampled. Each turn draws with a seed of its
    own that comes from ``seed``; without it, every episode is another.
    """

    def __init__(
        self,
        generate: Generate,
        renderer: ChatRenderer,
        agent: AgentConfig,
        temperature: float,
        seed: str | None = None,
    ) -> None:
        self._generate = generate
        self._renderer = renderer
        self._agent = agent
        self._temperature = temperature
        self._seed = seed
        self._turns = 0  # sampled so far
        self._ids: list[int] = []  # the dialogue up to the last reply
        self._messages_encoded = 0
        special = getattr(renderer.tokenizer, "all_special_tokens", ())
        self.control_tokens = tuple(
            token for token in special if len(token) >= _SHORTEST_CONTROL_TOKEN
        )

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The engine's next reply; None when the prompt leaves no room for a token."""
        prompt = self._encode_prompt(messages)
        # max_tokens bounds prompt and reply together.
        available_tokens = min(self._agent.max_turn_tokens, self._agent.max_tokens - len(prompt))
        if available_tokens < 1:
            return None
        seed = None if self._seed is None else derive_seed(self._seed, self._turns)
        sampling = Sampling(available_tokens, self._temperature, seed=seed)
        generation = await self._generate(prompt, sampling)
        self._turns += 1
        output_ids = generation.output_ids
        self._ids = [*prompt, *output_ids]
        self._messages_encoded = len(messages)
        turn = Turn(tuple(prompt), output_ids, generation.logprobs, generation.version)
        is_finished = generation.finish_reason == "stop"
        text = self._renderer.complete_reply(generation.text)
        return PolicyTurn(text, turn, len(prompt), len(output_ids), is_finished)

    def _encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens so far and those of the new messages. Nothing is kept until there is a reply,
        because the last message may come again in a shorter form."""
        new = [
            {"role": message.role, "content": message.content}
            for message in messages[self._messages_encoded :]
            # Replies are in self._ids already, as they were sampled.
            if message.role != "assistant"
        ]
        if not self._messages_encoded:
            return self._renderer.encode_prompt(new)
        # A reply that was cut off lacks the token that ends a message.
        is_ended = self._ids[-1] in self._renderer.stop_ids
        end = [] if is_ended else [self._renderer.end_id]
        return [*self._ids, *end, *self._renderer.encode_bridge(new)]


Complete = Callable[..., Awaitable[ChatResult]]


class ChatPolicy:
    """An OpenAI-compatible chat endpoint.

    It is called as ``complete(messages)``, under ``agent.tool_calls: native`` as
    ``complete(messages, tools=...)``. That raises ContextLengthExceeded when the dialogue no longer
    fits and InfrastructureError when the endpoint stays out of reach. ``hint`` is shown to the
    model behind the question and is not part of the recorded dialogue.
    """

    def __init__(self, complete: Complete, hint: str = "") -> None:
        self._complete = complete
        self._hint = hint
        self._native: NativeDialogue | None = None

    async def prepare(self, prompt: EpisodePrompt) -> None:
        """Keep the tools, where the endpoint gets them apart from the dialogue."""
        if prompt.agent.tool_calls == "native":
            self._native = NativeDialogue(prompt)

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The endpoint's next reply; None when the dialogue no longer fits its context."""
        payload = self._render_messages(messages)
        if self._hint:
            question = payload[1]["content"]
            payload[1] = {"role": "user", "content": f"{question}\n\n{self._hint}"}
        tools: dict[str, Any] = {"tools": self._native.schemas} if self._native else {}
        try:
            result = await self._complete(payload, **tools)
        except ContextLengthExceeded:
            return None
        if self._native:
            text = self._native.record_reply(result)
        else:
            text = canonical_reply(result.text, result.reasoning)
        return PolicyTurn(
            text,
            EMPTY_TURN,
            result.prompt_tokens,
            result.output_tokens,
            result.finish_reason != "length",
            result.usd,
        )

    def _render_messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        if self._native:
            return self._native.render_messages(messages)
        return [{"role": message.role, "content": message.content} for message in messages]
