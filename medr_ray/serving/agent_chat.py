"""The agent as a model of OpenAI's protocol: a chat's last question is researched, its steps are
the reasoning and its cited answer is the content.

The earlier messages are the dialogue so far. A client's system message is left out: the agent has
one of its own. What an agent cannot do is refused by the name of the parameter.
"""

import json
from collections.abc import AsyncIterator, Sequence

from medr_ray.agent.answer_text import read_answer_text, render_answer_text
from medr_ray.agent.dialogue import Exchange, ResearchLimits
from medr_ray.agent.events import (
    AnswerEvent,
    AnswerRequestEvent,
    EpisodeEvent,
    ErrorEvent,
    StartEvent,
    ThoughtEvent,
    ToolCallEvent,
    ToolResultEvent,
)
from medr_ray.serving.http.errors import Unavailable
from medr_ray.serving.messages import (
    AUTO,
    NO_TOOL,
    ChatBackend,
    ChatJob,
    ChatTurn,
    Choice,
    Completion,
    Delta,
    Opening,
    Refusal,
    StreamItem,
    close_stream,
)
from medr_ray.serving.research_messages import ResearchBackend, ResearchJob

# OpenAI's default, which a client that says nothing means. An agent is greedy then: who asks once
# wants the likeliest answer.
_DEFAULT_TEMPERATURE = 1.0
_RESULT_CHARS = 300  # of a result, in the reasoning


class AgentChat:
    """ChatBackend that answers ``agent_name`` by research with ``model_name``, and hands every
    other model's jobs on to ``chat``."""

    def __init__(
        self, chat: ChatBackend, research: ResearchBackend, agent_name: str, model_name: str
    ) -> None:
        self._chat = chat
        self._research = research
        self._agent_name = agent_name
        self._model_name = model_name

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        """The whole answer. Raises Unavailable."""
        if job.model != self._agent_name:
            return await self._chat.complete(job)
        thoughts: list[str] = []
        text = ""
        completion: Completion | None = None
        async for item in self.stream(job):
            if isinstance(item, Refusal):
                return item
            if isinstance(item, Delta):
                thoughts.append(item.thought)
                text += item.text
            elif isinstance(item, Completion):
                completion = item
        if completion is None:
            return Refusal(503, "unavailable", "the research ended without an answer")
        choice = Choice(0, text, "stop", "".join(thoughts).strip())
        return Completion((choice,), completion.prompt_tokens, completion.output_tokens)

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        """A Refusal, or an Opening, Deltas and a Completion."""
        if job.model != self._agent_name:
            items = self._chat.stream(job)
        else:
            items = self._stream_research(job)
        try:
            async for item in items:
                yield item
        finally:
            await close_stream(items)

    async def statistics(self) -> dict[str, int]:
        """Counters of the model since the start."""
        return await self._chat.statistics()

    async def _stream_research(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        research = build_research_job(job, self._model_name)
        if isinstance(research, Refusal):
            yield research
            return
        events = self._research.research(research)
        try:
            async for event in events:
                if isinstance(event, Refusal):
                    yield event
                    return
                for item in _read_event(event):
                    yield item
        finally:
            await close_stream(events)


def build_research_job(job: ChatJob, model: str) -> ResearchJob | Refusal:
    """What is to be researched, or why nothing can be."""
    unsupported = _find_unsupported(job)
    if unsupported:
        message = f"{job.model} cannot do that: leave {unsupported} out, or ask the model itself"
        return Refusal(400, "unsupported_parameter", message, unsupported)
    turns = [turn for turn in job.messages if turn.role != "system"]
    if not turns or turns[-1].role != "user" or not turns[-1].content.strip():
        message = f"{job.model} answers a question: the last message must be the user's"
        return Refusal(400, "no_question", message, "messages")
    return ResearchJob(
        turns[-1].content.strip(),
        model,
        earlier=_pair_exchanges(turns[:-1]),
        limits=ResearchLimits(max_turn_tokens=job.max_tokens),
        temperature=0.0 if job.temperature == _DEFAULT_TEMPERATURE else job.temperature,
        seed=job.seed,
    )


def _find_unsupported(job: ChatJob) -> str:
    """The name of the first parameter that an agent does not heed; "" where there is none."""
    is_set = {
        "prompt": job.prompt is not None,
        "tools": bool(job.tools),
        "tool_choice": job.tool_choice not in (AUTO, NO_TOOL),
        "n": job.n != 1,
        "logprobs": job.logprobs,
        "response_format": job.response_format is not None,
        "logit_bias": bool(job.logit_bias),
        "stop": bool(job.stop),
    }
    return next((name for name, value in is_set.items() if value), "")


def _pair_exchanges(turns: Sequence[ChatTurn]) -> tuple[Exchange, ...]:
    """The questions of a dialogue with their answers, without the sources behind them."""
    exchanges: list[Exchange] = []
    for turn in turns:
        if turn.role == "user":
            exchanges.append(Exchange(turn.content.strip(), ""))
        elif turn.role == "assistant" and exchanges:
            exchanges[-1] = Exchange(exchanges[-1].question, read_answer_text(turn.content))
    return tuple(exchanges)


def _read_event(event: EpisodeEvent) -> list[StreamItem]:
    """What a chat's stream has of an event. Raises Unavailable for one that ends without an
    answer."""
    match event:
        case StartEvent():
            return [Opening(0)]
        case ThoughtEvent():
            return [Delta("", thought=f"{event.text}\n")]
        case ToolCallEvent():
            arguments = json.dumps(event.arguments, ensure_ascii=False)
            return [Delta("", thought=f"→ {event.tool or '?'} {arguments}\n")]
        case ToolResultEvent():
            text = event.text if len(event.text) <= _RESULT_CHARS else event.text[:_RESULT_CHARS]
            return [Delta("", thought=f"← {text}{'…' * (text != event.text)}\n")]
        case AnswerRequestEvent():
            return []
        case AnswerEvent():
            usage = event.usage
            end = Completion((Choice(0, "", "stop"),), usage.prompt_tokens, usage.output_tokens)
            return [Delta(render_answer_text(event)), end]
        case ErrorEvent():
            # The stream has begun, so that no refusal can decide its status.
            raise Unavailable(event.message)
