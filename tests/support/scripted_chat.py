"""A chat and embedding backend without a model: what it answers follows from the job alone."""

import hashlib
from collections.abc import AsyncIterator, Sequence

import numpy as np

from medr_ray.core.errors import InfrastructureError
from medr_ray.llm.completions import FunctionCall
from medr_ray.serving.embeddings import Embeddings, InputType
from medr_ray.serving.http.errors import Overloaded
from medr_ray.serving.messages import (
    NO_TOOL,
    CallDelta,
    ChatJob,
    Choice,
    Completion,
    Delta,
    Opening,
    Refusal,
    StreamItem,
    TokenLogprob,
)

DIMENSIONS = 8
ARGUMENTS = '{"query": "Marfan"}'
THOUGHT = "I look it up."


class ScriptedChat:
    """Echoes the last message, or the prompt, once for each choice.

    With tools it calls the chosen one, or all where none is chosen. With a response format it
    answers ``json_text``. The models "gone", "busy", "away", "broken" and "cut" fail, each in the
    way of its name; the prompt "too long" is refused. ``jobs`` are those it was given,
    ``open_streams`` how many are not yet closed.
    """

    def __init__(self, json_text: str = '{"name": "Marfan", "year": 1896}') -> None:
        self.json_text = json_text
        self.jobs: list[ChatJob] = []
        self.open_streams = 0
        # Kept, so that none is closed by being forgotten.
        self._streams: list[AsyncIterator[StreamItem]] = []

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        self.jobs.append(job)
        if job.model == "gone":
            return Refusal(404, "model_not_found", "no model 'gone'", "model")
        if job.prompt == "too long":
            return Refusal(400, "context_length_exceeded", "the prompt is too long", "prompt")
        if job.model == "busy":
            raise Overloaded("full")
        if job.model == "away":
            raise InfrastructureError("the replica died at /secret/place")
        if job.model == "broken":
            raise RuntimeError("secret detail")
        choices = tuple(self._answer(job, index) for index in range(job.n))
        tokens = sum(max(1, len(choice.text.split())) for choice in choices)
        return Completion(choices, 7, tokens)

    def _answer(self, job: ChatJob, index: int) -> Choice:
        names = [tool["function"]["name"] for tool in job.tools]
        if names and job.tool_choice != NO_TOOL:
            chosen = [job.tool_choice] if job.tool_choice in names else names
            if not job.parallel_tool_calls:
                chosen = chosen[:1]
            calls = tuple(
                FunctionCall(f"call-{index}-{i}", name, ARGUMENTS) for i, name in enumerate(chosen)
            )
            return Choice(index, "", "tool_calls", THOUGHT, calls)
        text = self._write_text(job)
        if job.n > 1:
            text = f"{text} {index}"
        logprobs = make_logprobs(text, job.top_logprobs, job.echo) if job.logprobs else None
        return Choice(index, text, "stop", logprobs=logprobs)

    def _write_text(self, job: ChatJob) -> str:
        if job.response_format is not None:
            return self.json_text
        if job.prompt is None:
            return f"echo {job.messages[-1].content}"
        prompt = job.prompt if isinstance(job.prompt, str) else " ".join(map(str, job.prompt))
        continued = " and so on" if job.max_tokens else ""
        return f"{prompt}{continued}" if job.echo else continued

    def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        self._streams.append(self._generate_items(job))
        return self._streams[-1]

    async def _generate_items(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        reply = await self.complete(job)
        if isinstance(reply, Refusal):
            yield reply
            return
        self.open_streams += 1
        try:
            yield Opening(reply.prompt_tokens)
            for choice in reply.choices:
                for delta in _cut_into_deltas(choice):
                    yield delta
                    if job.model == "cut":
                        raise RuntimeError("secret detail")
            ends = tuple(Choice(choice.index, "", choice.finish_reason) for choice in reply.choices)
            yield Completion(ends, reply.prompt_tokens, reply.output_tokens)
        finally:
            self.open_streams -= 1

    async def statistics(self) -> dict[str, int]:
        return {"requests": len(self.jobs)}

    async def embed(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        rows = [_hash_vector(f"{input_type}: {text}") for text in texts]
        return Embeddings(np.array(rows, np.float32), sum(len(text.split()) for text in texts))


def _hash_vector(text: str) -> np.ndarray:
    numbers = np.frombuffer(hashlib.sha256(text.encode()).digest()[:DIMENSIONS], np.uint8) + 1.0
    return numbers / np.linalg.norm(numbers)


def _cut_into_deltas(choice: Choice) -> list[Delta]:
    if choice.tool_calls:
        deltas = [Delta("", choice.index, choice.thought)]
        for position, call in enumerate(choice.tool_calls):
            head = CallDelta(position, "", call.id, call.name)
            halves = [
                CallDelta(position, call.arguments[:8]),
                CallDelta(position, call.arguments[8:]),
            ]
            deltas += [Delta("", choice.index, tool_calls=(piece,)) for piece in (head, *halves)]
        return deltas
    if choice.logprobs is not None:
        return [Delta(token.text, choice.index, logprobs=(token,)) for token in choice.logprobs]
    middle = len(choice.text) // 2
    return [Delta(text, choice.index) for text in (choice.text[:middle], choice.text[middle:])]


def make_logprobs(text: str, alternatives: int, is_echo: bool) -> tuple[TokenLogprob, ...]:
    """One token a word, the i-th with log-probability -i/10; the last alternative is impossible."""
    words = [word if i == 0 else f" {word}" for i, word in enumerate(text.split(" "))]
    return tuple(
        TokenLogprob(
            word,
            word.encode(),
            i,
            None if is_echo and i == 0 else -i / 10,
            () if is_echo and i == 0 else _make_alternatives(word, i, alternatives),
        )
        for i, word in enumerate(words)
    )


def _make_alternatives(word: str, i: int, count: int) -> tuple[TokenLogprob, ...]:
    others = [TokenLogprob(f"other{k}", b"other", k, float("-inf")) for k in range(1, count)]
    first = [TokenLogprob(word, word.encode(), i, -i / 10)] if count else []
    return (*first, *others)
