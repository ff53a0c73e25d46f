"""The teachers: policies that show how a question is worked out.

``rules`` is a symbolic agent (see ``solver``). Guided, it receives the masked triples of the
question's path: relations and types, never entities. Exploring, it plans from the question's
wording alone. Either way it calls the real tools, takes the next entity from what they return,
checks candidates one by one where several fit, and changes to another tool when a call fails or
does not help.

``llm`` is any chat model. Guided, it is shown the same masked triples as directions.
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
from medr_ray.trajectories.filtering import UNKNOWN_ANSWER
from medr_ray.trajectories.solver.notes import ArticleParser, Notes
from medr_ray.trajectories.solver.queries import Route
from medr_ray.trajectories.solver.question_reader import read_question
from medr_ray.trajectories.solver.solver import (
    Move,
    SearchCall,
    SearchLog,
    SolvedTarget,
    Solver,
)
from medr_ray.trajectories.solver.thoughts import ThoughtWriter

GUIDED: Final = "guided"
EXPLORATION: Final = "exploration"
MEDICAL_SEARCH = "medical_search"
_SEARCH_TOOLS = ("search", MEDICAL_SEARCH)


class RulesTeacher:
    """The policy that works out one question by rules.

    ``tools`` are the search tools in the order in which it tries them. After ``max_calls`` calls it
    answers that it does not know. Articles are read with ``read_article``, or ignored without it.
    """

    def __init__(
        self,
        text: str,
        guidance: Sequence[GuidanceStep] | None,
        tools: Sequence[str],
        language: Language = "en",
        max_calls: int | None = None,
        read_article: ArticleParser | None = None,
    ) -> None:
        self._plan = read_question(text, language, guidance)
        self._notes = Notes(read_article)
        self._log = SearchLog(build_routes(tools))
        self._writer = ThoughtWriter(language)
        self._max_calls = max_calls
        self._call_count = 0
        self._last_move: Move | None = None  # the last one that sent a query
        self._last_years: tuple[int, int] | None = None  # that the last search was limited to
        self._worded_results: tuple[SolvedTarget, ...] = ()

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The next reply: a thought with one call, or with the answer."""
        return PolicyTurn(self._reply(messages))

    def _reply(self, messages: Sequence[Message]) -> str:
        if self._plan is None:
            return render_reply(self._writer.word_unread_question(), answer=UNKNOWN_ANSWER)
        if self._last_move is not None and self._last_move.query is not None:
            responses, _ = parse_responses(messages[-1].content)
            # No response at all counts as a failure, too.
            is_failed = all(response.startswith("error:") for response in responses)
            self._log.record(self._last_move.query, is_failed)
            for response in responses:
                self._notes.read(response, self._last_years)
        move = Solver(self._plan, self._notes, self._log).choose_move()
        return self._render_move(move)

    def _render_move(self, move: Move) -> str:
        results = self._word_new_results(move)
        if move.answer is not None:
            return render_reply(" ".join(results), answer=move.answer)
        is_out_of_calls = self._max_calls is not None and self._call_count >= self._max_calls
        if move.query is None or is_out_of_calls:
            reason = self._writer.word_giving_up(move.target, is_out_of_calls)
            return render_reply(" ".join((*results, reason)), answer=UNKNOWN_ANSWER)
        is_repeated = (
            self._last_move is not None and not results and self._last_move.target == move.target
        )
        reason = self._writer.word_search(move.target, move.query, is_repeated)
        call = self._log.next_call(move.query)
        self._last_move = move
        self._last_years = call.years
        self._call_count += 1
        arguments = {"query": call.text, **_filter_arguments(call)}
        return render_reply(" ".join((*results, reason)), [ToolCall(call.tool, arguments)])

    def _word_new_results(self, move: Move) -> list[str]:
        """What the move's chain establishes that no thought has stated yet."""
        new_results = [solved for solved in move.chain if solved not in self._worded_results]
        self._worded_results = tuple(dict.fromkeys((*self._worded_results, *move.chain)))
        return [self._writer.word_result(solved) for solved in new_results]


def _filter_arguments(call: SearchCall) -> dict[str, str | int]:
    """The arguments of a call beside the query."""
    arguments: dict[str, str | int] = {}
    if call.source:
        arguments["source"] = call.source
    if call.years:
        arguments["since"], arguments["until"] = call.years
    return arguments


def build_routes(tools: Sequence[str]) -> dict[Route, list[tuple[str, str]]]:
    """The search tools of each route as (name, source), in the order in which they are tried."""
    unrestricted = [(name, "") for name in tools]
    records = [(MEDICAL_SEARCH, HPO)] if MEDICAL_SEARCH in tools else []
    articles = [(MEDICAL_SEARCH, PUBMED)] if MEDICAL_SEARCH in tools else []
    return {
        "first": unrestricted,
        "second": unrestricted[1:] + unrestricted[:1],
        "records": records + unrestricted,
        # No other tool can limit a search to the years of a report.
        "articles": articles or unrestricted,
    }


@dataclass(frozen=True)
class RulesTeacherFactory:
    """Makes a rules teacher for each rollout.

    ``tools`` are the agent's tools, of which the teacher uses the searches. ``max_calls`` is the
    agent's budget of calls. ``read_article`` reads articles; without it they are ignored.
    """

    tools: tuple[str, ...]
    max_calls: int | None = None
    read_article: ArticleParser | None = None

    def __call__(self, request: RolloutRequest) -> Policy:
        """The teacher for a request, guided if the request's mode says so."""
        is_guided = request.mode == GUIDED
        tools = [name for name in self.tools if name in _SEARCH_TOOLS]
        # Guided, the teacher tries the medical retriever first; exploring, the general search.
        ordered_tools = sorted(tools, key=lambda name: (name != MEDICAL_SEARCH) == is_guided)
        return RulesTeacher(
            request.task.text,
            request.guidance if is_guided else None,
            ordered_tools,
            request.task.language,
            self.max_calls,
            self.read_article,
        )


class ChatTeacherFactory:
    """Makes policies that ask a chat model. All episodes of a worker share one governed client.

    ``run`` holds the response cache and the budget.
    """

    def __init__(self, config: PipelineConfig, run: Directory) -> None:
        client = open_chat_client(config.llm, run)
        self._complete = functools.partial(client.complete, max_tokens=config.agent.max_turn_tokens)

    def __call__(self, request: RolloutRequest) -> Policy:
        """The policy for a request, with the guidance as a hint if the request's mode says so."""
        if request.mode != GUIDED:
            return ChatPolicy(self._complete)
        return ChatPolicy(
            self._complete, format_guidance_hint(request.guidance, request.task.language)
        )


def format_guidance_hint(guidance: Sequence[GuidanceStep], language: Language) -> str:
    """The masked triples (paper section 3.2.1) as directions; no entity of the path appears."""
    template = read_prompt("medr_ray.trajectories", "guidance", language)
    return template.strip().replace("{steps}", "\n".join(map(_format_masked_triple, guidance)))


def _format_masked_triple(step: GuidanceStep) -> str:
    qualifier = f", {step.clinical}" if step.clinical else ""
    further = f"; told of it: {', '.join(step.also)}" if step.also else ""
    return (
        f"([MASK] {step.subject_type}, {step.predicate}{qualifier}, "
        f"[MASK] {step.object_type}{further})"
    )
