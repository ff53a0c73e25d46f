"""The teachers: policies that show how a question is worked out.

``rules`` is a symbolic agent (see ``solver``). It reads the question's wording; guided, it also
receives the masked triples of the question's steps (kinds of steps and types, never entities) and
takes the reading that they describe. It knows no entity: it calls the real tools, takes each value
from what they return, searches in other words or by another tool when a call fails or does not
help, and reads a record whose line a search did not show.

``llm`` is any chat model. Guided, it is shown the same masked triples as directions.
"""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from medr_ray.agent.policies import ChatPolicy, Policy, PolicyTurn
from medr_ray.agent.protocol import ToolCall, parse_responses, render_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import GuidanceStep, Language, Message
from medr_ray.core.run import Directory
from medr_ray.llm.roles import open_chat_client
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.trajectories.filtering import UNKNOWN_ANSWER
from medr_ray.trajectories.solver.dictionary import NameDictionary
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.question_reader import read_plan
from medr_ray.trajectories.solver.rules import Established, LookUp
from medr_ray.trajectories.solver.solver import (
    MEDICAL_SEARCH,
    READ,
    SEARCHES,
    Move,
    PlannedCall,
    SearchLog,
    Solver,
    Toolset,
    choose_tool,
)
from medr_ray.trajectories.solver.thoughts import Reason, ThoughtWriter

GUIDED: Final = "guided"
EXPLORATION: Final = "exploration"


class RulesTeacher:
    """The policy that works out one question by rules.

    After ``max_calls`` calls it answers by what it has read, or that it does not know.
    """

    def __init__(
        self,
        text: str,
        guidance: Sequence[GuidanceStep] | None,
        tools: Toolset,
        language: Language = "en",
        max_calls: int | None = None,
        dictionary: NameDictionary | None = None,
    ) -> None:
        self._named = read_plan(text, language, guidance, dictionary)
        self._notes = Notes(self._named.names if self._named else None)
        self._log = SearchLog()
        self._tools = tools
        self._writer = ThoughtWriter(language, text)
        self._max_calls = max_calls
        self._call_count = 0
        self._last: tuple[LookUp, PlannedCall] | None = None
        self._has_failed = False  # the last call
        self._worded: tuple[Established, ...] = ()

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The next reply: a thought with one call, or with the answer."""
        return PolicyTurn(self._reply(messages))

    def _reply(self, messages: Sequence[Message]) -> str:
        if self._named is None or not self._tools.searches:
            return render_reply(self._writer.word_unread_question(), answer=UNKNOWN_ANSWER)
        if self._last is not None:
            self._take_responses(self._last, messages[-1].content)
        solver = Solver(self._named.plan, self._notes, self._log, self._tools)
        return self._render_move(solver.choose_move(is_last=self._is_out_of_calls()))

    def _take_responses(self, sent: tuple[LookUp, PlannedCall], content: str) -> None:
        responses, _ = parse_responses(content)
        # No response at all counts as a failure, too.
        self._has_failed = all(response.startswith("error:") for response in responses)
        self._log.record(*sent, "failed" if self._has_failed else "answered")
        for response in responses:
            self._notes.read(response)

    def _is_out_of_calls(self) -> bool:
        return self._max_calls is not None and self._call_count >= self._max_calls

    def _render_move(self, move: Move) -> str:
        results = self._word_new_results(move)
        if move.answer is not None:
            answer = self._writer.word_answer(move.answer, self._notes)
            return render_reply(" ".join(results), answer=answer)
        if move.call is None:
            reason = self._writer.word_giving_up(
                move.look_up, self._notes, is_out_of_calls=self._is_out_of_calls()
            )
            return render_reply(" ".join((*results, reason)), answer=UNKNOWN_ANSWER)
        reason = self._word_reason(move.look_up, move.call)
        tool, arguments = choose_tool(move.call, self._tools, self._log.failures[move.call])
        self._last = (move.look_up, move.call)
        self._call_count += 1
        return render_reply(" ".join((*results, reason)), [ToolCall(tool, dict(arguments))])

    def _word_reason(self, look_up: LookUp, call: PlannedCall) -> str:
        is_repeated = self._last is not None and self._last[0] == look_up
        reason: Reason = "still_needed" if is_repeated else "needed"
        if call.document_id:
            reason = "reading"
        if self._has_failed:
            reason = "failed"
        return self._writer.word_call(look_up, reason, self._notes)

    def _word_new_results(self, move: Move) -> list[str]:
        """What the move establishes that no thought has stated yet."""
        new_results = [result for result in move.established if result not in self._worded]
        self._worded = tuple(dict.fromkeys((*self._worded, *move.established)))
        return [self._writer.word_result(result, self._notes) for result in new_results]


@dataclass(frozen=True)
class RulesTeacherFactory:
    """Makes a rules teacher for each rollout.

    ``tools`` are the agent's tools, of which the teacher uses the searches and the reading of
    records. ``max_calls`` is the agent's budget of calls, ``sources`` are those that the medical
    search can be limited to, ``dictionary`` are the names that the teacher knows as words.
    """

    tools: tuple[str, ...]
    max_calls: int | None = None
    sources: Collection[str] = ()
    dictionary: NameDictionary | None = None

    @classmethod
    def from_config(
        cls, config: PipelineConfig, dictionary: NameDictionary | None = None
    ) -> "RulesTeacherFactory":
        """The factory for the agent that is configured."""
        indexed = [source.source for source in config.index.sources]
        sources = frozenset([*indexed, *config.tools.live.sources])
        return cls(config.agent.tools, config.agent.max_tool_calls, sources, dictionary)

    def __call__(self, request: RolloutRequest) -> Policy:
        """The teacher for a request, guided if the request's mode says so."""
        is_guided = request.mode == GUIDED
        searches = [name for name in self.tools if name in SEARCHES]
        # Guided, the teacher tries the medical retriever first; exploring, the general search.
        ordered = sorted(searches, key=lambda name: (name != MEDICAL_SEARCH) == is_guided)
        return RulesTeacher(
            request.task.text,
            request.guidance if is_guided else None,
            Toolset(tuple(ordered), READ in self.tools, self.sources),
            request.task.language,
            self.max_calls,
            self.dictionary,
        )


class ChatTeacherFactory:
    """Makes policies that ask a chat model. All episodes of a worker share one governed client.

    ``run`` holds the response cache and the budget.
    """

    def __init__(self, config: PipelineConfig, run: Directory) -> None:
        client = open_chat_client(config.llm, run, "teacher")
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
    return f"([MASK] {step.subject_type}, {step.predicate}, [MASK] {step.object_type})"
