"""The teachers: policies that show how a question is worked out.

``rules`` is a symbolic agent (see ``solver``). It reads the question's wording; guided, it also
receives the masked triples of the question's steps (kinds of steps and types, never entities) and
takes the reading that they describe. It knows no entity: it calls the real tools, takes each value
from what they return, searches in other words or by another tool when a call fails or does not
help, and reads a record whose line a search did not show.

``llm`` is any chat model. Guided, it is shown the same masked triples as directions.
"""

import functools
import math
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from medr_ray.agent.policies import ChatPolicy, Policy, PolicyTurn
from medr_ray.agent.protocol import ToolCall, parse_responses, render_reply
from medr_ray.agent.tool_features import Rarity
from medr_ray.core.config import PipelineConfig
from medr_ray.core.config.trajectories import TeachingStyle
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import GuidanceStep, Language, Message
from medr_ray.core.run import Directory
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.plans import PlanNode
from medr_ray.retrieval.documents import REGISTRIES
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.trajectories.filtering import UNKNOWN_ANSWER
from medr_ray.trajectories.rarity import is_rare
from medr_ray.trajectories.solver.checks import (
    CONCLUSIVE,
    Check,
    CheckOutcome,
    choose_check,
    has_checks,
    judge_check,
    states,
)
from medr_ray.trajectories.solver.dictionary import NameDictionary
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.queries import QueryWriter
from medr_ray.trajectories.solver.question_reader import read_plan
from medr_ray.trajectories.solver.rules import (
    Conflict,
    Established,
    LookUp,
    Outcome,
    PlannedCall,
    SearchLog,
)
from medr_ray.trajectories.solver.solver import (
    MEDICAL_SEARCH,
    READ,
    SEARCHES,
    Move,
    Solver,
    Toolset,
    choose_tool,
    select_deciding,
    select_results,
)
from medr_ray.trajectories.solver.thoughts import (
    CallResult,
    SentCall,
    Situation,
    open_thought_writer,
    word_answer,
)

GUIDED: Final = "guided"
EXPLORATION: Final = "exploration"
_ERROR = "error:"  # begins a response that says that the call failed
_MAX_PARALLEL = 3  # calls in one reply
_MAX_CHECK_ROUNDS = 2  # replies with checks, of which the first may not be conclusive
_FEW_HITS = 6  # a page with fewer has all hits
_LAST_HITS = 3  # of a page: where none concerns what is looked up, the list has ended before
# The paper's choice of a tool, P(medical retriever) = sigma(w . phi) (section 2.2), with weights
# by which some 85 of 100 searches for rare names in registries begin there and half of the others.
_BIAS = 0.0
_RARE_WEIGHT = 1.4
_REGISTRY_WEIGHT = 0.3


