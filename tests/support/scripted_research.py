"""A research backend with a scripted agent."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from support.agent_run import Echo, Script, call

from medr_ray.agent.events import EpisodeEvent
from medr_ray.agent.protocol import render_reply
from medr_ray.agent.research import Researcher
from medr_ray.core.config import AgentConfig
from medr_ray.serving.messages import Refusal
from medr_ray.serving.research_messages import ResearchJob
from medr_ray.tools.registry import Toolbox

ANSWER = render_reply("It is found a (PMID:a). See PMID:77.", answer="found a")


class ScriptedResearch:
    """ResearchBackend whose agent says its lines; "busy" is refused, "break" breaks, and "wait"
    never ends. ``jobs`` are those it was given, ``ended`` those whose episode is over."""

    def __init__(self) -> None:
        self.jobs: list[ResearchJob] = []
        self.ended = 0

    async def research(self, job: ResearchJob) -> AsyncIterator[Refusal | EpisodeEvent]:
        self.jobs.append(job)
        if job.question == "busy":
            yield Refusal(429, "overloaded", "16 questions are being researched already")
            return
        lines = [call("break" if job.question == "break" else "a"), ANSWER]
        if job.question == "wait":
            lines = [call("hang")]
        researcher = Researcher(
            AgentConfig(), Toolbox([Echo()]), lambda: Script(*lines), job.model, {}
        )
        events = researcher.stream(
            job.question, language=job.language, earlier=job.earlier, limits=job.limits
        )
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()
            self.ended += 1

    async def diagnose(self, arguments: Mapping[str, Any]) -> dict[str, Any] | Refusal:
        if arguments["findings"] == ["nonsense"]:
            return Refusal(422, "not_understood", "diagnose: none of these is known: 'nonsense'")
        return {"diseases": [], "arguments": dict(arguments)}
