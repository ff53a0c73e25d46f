"""The teachers: policies that show how a question is worked out.

``rules`` is a symbolic agent. Guided, it is given the masked triples of the question's path (relations and types, never
the entities); exploring, it plans from the question's wording alone. Either way it calls the real tools, reads what
they return, takes the next entity from there, and turns to the other tool when one fails or does not say. ``llm`` is
any chat model; guided, it is shown the same masked triples as directions.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from medr_ray.agent.policies import ChatPolicy, Policy, PolicyTurn
from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import GuidanceStep, Message, Question
from medr_ray.core.run import Directory
from medr_ray.rollouts.worker import RolloutTask
from medr_ray.trajectories.reading import Hop, plan_of, read_question, start_of

GUIDED, EXPLORATION = "guided", "exploration"
UNKNOWN = "unknown"
_TRIES = 3  # per hop: the first tool, the other tool, the first tool again


class RulesTeacher:
    """Works one question out, hop by hop. Its thoughts restate ``relation = value`` before the next call."""

    def __init__(self, text: str, guidance: Sequence[GuidanceStep] | None, tools: Sequence[str]) -> None:
        self._tools = list(tools)
        read = None if guidance is not None else read_question(text)
        self._plan: list[Hop] = plan_of(guidance) if guidance is not None else (read[1] if read else [])
        self._entity = start_of(text, self._plan) if guidance is not None else (read[0] if read else None)
        self._visited: list[str] = [self._entity] if self._entity else []
        self._hop, self._tries = 0, 0

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        return PolicyTurn(self._reply(messages))

    def _reply(self, messages: Sequence[Message]) -> str:
        if self._entity is None or not self._plan:
            return render_reply("I cannot tell what is asked.", answer=UNKNOWN)
        learnt = ""
        if self._tries:
            value = self._plan[self._hop].find(self._entity, messages[-1].content, self._visited)
            if value is None:
                return self._search_again()
            learnt = f"{self._plan[self._hop].wanted(self._entity)} = {value}."
            self._entity, self._hop, self._tries = value, self._hop + 1, 0
            self._visited.append(value)
        if self._hop == len(self._plan):
            return render_reply(learnt, answer=self._entity)
        return self._search(learnt)

    def _search(self, learnt: str) -> str:
        wanted = self._plan[self._hop].wanted(self._entity or "")
        thought = f"{learnt} I need the {wanted}." if learnt else f"I need the {wanted}."
        return render_reply(thought, [self._call(wanted)])

    def _search_again(self) -> str:
        wanted = self._plan[self._hop].wanted(self._entity or "")
        if self._tries >= min(_TRIES, len(self._tools) + 1):
            return render_reply(f"No source states the {wanted}.", answer=UNKNOWN)
        return render_reply(f"Not found. I still need the {wanted}.", [self._call(wanted)])

    def _call(self, wanted: str) -> ToolCall:
        tool = self._tools[self._tries % len(self._tools)]
        self._tries += 1
        return ToolCall(tool, {"query": wanted})


@dataclass(frozen=True)
class RulesTeacherFactory:
    """Rare entities are looked up in the medical retriever first; exploration begins with the general search."""

    tools: tuple[str, ...]

    def __call__(self, task: RolloutTask) -> Policy:
        guided = task.mode == GUIDED
        ordered = sorted(self.tools, key=lambda name: (name != "medical_search") == guided)
        return RulesTeacher(task.question.text, task.question.guidance if guided else None, ordered)


class ChatTeacherFactory:
    """A chat model as the teacher; one client, under the governor, for all episodes of a worker. ``run``: where the
    response cache and the budget lie."""

    def __init__(self, config: PipelineConfig, run: Directory) -> None:
        from medr_ray.llm.client import ChatClient

        self._client = ChatClient(config.llm, run)
        self._complete = functools.partial(self._client.complete, max_tokens=config.agent.max_turn_tokens)

    def __call__(self, task: RolloutTask) -> Policy:
        return ChatPolicy(self._complete, guidance_hint(task.question) if task.mode == GUIDED else "")


def guidance_hint(question: Question) -> str:
    """The masked triples (paper section 3.2.1) as directions; no entity of the path appears."""
    template = resources.files("medr_ray.trajectories").joinpath(f"prompts/guidance.{question.language}.txt")
    steps = "\n".join(
        f"([MASK] {step.subject_type}, {step.predicate}{f', {step.clinical}' if step.clinical else ''}, "
        f"[MASK] {step.object_type})" for step in question.guidance)
    return template.read_text(encoding="utf-8").strip().replace("{steps}", steps)