class RulesTeacher:
    """The policy that works out one question by rules.

    After ``max_calls`` calls it answers by what it has read, or that it does not know.
    ``dictionary`` are the names that it knows as words, ``rarity`` is that of the index.
    """

    def __init__(
        self,
        text: str,
        guidance: Sequence[GuidanceStep] | None,
        tools: Toolset,
        language: Language = "en",
        max_calls: int | None = None,
        *,
        dictionary: NameDictionary | None = None,
        style: TeachingStyle = "plain",
        rarity: Rarity | None = None,
    ) -> None:
        self._named = read_plan(text, language, guidance, dictionary)
        self._notes = Notes(self._named.names if self._named else None)
        self._log = SearchLog()
        self._tools = tools
        self._text = text
        self._language: Language = language
        self._style: TeachingStyle = style
        self._rarity = rarity
        self._queries = QueryWriter(style, text, guidance is not None)
        self._writer = open_thought_writer(style, language, text)
        self._max_calls = max_calls
        self._call_count = 0
        self._sent: tuple[SentCall, ...] = ()
        self._checks: tuple[Check, ...] = ()
        self._check_rounds = 0
        self._seen: set[LookUp] = set()  # in a second source
        self._checked: list[Check] = []  # with a result that needs no other
        self._confirming: list[str] = []  # second sources
        self._worded: dict[Established | Conflict, None] = {}

    async def respond(self, messages: Sequence[Message]) -> PolicyTurn | None:
        """The next reply: a thought with calls, or with the answer."""
        return PolicyTurn(self._reply(messages))

    def _reply(self, messages: Sequence[Message]) -> str:
        if self._named is None or not self._tools.searches:
            return render_reply(self._writer.word_unread_question(), answer=UNKNOWN_ANSWER)
        outcomes = self._take_responses(messages[-1].content) if self._sent else []
        is_plain = self._style == "plain"
        solver = Solver(
            self._named.plan,
            self._notes,
            self._log,
            self._tools,
            self._queries,
            max_parallel=1 if is_plain else _MAX_PARALLEL,
            is_thorough=not is_plain,
        )
        move = solver.choose_move(self._count_calls_left())
        return self._render_move(self._named.plan, move, outcomes)

    def _count_calls_left(self) -> int | None:
        return None if self._max_calls is None else self._max_calls - self._call_count

    # --- what came back -------------------------------------------------------------------

    def _take_responses(self, content: str) -> list[CheckOutcome]:
        """Read the responses to the last calls; returns what checks among them showed."""
        responses, _ = parse_responses(content)
        finished = []
        outcomes = []
        for place, sent in enumerate(self._sent):
            # No response at all counts as a failure, too.
            response = responses[place] if place < len(responses) else _ERROR
            is_failed = response.startswith(_ERROR)
            document_ids = [] if is_failed else self._notes.read(response)
            answered: Outcome = "answered" if document_ids else "empty"
            self._log.record(sent.look_up, sent.call, "failed" if is_failed else answered)
            if not is_failed and self._is_last_page(document_ids, sent):
                self._log.last_pages.add(sent.call)
            result: CallResult = "outage" if is_failed else "helpful" if document_ids else "empty"
            finished.append(replace(sent, result=result))
            if self._checks and not is_failed:
                check = self._checks[place]
                outcomes.append(judge_check(check, response, document_ids, self._notes))
        self._sent = tuple(finished)
        return outcomes

    def _is_last_page(self, document_ids: Sequence[str], sent: SentCall) -> bool:
        """Whether no page of hits is to be looked at behind this one: few hits are all of them, the
        last concern something else, or the tool has no pages."""
        last_hits = document_ids[-_LAST_HITS:]
        is_over = len(document_ids) < _FEW_HITS or not self._concern(last_hits, sent.look_up)
        return is_over or sent.tool != MEDICAL_SEARCH

    def _concern(self, document_ids: Sequence[str], look_up: LookUp) -> bool:
        """Whether one of some documents names what is looked up."""
        return any(
            states(self._notes.print_text(document), look_up.inputs[0], self._notes)
            for document in document_ids
        )

    # --- what comes next ------------------------------------------------------------------

    def _render_move(self, plan: PlanNode, move: Move, outcomes: Sequence[CheckOutcome]) -> str:
        outcomes = [self._compare_outcome(move, outcome) for outcome in outcomes]
        self._note_outcomes(outcomes)
        # A check that failed is to be made again.
        self._check_rounds += bool(outcomes)
        self._checks, seen = self._choose_checks(move)
        self._note_seen(seen)
        outcomes += seen
        if seen and not self._checks:
            self._checks, _ = self._choose_checks(move)
        planned = move.calls
        if self._checks:
            planned = tuple((check.look_up, check.call) for check in self._checks)
        calls = []
        rendered = []
        for look_up, call in planned:
            attempt = self._log.failures[call]
            prefers_medical = self._prefers_medical(look_up, call)
            tool, arguments = choose_tool(call, self._tools, attempt, prefers_medical)
            calls.append(SentCall(look_up, call, tool))
            rendered.append(ToolCall(tool, dict(arguments)))
        situation = self._describe_situation(plan, move, outcomes, calls)
        thought = self._writer.write(situation)
        self._sent = tuple(calls)
        self._call_count += len(calls)
        if calls:
            return render_reply(thought, rendered)
        if move.answer is None:
            return render_reply(thought, answer=UNKNOWN_ANSWER)
        return render_reply(thought, answer=word_answer(move.answer, self._notes, self._language))

    def _describe_situation(
        self,
        plan: PlanNode,
        move: Move,
        outcomes: Sequence[CheckOutcome],
        calls: Sequence[SentCall],
    ) -> Situation:
        results = [result for result in move.established if result not in self._worded]
        conflicts = [conflict for conflict in move.conflicts if conflict not in self._worded]
        self._worded.update(dict.fromkeys([*results, *conflicts]))
        return Situation(
            plan,
            self._notes,
            [self._judge_result(sent, move) for sent in self._sent],
            results,
            conflicts,
            outcomes,
            move.missing,
            calls,
            move.answer or move.candidate,
            self._checks,
            None if calls else move.answer,
            () if calls else self._list_cited(move),
            grounds=move.grounds,
            begun=move.begun,
            is_out_of_calls=self._count_calls_left() == 0,
        )

    def _judge_result(self, sent: SentCall, move: Move) -> SentCall:
        """The call, "unhelpful" where what it looked up is still missing. A page of a list helps
        where the list has an entry already."""
        has_entries = any(self._log.sizes.get(sent.look_up, {}).values())
        if sent.result == "helpful" and sent.look_up in move.missing and not has_entries:
            return replace(sent, result="unhelpful")
        return sent

    def _note_outcomes(self, outcomes: Sequence[CheckOutcome]) -> None:
        for outcome in outcomes:
            if outcome.result.startswith("confirmed"):
                self._confirming.append(outcome.document_id)
            if outcome.result in CONCLUSIVE:
                self._checked.append(outcome.check)
            elif outcome.result == "confirmed_year":
                self._seen.add(outcome.check.look_up)

    def _note_seen(self, outcomes: Sequence[CheckOutcome]) -> None:
        for outcome in outcomes:
            self._confirming.append(outcome.document_id)
            self._seen.add(outcome.check.look_up)
            if outcome.result == "seen" and not self._draws_reading(outcome.check):
                self._checked.append(outcome.check)

    def _compare_outcome(self, move: Move, outcome: CheckOutcome) -> CheckOutcome:
        """What a check showed, "overturned" where the look-up has another value since."""
        check = outcome.check
        values = [result.value for result in move.established if result.look_up == check.look_up]
        if not values or values[-1] == check.value:
            return outcome
        documents = self._notes.list_support(check.look_up.inputs, values[-1])
        return replace(
            outcome,
            result="overturned",
            document_id=next(iter(documents), outcome.document_id),
            other=self._notes.print_name(values[-1]),
        )

    def _list_cited(self, move: Move) -> list[str]:
        """The documents that the answer rests on, those of the last step first."""
        if move.answer is None:
            return []
        documents: dict[str, None] = {}
        for result in select_results(move):
            records = move.support.get(result.look_up)
            grounds = move.grounds.get(result.look_up)
            if records is None and grounds is not None and grounds.method in ("comparison", "span"):
                continue  # no record states it: those of what was compared are cited
            if records is None:
                stating = self._notes.list_support(result.look_up.inputs, result.value)
                records = tuple(stating[:1])
            documents.update(dict.fromkeys(records))
        documents.update(dict.fromkeys(self._confirming))
        return [document for document in documents if document in self._notes.documents]

    def _choose_checks(self, move: Move) -> tuple[tuple[Check, ...], list[CheckOutcome]]:
        """The next checks of what decides the answer, in the natural style and as long as calls are
        left; and what of it a second source has shown already."""
        left = self._count_calls_left()
        has_enough = self._check_rounds == _MAX_CHECK_ROUNDS
        if self._style == "plain" or not move.answer or left == 0 or has_enough:
            return (), []
        checks: list[Check] = []
        seen: dict[str, CheckOutcome] = {}
        for result in select_deciding(move):
            check = None if self._is_checked(result) else self._choose_check(result)
            if isinstance(check, CheckOutcome):
                seen.setdefault(result.value, check)
            elif check is not None and not any(_repeats(check, other) for other in checks):
                checks.append(check)
        checks = [check for check in checks if check.value not in seen]
        limit = _MAX_PARALLEL if left is None else min(_MAX_PARALLEL, left)
        return tuple(checks)[:limit], [*seen.values()]

    def _is_checked(self, result: Established) -> bool:
        """Whether a check of the value, by this look-up or by one of another kind, is through."""
        look_up = result.look_up
        return any(
            done.look_up == look_up
            or (done.value == result.value and done.look_up.kind != look_up.kind)
            for done in self._checked
        )

    def _choose_check(self, result: Established) -> Check | CheckOutcome | None:
        if not has_checks(result.look_up):
            return None
        return choose_check(
            result.look_up,
            result.value,
            self._notes,
            self._log,
            self._tools,
            self._queries,
            has_second=result.look_up in self._seen,
        )

    def _draws_reading(self, check: Check) -> bool:
        """Whether a value that two sources have is read in its record besides: every second one."""
        return zlib.crc32(f"{self._text}/{check.look_up}/{check.value}".encode()) % 2 == 0

    def _prefers_medical(self, look_up: LookUp, call: PlannedCall) -> bool:
        """Whether the medical search comes first: by the paper's sigmoid over the rarity of what is
        looked up and over whether registries state it. The question and the kind draw."""
        if self._style == "plain":
            return True
        names = [self._notes.print_name(value) for value in look_up.inputs]
        rare = self._rarity is not None and is_rare(names, self._rarity)
        margin = _BIAS + _RARE_WEIGHT * rare + _REGISTRY_WEIGHT * (REGISTRIES in call.sources)
        # Look-ups of a kind go to one tool.
        draw = zlib.crc32(f"{self._text}/{look_up.kind}".encode()) / 2**32
        return draw < 1 / (1 + math.exp(-margin))


