"""The teachers: policies that show how a question is worked out.

``rules`` is a symbolic agent. Guided, it is given the masked triples of the question's path
(relations and types, never the entities); exploring, it plans from the question's wording alone.
Either way it calls the real tools, reads what they return, takes the next entity from there, checks
candidates one after another where several fit, and turns to the other tool when one fails or does
not say. ``llm`` is any chat model; guided, it is shown the same masked triples as directions.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from medr_ray.agent.policies import ChatPolicy, Policy, PolicyTurn
from medr_ray.agent.protocol import ToolCall, parse_responses, render_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import GuidanceStep, Language, Message
from medr_ray.core.run import Directory
from medr_ray.llm.roles import open_chat_client
from medr_ray.retrieval.documents import HPO, PUBMED
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.trajectories.filtering import UNKNOWN
from medr_ray.trajectories.solver.notes import Notes, ReadArticle
from medr_ray.trajectories.solver.queries import Route
from medr_ray.trajectories.solver.question_reader import read_question
from medr_ray.trajectories.solver.solver import Call, Log, Move, Solver, Step
from medr_ray.trajectories.solver.thoughts import Speaker

GUIDED: Final = "guided"
EXPLORATION: Final = "exploration"
MEDICAL = "medical_search"
_SEARCHES = ("search", MEDICAL)


class RulesTeacher:
    """Works one question out. Its thoughts restate ``what was asked = value`` before the next call.

    ``tools`` are the search tools in the order it tries them; after ``most_calls`` it answers that
    it does not know. ``read_article`` is how it reads what is no disease record.
    """

    def __init__(
        self,
        text: str,
        guidance: Sequence[GuidanceStep] | None,
        tools: Sequence[str],
        language: Language = "en",
        most_calls: int | None = None,
        read_article: ReadArticle | None = None,
    ) -> None:
        self._plan = read_question(text, language, guidance)
        self._notes, self._log = Notes(read_article), Log(routes(tools))
        self._searched: tuple[int, int] | None = None  # the years the last search was kept to
        self._speaker, self._most_calls = Speaker(language), most_calls
        self._said: tuple[Step, ...] = ()
        self._sent: Move | None = None
        self._calls = 0

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        return PolicyTurn(self._reply(messages))

    def _reply(self, messages: Sequence[Message]) -> str:
        if self._plan is None:
            return render_reply(self._speaker.unread(), answer=UNKNOWN)
        if self._sent is not None and self._sent.query is not None:
            results, _ = parse_responses(messages[-1].content)
            self._log.note(self._sent.query, all(result.startswith("error:") for result in results))
            for tool_result in results:
                self._notes.read(tool_result, self._searched)
        return self._act(Solver(self._plan, self._notes, self._log).move())

    def _act(self, move: Move) -> str:
        learnt = [self._speaker.learnt(step) for step in move.chain if step not in self._said]
        self._said = tuple(dict.fromkeys((*self._said, *move.chain)))
        if move.answer is not None:
            return render_reply(" ".join(learnt), answer=move.answer)
        spent = self._most_calls is not None and self._calls >= self._most_calls
        if move.query is None or spent:
            return render_reply(
                " ".join((*learnt, self._speaker.given_up(move.unknown, spent))), answer=UNKNOWN
            )
        again = self._sent is not None and not learnt and self._sent.unknown == move.unknown
        thought = " ".join((*learnt, self._speaker.next(move.unknown, move.query, again)))
        self._sent, self._calls = move, self._calls + 1
        call = self._log.call(move.query)
        self._searched = call.years
        return render_reply(thought, [ToolCall(call.tool, {"query": call.text, **_narrowed(call)})])


def _narrowed(call: Call) -> dict[str, str | int]:
    """The arguments beside the query."""
    source = {"source": call.source} if call.source else {}
    return source | ({"since": call.years[0], "until": call.years[1]} if call.years else {})


def routes(tools: Sequence[str]) -> dict[Route, list[tuple[str, str]]]:
    """By which tools, as (name, source), each kind of query goes: the first, then the next when one
    fails."""
    plain = [(name, "") for name in tools]
    records, articles = (
        [(MEDICAL, source)] if MEDICAL in tools else [] for source in (HPO, PUBMED)
    )
    return {
        "first": plain,
        "second": plain[1:] + plain[:1],
        "records": records + plain,
        "articles": articles or plain,
    }


@dataclass(frozen=True)
class RulesTeacherFactory:
    """Rare entities are looked up in the medical retriever first; exploration begins with the
    general search. ``tools`` are the agent's, of which it uses those that search; ``most_calls``
    its budget of calls; ``read_article`` how articles are read, where they are."""

    tools: tuple[str, ...]
    most_calls: int | None = None
    read_article: ReadArticle | None = None

    def __call__(self, request: RolloutRequest) -> Policy:
        guided = request.mode == GUIDED
        tools = [name for name in self.tools if name in _SEARCHES]
        ordered = sorted(tools, key=lambda name: (name != MEDICAL) == guided)
        return RulesTeacher(
            request.task.text,
            request.guidance if guided else None,
            ordered,
            request.task.language,
            self.most_calls,
            self.read_article,
        )


class ChatTeacherFactory:
    """A chat model as the teacher; one client, under the governor, for all episodes of a worker.
    ``run``: where the response cache and the budget lie."""

    def __init__(self, config: PipelineConfig, run: Directory) -> None:
        client = open_chat_client(config.llm, run)
        self._complete = functools.partial(client.complete, max_tokens=config.agent.max_turn_tokens)

    def __call__(self, request: RolloutRequest) -> Policy:
        if request.mode != GUIDED:
            return ChatPolicy(self._complete)
        return ChatPolicy(self._complete, guidance_hint(request.guidance, request.task.language))


def guidance_hint(guidance: Sequence[GuidanceStep], language: Language) -> str:
    """The masked triples (paper section 3.2.1) as directions; no entity of the path appears."""
    template = read_prompt("medr_ray.trajectories", "guidance", language)
    steps = "\n".join(
        f"([MASK] {step.subject_type}, "
        f"{step.predicate}{f', {step.clinical}' if step.clinical else ''}, "
        f"[MASK] {step.object_type}{'; told of it: ' + ', '.join(step.also) if step.also else ''})"
        for step in guidance
    )
    return template.strip().replace("{steps}", steps)
