"""A model replica whose first name looks a question up and answers with what it found, in the
agent's text protocol; its other names are the tiny models that it serves."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from medr_ray.agent.protocol import ToolCall, parse_responses, render_reply
from medr_ray.serving.messages import ChatJob, Choice, Completion, Refusal, StreamItem

_SCRIPTED = "medr-model"
_ID = re.compile(r"\((NCT:NCT\d{8}|[A-Z-]+:[^,)]+)")


class ScriptedReplica:
    """Plays the agent under the name medr-model. The replica behind it is imported where this one
    runs: the test puts this class in its place where it is bound."""

    def __init__(self, *arguments: Any) -> None:
        from medr_ray.serving.model import ModelReplica

        self._replica = ModelReplica(*arguments)

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        if job.model != _SCRIPTED:
            return await self._replica.complete(job)
        question = job.messages[1].content
        results, _ = parse_responses(job.messages[-1].content)
        if not results:
            tool = "medical_search" if "trial" in question else "search"
            reply = render_reply("I look it up.", [ToolCall(tool, {"query": question})])
        else:
            document = _ID.search(results[0])
            source = document.group(1) if document else "nothing"
            name = results[0].removeprefix("[1] ").partition(" (")[0]
            reply = render_reply(f"Found in ({source}).", answer=name)
        return Completion((Choice(0, reply, "stop"),), 10, 5)

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        async for item in self._replica.stream(job):
            yield item

    async def statistics(self) -> dict[str, int]:
        return await self._replica.statistics()

    async def reconfigure(self, user_config: Mapping[str, str | None]) -> None:
        await self._replica.reconfigure(user_config)