def _repeats(check: Check, other: Check) -> bool:
    """Whether two checks of one value, such as the date of an application and of its drug, add
    nothing to each other: each has to ask a second source."""
    is_alike = check.value == other.value and check.look_up.kind != other.look_up.kind
    return is_alike and (check.source == other.source or not (check.source and other.source))


@dataclass(frozen=True)
class RulesTeacherFactory:
    """Makes a rules teacher for each rollout.

    ``tools`` are the agent's tools, of which the teacher uses the searches and the reading of
    records. ``max_calls`` is the agent's budget of calls, ``sources`` are those that the medical
    search can be limited to, ``dictionary`` are the names that the teacher knows as words,
    ``rarity`` is that of the index (``Toolbox.rarity``).
    """

    tools: tuple[str, ...]
    max_calls: int | None = None
    sources: Collection[str] = ()
    dictionary: NameDictionary | None = None
    style: TeachingStyle = "plain"
    rarity: Rarity | None = None

    @classmethod
    def from_config(
        cls,
        config: PipelineConfig,
        dictionary: NameDictionary | None = None,
        rarity: Rarity | None = None,
    ) -> "RulesTeacherFactory":
        """The factory for the agent that is configured."""
        indexed = [source.source for source in config.index.sources]
        sources = frozenset([*indexed, *config.tools.live.sources])
        return cls(
            config.agent.tools,
            config.agent.max_tool_calls,
            sources,
            dictionary,
            config.trajectories.style,
            rarity,
        )

    def __call__(self, request: RolloutRequest) -> Policy:
        """The teacher for a request, guided if the request's mode says so."""
        searches = tuple(name for name in self.tools if name in SEARCHES)
        return RulesTeacher(
            request.task.text,
            request.guidance if request.mode == GUIDED else None,
            Toolset(searches, READ in self.tools, self.sources),
            request.task.language,
            self.max_calls,
            dictionary=self.dictionary,
            style=self.style,
            rarity=self.rarity,
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
        # A seed makes a sampled reply one that the cache can answer again.
        complete = functools.partial(self._complete, seed=request.rollout)
        if request.mode != GUIDED:
            return ChatPolicy(complete)
        return ChatPolicy(complete, format_guidance_hint(request.guidance, request.task.language))


def format_guidance_hint(guidance: Sequence[GuidanceStep], language: Language) -> str:
    """The masked triples (paper section 3.2.1) as directions; no entity of the path appears."""
    template = read_prompt("medr_ray.trajectories", "guidance", language)
    return template.strip().replace("{steps}", "\n".join(map(_format_masked_triple, guidance)))


def _format_masked_triple(step: GuidanceStep) -> str:
    return f"([MASK] {step.subject_type}, {step.predicate}, [MASK] {step.object_type})"
