"""A replica that researches: episodes of the served model with the run's tools, and the diagnosis.

The model is asked through its deployment's handle, the tools run in this process, so that their
limits hold over all questions together. Index and tools are opened by the first request that needs
them. At most ``serving.max_researches`` questions are in progress; one more is refused at once. A
reader that leaves ends its episode.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from medr_ray.agent.cited_answer import read_notice
from medr_ray.agent.events import EpisodeEvent
from medr_ray.agent.policies import ChatPolicy
from medr_ray.agent.research import Researcher, find_editions, open_research_tools
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import InfrastructureError, MedrError, ToolError
from medr_ray.core.run import RunDirectory
from medr_ray.llm.completions import ChatResult
from medr_ray.llm.failures import ContextLengthExceeded
from medr_ray.serving.messages import ChatJob, ChatTurn, Completion, Refusal
from medr_ray.serving.replica_address import listen_where_ray_does
from medr_ray.serving.research_messages import ResearchJob
from medr_ray.tools.diagnose.tool import DiagnoseTool, build_diagnose_tool
from medr_ray.tools.registry import Toolbox

# Between two tries to get a place in the model's queue. The episode's own limits end the wait.
_QUEUE_RETRY_SECONDS = 0.25


class ResearchReplica:
    """The Serve deployment."""

    def __init__(self, model: DeploymentHandle, config: PipelineConfig, run: RunDirectory) -> None:
        listen_where_ray_does()
        self._model = model
        self._config = config
        self._run = run
        self._editions = find_editions(run)
        self._running = 0
        self._opening = asyncio.Lock()
        self._toolbox: Toolbox | None = None
        self._diagnose_tool: DiagnoseTool | None = None

    async def research(self, job: ResearchJob) -> AsyncIterator[Refusal | EpisodeEvent]:
        """A Refusal, or the events of the episode."""
        limit = self._config.serving.max_researches
        if self._running >= limit:
            message = f"{limit} questions are being researched already: try again shortly"
            yield Refusal(429, "overloaded", message)
            return
        with self._count_running():
            try:
                toolbox = await self._open_toolbox()
            except MedrError as error:
                yield Refusal(503, "unavailable", str(error))
                return
            researcher = self._build_researcher(toolbox, job)
            events = researcher.stream(
                job.question,
                language=job.language,
                earlier=job.earlier,
                limits=job.limits,
            )
            async with contextlib.aclosing(events):
                async for event in events:
                    yield event

    async def diagnose(self, arguments: Mapping[str, Any]) -> dict[str, Any] | Refusal:
        """The likeliest diseases (see ``tools.diagnose.description``)."""
        try:
            tool = await self._open_diagnose_tool()
            return {**await tool.describe(arguments), "notice": read_notice("en")}
        except ToolError as error:
            return Refusal(422, "not_understood", str(error))
        except MedrError as error:
            return Refusal(503, "unavailable", str(error))

    @contextlib.contextmanager
    def _count_running(self) -> Iterator[None]:
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def _open_toolbox(self) -> Toolbox:
        async with self._opening:
            if self._toolbox is None:
                # In a thread: opening an index takes seconds.
                self._toolbox = await asyncio.to_thread(
                    open_research_tools, self._config, self._run
                )
            return self._toolbox

    async def _open_diagnose_tool(self) -> DiagnoseTool:
        toolbox = await self._open_toolbox()
        async with self._opening:
            if self._diagnose_tool is None:
                if toolbox.searcher is None:
                    raise MedrError("recorded calls are replayed, which have no diagnosis of yours")
                # Also where the agent has no such tool.
                self._diagnose_tool = await asyncio.to_thread(
                    build_diagnose_tool, self._config, toolbox.searcher
                )
            return self._diagnose_tool

    def _build_researcher(self, toolbox: Toolbox, job: ResearchJob) -> Researcher:
        # As the served models are trained: the dialogue has the calls in its text.
        agent = self._config.agent.model_copy(update={"tool_calls": "text"})
        model = _ServedModel(self._model, job, agent.max_turn_tokens)
        return Researcher(
            agent, toolbox, lambda: ChatPolicy(model.complete), job.model, self._editions
        )


class _ServedModel:
    """The model of a job, asked through its deployment's handle."""

    def __init__(self, handle: DeploymentHandle, job: ResearchJob, max_tokens: int) -> None:
        self._handle = handle
        self._job = job
        self._max_tokens = max_tokens

    async def complete(self, messages: Sequence[Mapping[str, Any]]) -> ChatResult:
        """The model's reply. Raises ContextLengthExceeded, and InfrastructureError for any other
        refusal."""
        job = ChatJob(
            model=self._job.model,
            messages=tuple(ChatTurn(turn["role"], turn["content"]) for turn in messages),
            max_tokens=self._max_tokens,
            temperature=self._job.temperature,
            seed=self._job.seed,
        )
        reply = await self._ask_until_there_is_room(job)
        if isinstance(reply, Refusal):
            if reply.code == "context_length_exceeded":
                raise ContextLengthExceeded(reply.message)
            raise InfrastructureError(f"the model refused: {reply.message}")
        choice = reply.choices[0]
        return ChatResult(
            choice.text,
            reply.prompt_tokens,
            reply.output_tokens,
            choice.finish_reason,
            reasoning=choice.thought,
        )

    async def _ask_until_there_is_room(self, job: ChatJob) -> Completion | Refusal:
        while True:
            try:
                reply: Completion | Refusal = await self._handle.complete.remote(job)
            except BackPressureError:
                await asyncio.sleep(_QUEUE_RETRY_SECONDS)
            except (RayActorError, DeploymentUnavailableError) as error:
                # The replica's messages hold paths and addresses.
                message = "the model's process ended; another one is started"
                raise InfrastructureError(message) from error
            else:
                return reply
