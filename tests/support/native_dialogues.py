"""The agent over our own server, once in the text protocol and once with native tool calls: what
the model was given to read, what it answered, and what was recorded."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.instructions import PromptForm
from medr_ray.agent.policies import ChatPolicy
from medr_ray.core.config import AgentConfig, EngineConfig
from medr_ray.core.records import Task, Trajectory
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.transformers import TransformersEngine
from medr_ray.llm.completions import ChatResult, read_completion
from medr_ray.llm.failures import ContextLengthExceeded
from medr_ray.serving.http import build_http
from medr_ray.serving.job_preparation import ToolSettings
from medr_ray.serving.keys import ApiKeyVerifier
from medr_ray.serving.model import ModelServer
from medr_ray.serving.model_cache import ModelCache
from medr_ray.tools.base import Tool

_NAME = "medr-model"


@dataclass
class RecordingEngine:
    """An engine that keeps every prompt and what became of it. ``replies`` are given instead of
    the model's own, one after the other, until they are used up."""

    engine: Any
    requests: list[Any] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)

    def submit(self, prompt: Sequence[int], sampling: Sampling) -> Any:
        request = self.engine.submit(prompt, sampling)
        if self.replies:
            text = self.replies.pop(0)
            ids = self.engine.tokenizer(text, add_special_tokens=False)["input_ids"]
            request.cancelled = True
            ids = (*ids, self.engine.renderer.end_id)
            request.reply = Generation(ids, (0.0,) * len(ids), text, "stop", 0)
        self.requests.append(request)
        return request

    def step(self) -> None:
        self.engine.step()
        for request in self.requests:
            reply = getattr(request, "reply", None)
            if reply is not None:
                request.generation = reply

    def reset(self) -> None:
        self.engine.reset()

    def text_so_far(self, request: Any) -> str:
        return str(self.engine.text_so_far(request))


class AskedServer:
    """Our HTTP application over one model, asked through OpenAI's client."""

    def __init__(self, model: Path, engine: EngineConfig, form: PromptForm) -> None:
        self.recorder = RecordingEngine(TransformersEngine(model, engine))
        cache = ModelCache({_NAME: str(model)}, lambda _: self.recorder, 1)
        server = ModelServer(cache, max_tokens=512, tools=ToolSettings(form=form))
        app = build_http(server, None, ApiKeyVerifier.for_key("k"), [_NAME])  # type: ignore[arg-type]
        self._client = openai.AsyncOpenAI(
            api_key="k",
            base_url="http://127.0.0.1/v1",
            http_client=httpx.AsyncClient(transport=httpx.ASGITransport(app), timeout=600),
            max_retries=0,
        )

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["AskedServer"]:
        async with self._client:
            yield self

    async def run(
        self, task: Task, tools: Sequence[Tool], agent: AgentConfig
    ) -> tuple[Trajectory, list[tuple[tuple[int, ...], tuple[int, ...]]]]:
        """The trajectory, and the tokens that went in and came out at each turn."""

        async def complete(messages: Sequence[Any], **more: Any) -> ChatResult:
            payload = {
                "model": _NAME,
                "messages": messages,
                "temperature": 0,
                "max_tokens": agent.max_turn_tokens,
                **more,
            }
            try:
                completion = await self._client.chat.completions.create(**payload)
            except openai.BadRequestError as error:
                if error.code == "context_length_exceeded":
                    raise ContextLengthExceeded(str(error)) from error
                raise
            return read_completion(completion, payload)

        self.recorder.requests.clear()
        trajectory = await run_episode(task, ChatPolicy(complete), tools, agent, mode="test")
        turns = [
            (request.prompt, request.generation.output_ids) for request in self.recorder.requests
        ]
        return trajectory, turns
